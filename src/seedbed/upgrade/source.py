"""Where a template's versions are: a folder, a bundle or a remote, read without a work tree."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from packaging.version import InvalidVersion, Version

from seedbed.errors import SeedbedError
from seedbed.upgrade import git
from seedbed.upgrade.git import Entry, Objects, Tree
from seedbed.upgrade.questions import ANSWERS

Progress = Callable[[str], None]
_SHORT = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}
_DESCRIBED = re.compile(r"(.+)-(\d+)-g[0-9a-f]+")
_STALE = 24 * 3600  # seconds after which a half-made cache entry is nobody's


@dataclass(frozen=True)
class Snapshot:
    """A template at one commit, by its tag (or, between tags, as `git describe` says)."""

    name: str
    commit: str
    version: Version
    address: str
    objects: Objects

    def read(self, path: str) -> bytes | None:
        """Return the content of the file at `path`, or None."""
        found = self.objects.get(f"{self.commit}:{path}")
        return found[2] if found and found[1] == "blob" else None

    def files(self, folder: str = "") -> Tree | None:
        """Return every file below `folder`, or None when there is no such folder."""
        return self.objects.tree(f"{self.commit}:{folder}")

    def blob(self, entry: Entry) -> bytes:
        """Return the content of a file of this snapshot."""
        return self.objects.blob(entry.oid)


@dataclass
class Source:
    """A template repository by the address that an answers file holds; a context manager."""

    address: str
    project: Path
    progress: Progress = lambda _: None
    _open: list[Objects] = field(default_factory=list)
    _tags: dict[str, str] | None = None
    _whole: Path | None = None

    def __post_init__(self) -> None:
        """Find out what the address stands for: git's own insteadOf rules apply."""
        url = os.path.expanduser(_expand(self.address))  # noqa: PTH111  (it may be no path)
        if not Path(url).is_absolute() or not Path(url).exists():
            said = git.run("ls-remote", "--get-url", "--", url, cwd=self.project)
            url = os.fsdecode(said.rstrip(b"\n"))
        local = Path(url.removeprefix("file://"))
        if not local.is_absolute() and not local.exists():
            local = self.project / local
        self.is_local = local.exists()
        self.url = str(local.absolute()) if self.is_local else url
        self._home: Path | None = None
        if local.is_dir():
            self._home = local / ".git" if (local / ".git").exists() else local
        self._temporary = tempfile.TemporaryDirectory(prefix="seedbed-template-")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for objects in self._open:
            objects.close()
        self._temporary.cleanup()

    @property
    def shown(self) -> str:
        """The address without a password, for messages."""
        return re.sub(r"//[^/@]*@", "//", self.address)

    def tags(self) -> dict[str, str]:
        """Return the commit of every tag.

        Raises:
            SeedbedError: the address is no repository, or cannot be reached.
        """
        if self._tags is None:
            if not self.is_local:
                self.progress(f"asking {self.shown} for its versions")
            code, out, said = git.attempt("ls-remote", "--tags", "--", self.url, cwd=self.project)
            if code and not self.is_local and Path(self.url).is_absolute():
                raise SeedbedError(
                    f"template {self.shown}: there is no such folder or bundle; bring it back, or "
                    f"write the template's address into _src_path of {ANSWERS} and commit that"
                )
            if code:
                raise SeedbedError(
                    f"template {self.shown}: {said.rstrip('.')}; without a network, point git at a "
                    f"bundle: git config --global url.FILE.bundle.insteadOf {self.shown}"
                )
            rows = [line.split("\t") for line in out.decode("utf-8", "replace").splitlines()]
            found = {name.removeprefix("refs/tags/"): commit for commit, name in rows}
            # an annotated tag is followed by the commit that it stands for
            self._tags = {n: found.get(n + "^{}", c) for n, c in found.items() if n[-3:] != "^{}"}
        return self._tags

    def at(self, name: str) -> Snapshot:
        """Return the version, tag, branch or commit called `name`; `v1.0` and `1.0` are the same.

        Raises:
            SeedbedError: there is none, or no version says where it stands.
        """
        tags = self.tags()
        tag = name if name in tags else self._same_version(name)
        if tag:
            version = parse_version(tag)
            if version:
                return Snapshot(tag, tags[tag], version, self.address, self._read(tag))
        return self._between(name)

    def newest(self, current: Version) -> Snapshot | None:
        """Return the newest release above `current`; pre-releases only when it is one itself."""
        versions = {tag: version for tag in self.tags() if (version := parse_version(tag))}
        above = [
            tag
            for tag, version in versions.items()
            if version > current and (current.is_prerelease or not version.is_prerelease)
        ]
        return self.at(max(above, key=lambda tag: versions[tag])) if above else None

    def releases(self) -> list[str]:
        """Return the tags that are versions, oldest first."""
        versions = [(version, tag) for tag in self.tags() if (version := parse_version(tag))]
        return [tag for _, tag in sorted(versions)]

    def _same_version(self, name: str) -> str | None:
        wanted = parse_version(name)
        same = [tag for tag in self.tags() if wanted and parse_version(tag) == wanted]
        return same[0] if same else None

    def _unknown(self, name: str) -> SeedbedError:
        known = ", ".join(self.releases()[-5:])
        remedy = f"choose one of {known}" if known else "it has no version tags yet"
        return SeedbedError(f"template {self.shown}: has no version {name!r}; {remedy}")

    def _between(self, name: str) -> Snapshot:
        """Find a branch or commit: only a whole copy of the repository knows all of them."""
        home = self._home or self._everything()
        if name.startswith("-"):
            raise self._unknown(name)
        there = f"--git-dir={home}"
        code, out, _ = git.attempt(there, "rev-parse", "--verify", "-q", f"{name}^{{commit}}")
        if code:
            raise self._unknown(name)
        commit = out.decode().strip()
        said = git.run(there, "describe", "--tags", "--always", commit).decode().strip()
        described = _DESCRIBED.fullmatch(said)
        version = (
            parse_version(f"{described[1]}.post{described[2]}")
            if described
            else parse_version(said)
        )
        if version is None:
            raise SeedbedError(
                f"template {self.shown}: {name} comes before any version tag, so nothing tells "
                "old from new; tag a version such as v0.1.0 there"
            )
        return Snapshot(said, commit, version, self.address, self._objects(home))

    def _objects(self, home: Path) -> Objects:
        for objects in self._open:
            if objects.git_dir == home:
                return objects
        self._open.append(Objects(home))
        return self._open[-1]

    def _read(self, tag: str) -> Objects:
        if self._home:
            return self._objects(self._home)
        commit = self.tags()[tag]
        cached = _cache(Path(self._temporary.name)) / f"{commit}.git"
        if not cached.is_dir():
            self.progress(f"fetching {tag} of {self.shown}")
            self._fetch(f"+refs/tags/{tag}:refs/tags/{tag}", cached)
        return self._objects(cached)

    def _everything(self) -> Path:
        if self._whole is None:
            self.progress(f"fetching all of {self.shown}")
            whole = Path(self._temporary.name) / "whole.git"
            self._fetch("+refs/*:refs/*", whole, depth=False)
            self._whole = whole
        return self._whole

    def _fetch(self, refs: str, target: Path, *, depth: bool = True) -> None:
        """Make the bare repository `target` with `refs` in it: whole, or not at all.

        An entry never changes once it is there, and its name is what it holds: processes that
        make the same one at once only waste their work, and one that is killed leaves nothing.
        """
        _sweep(target.parent)
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            git.run("init", "-q", "--bare", "--template=", str(made))
            fetch = ("fetch", "-q", "--no-tags", "--no-write-fetch-head")
            code = 1
            if depth and not self.is_local:  # a bundle knows no depth, and some servers neither
                code, _, _ = git.attempt(*fetch, "--depth=1", "--", self.url, refs, cwd=made)
            if code:
                git.run(*fetch, "--", self.url, refs, cwd=made)
            try:
                made.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _cache(fallback: Path) -> Path:
    """Return the folder of fetched versions: SEEDBED_CACHE_DIR, else the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(os.environ.get("SEEDBED_CACHE_DIR") or Path(home, "seedbed"), "templates")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return fallback
    return folder if os.access(folder, os.W_OK) else fallback


def _sweep(folder: Path) -> None:
    for left in folder.glob(".new-*"):
        try:
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left, ignore_errors=True)
        except FileNotFoundError:
            continue


def _expand(address: str) -> str:
    for short, long in _SHORT.items():
        if address.startswith(short):
            return long + address.removeprefix(short).lstrip("/").removesuffix(".git") + ".git"
    if address.startswith("git+"):
        return address.removeprefix("git+")
    if address.startswith(tuple(_SHORT.values())) and not address.endswith(".git"):
        return address + ".git"
    return address


def parse_version(tag: str) -> Version | None:
    """Return a tag's PEP 440 version, or None."""
    try:
        return Version(tag)
    except InvalidVersion:
        return None
