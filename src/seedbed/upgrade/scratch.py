"""A throw-away repository in which trees are made and merged."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from seedbed.errors import SeedbedError
from seedbed.upgrade import git
from seedbed.upgrade.git import Entry, Objects, Tree


class Scratch:
    """A repository that borrows another's objects; nothing reaches that one by itself."""

    def __init__(
        self,
        *,
        borrow: Path | None = None,
        config: Path | None = None,
        attributes: Path | None = None,
        work_tree: Path | None = None,
        algorithm: str = "sha1",
    ) -> None:
        """Make it; `config` and `attributes` are the other's files, `work_tree` its checkout."""
        self.path = Path(tempfile.mkdtemp(prefix="seedbed-upgrade-"))
        self.algorithm = algorithm
        self._pending: dict[str, bytes] = {}
        objects, info = self.path / "objects", self.path / "info"
        (objects / "info").mkdir(parents=True)
        (self.path / "refs" / "heads").mkdir(parents=True)
        info.mkdir()
        (self.path / "HEAD").write_text("ref: refs/heads/yours\n")
        (self.path / "config").write_text(_config(config, algorithm), "utf-8")
        if borrow:
            (objects / "info" / "alternates").write_bytes(os.fsencode(borrow) + b"\n")
        if attributes and attributes.is_file():
            shutil.copyfile(attributes, info / "attributes")
        self.work_tree = work_tree or info  # a folder without files has no .gitattributes either
        self._objects = Objects(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._objects.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def add(self, content: bytes) -> str:
        """Return the id of `content` as a blob; it is written only when something needs it."""
        oid = self._id("blob", content)
        self._pending[oid] = content
        return oid

    def read(self, oid: str) -> bytes:
        """Return the content of blob `oid`, its own or borrowed."""
        pending = self._pending.get(oid)
        return self._objects.blob(oid) if pending is None else pending

    def flush(self, oids: Iterable[str]) -> None:
        """Write those of `oids` that were only added so far."""
        for oid in oids:
            if oid in self._pending:
                self._write("blob", self._pending[oid])

    def tree(self, files: Mapping[str, Entry]) -> str:
        """Write the trees of `files`, and their blobs, and return the root's id."""
        self.flush(entry.oid for entry in files.values())
        folders: dict[str, dict[str, Entry]] = {"": {}}
        for path, entry in files.items():
            folder, _, name = path.rpartition("/")
            folders.setdefault(folder, {})[name] = entry
            while folder:
                folder = folder.rpartition("/")[0]
                folders.setdefault(folder, {})
        root = ""
        for folder in sorted(folders, key=lambda name: -name.count("/") - bool(name)):
            root = self._write("tree", _raw_tree(folders[folder]))
            parent, _, name = folder.rpartition("/")
            if folder:
                folders[parent][name] = Entry("40000", root)
        return root

    def commit(self, tree: str, *parents: str, ref: str = "") -> str:
        """Write a commit of `tree` and return its id; `ref` names it as a branch."""
        who = "seedbed <seedbed@localhost> 0 +0000"
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {who}", f"committer {who}", "", "upgrade", ""]
        oid = self._write("commit", "\n".join(lines).encode())
        if ref:
            (self.path / "refs" / "heads" / ref).write_text(oid + "\n")
        return oid

    def git(self, *args: str) -> tuple[int, bytes, str]:
        """Run git here, with the other's work tree for its attributes."""
        env = git.environment(GIT_DIR=str(self.path), GIT_WORK_TREE=str(self.work_tree))
        return git.attempt(*args, cwd=self.work_tree, env=env)

    def files(self, name: str) -> Tree:
        """Return every file below the tree that `name` says."""
        found = self._objects.tree(name)
        if found is None:
            raise SeedbedError(f"git: no tree {name} in {self.path}")
        return found

    def move(self, oids: Iterable[str], objects: Path) -> None:
        """Bring those of `oids` that are not borrowed into the object folder `objects`."""
        wanted = list(oids)
        self.flush(wanted)
        for oid in wanted:
            source, target = self._path(oid), objects / oid[:2] / oid[2:]
            if not source.exists() or target.exists():
                continue
            target.parent.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(prefix="tmp_obj_", dir=target.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(source.read_bytes())
            Path(name).chmod(0o444)
            Path(name).replace(target)

    def _id(self, kind: str, content: bytes) -> str:
        return hashlib.new(
            self.algorithm, b"%s %d\0" % (kind.encode(), len(content)) + content
        ).hexdigest()

    def _path(self, oid: str) -> Path:
        return self.path / "objects" / oid[:2] / oid[2:]

    def _write(self, kind: str, content: bytes) -> str:
        oid = self._id(kind, content)
        path = self._path(oid)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            raw = b"%s %d\0" % (kind.encode(), len(content)) + content
            path.write_bytes(zlib.compress(raw, 1))
        return oid


def _config(theirs: Path | None, algorithm: str) -> str:
    lines = ["[core]", "repositoryformatversion = 0"]
    if algorithm != "sha1":
        lines[1:] = ["repositoryformatversion = 1", "[extensions]", f"objectformat = {algorithm}"]
    if theirs and theirs.is_file():
        escaped = str(theirs).replace("\\", "\\\\").replace('"', '\\"')
        lines += ["[include]", f'path = "{escaped}"']
    return "\n".join([*lines, "[core]", "bare = false", ""])


def _raw_tree(entries: Mapping[str, Entry]) -> bytes:
    def place(item: tuple[str, Entry]) -> bytes:
        return os.fsencode(item[0]) + (b"/" if item[1].mode == "40000" else b"")

    return b"".join(
        entry.mode.encode() + b" " + os.fsencode(name) + b"\0" + bytes.fromhex(entry.oid)
        for name, entry in sorted(entries.items(), key=place)
    )
