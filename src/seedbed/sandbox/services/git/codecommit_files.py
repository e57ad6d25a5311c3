"""Commits, files and folders of a bare repository, in the words of CodeCommit's API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.git import store
from seedbed.sandbox.services.git.store import HEADS
from seedbed.sandbox.world import World

MODES = {"100755": "EXECUTABLE", "100644": "NORMAL", "120000": "SYMLINK"}
BITS = {name: bits for bits, name in MODES.items()}
PERSON = re.compile(rb"(?P<name>.*) <(?P<email>.*)> (?P<date>\d+ [+-]\d{4})")
MOST_FILES = 100  # of one CreateCommit


@dataclass(frozen=True)
class Draft:
    """A commit to be made."""

    branch: str
    parent: str | None
    author: str
    email: str
    message: str
    puts: list[Mapping[str, Any]]
    deletions: list[str]


@dataclass(frozen=True)
class Entry:
    """One line of a tree."""

    bits: str
    kind: str
    id: str
    path: str


def commit(world: World, folder: Path, commit_id: str) -> dict[str, Any]:
    """Return a commit as GetCommit tells it."""
    raw = store.run(world, folder, "cat-file", "commit", commit_id)
    head, _, message = raw.partition(b"\n\n")
    lines = [line.partition(b" ")[::2] for line in head.split(b"\n")]
    said = dict(reversed(lines))
    return {
        "commitId": commit_id,
        "treeId": said[b"tree"].decode(),
        "parents": [value.decode() for key, value in lines if key == b"parent"],
        "message": message.decode(errors="replace"),
        "author": _person(said[b"author"]),
        "committer": _person(said[b"committer"]),
        "additionalData": "",
    }


def _person(line: bytes) -> dict[str, str]:
    found = PERSON.fullmatch(line)
    return (
        {key: value.decode(errors="replace") for key, value in found.groupdict().items()}
        if (found)
        else {}
    )


def file(world: World, folder: Path, commit_id: str, path: str) -> dict[str, Any]:
    """Return a file as GetFile tells it."""
    found = _entry(world, folder, commit_id, path)
    if found is None or found.kind != "blob":
        raise ServiceError("FileDoesNotExistException", f"{path} does not exist in {commit_id}")
    content = store.run(world, folder, "cat-file", "blob", found.id)
    return {
        "commitId": commit_id,
        "blobId": found.id,
        "filePath": found.path,
        "fileMode": MODES[found.bits],
        "fileSize": len(content),
        "fileContent": content,
    }


def folder(world: World, folder: Path, commit_id: str, path: str) -> dict[str, Any]:
    """Return a folder as GetFolder tells it."""
    plain = path.strip("/")
    tree = f"{commit_id}^{{tree}}" if not plain else f"{commit_id}:{plain}"
    try:
        words = ("rev-parse", "--verify", "--quiet", f"{tree}^{{tree}}")
        tree_id = store.run(world, folder, *words).decode().strip()
    except store.GitError:
        message = f"{path} does not exist in {commit_id}"
        raise ServiceError("FolderDoesNotExistException", message) from None
    answer: dict[str, Any] = {
        "commitId": commit_id,
        "folderPath": plain,
        "treeId": tree_id,
        "subFolders": [],
        "files": [],
        "symbolicLinks": [],
        "subModules": [],
    }
    for one in _entries(store.run(world, folder, "ls-tree", "-z", tree_id)):
        place = {
            "absolutePath": f"{plain}/{one.path}".lstrip("/"),
            "relativePath": one.path,
        }
        if one.kind == "tree":
            answer["subFolders"].append({"treeId": one.id, **place})
        elif one.kind == "commit":
            answer["subModules"].append({"commitId": one.id, **place})
        else:
            where = "symbolicLinks" if one.bits == "120000" else "files"
            said = {"blobId": one.id, "fileMode": MODES[one.bits], **place}
            answer[where].append(said)
    return answer


def _entries(listing: bytes) -> list[Entry]:
    found = []
    for line in listing.decode(errors="surrogateescape").split("\0"):
        if line:
            about, _, path = line.partition("\t")
            bits, kind, name = about.split()
            found.append(Entry(bits, kind, name, path))
    return found


def _entry(world: World, folder: Path, commit_id: str, path: str) -> Entry | None:
    plain = path.strip("/")
    listing = store.run(world, folder, "ls-tree", "-z", "--full-tree", commit_id, plain)
    return next((one for one in _entries(listing) if one.path == plain), None)


def write(world: World, folder: Path, draft: Draft) -> dict[str, Any]:
    """Make a commit and move its branch; the caller holds the repository.

    Raises:
        ServiceError: As CreateCommit would.
    """
    tip = _parent(world, folder, draft)
    before = _tree(world, folder, tip) if tip else {}
    _check(draft, before)
    stream = _stream(world, draft, tip)
    store.run(world, folder, "fast-import", "--quiet", stdin=stream)
    made = store.refs(world, folder)[HEADS + draft.branch]
    after = _tree(world, folder, made)
    if after == before:
        store.run(world, folder, "update-ref", HEADS + draft.branch, tip or "0" * 40)
        raise ServiceError("NoChangeException", "the commit would change nothing")
    tree = store.run(world, folder, "rev-parse", f"{made}^{{tree}}").decode().strip()
    return {
        "commitId": made,
        "treeId": tree,
        "filesAdded": [_told(after[path]) for path in sorted(set(after) - set(before))],
        "filesUpdated": [
            _told(after[path])
            for path in sorted(set(after) & set(before))
            if after[path] != before[path]
        ],
        "filesDeleted": [_told(before[path]) for path in sorted(set(before) - set(after))],
    }


def _parent(world: World, folder: Path, draft: Draft) -> str | None:
    branches = {
        name: commit for name, commit in store.refs(world, folder).items() if name.startswith(HEADS)
    }
    tip = branches.get(HEADS + draft.branch)
    if tip is None and branches:
        message = f"Branch {draft.branch} does not exist"
        raise ServiceError("BranchDoesNotExistException", message)
    if tip and not draft.parent:
        raise ServiceError("ParentCommitIdRequiredException", f"the tip of the branch is {tip}")
    if tip and draft.parent != tip:
        message = f"{draft.parent} is not the tip of the branch, {tip}"
        raise ServiceError("ParentCommitIdOutdatedException", message)
    if draft.parent and tip is None:
        message = f"{draft.parent} does not exist"
        raise ServiceError("ParentCommitDoesNotExistException", message)
    return tip


def _check(draft: Draft, before: Mapping[str, Entry]) -> None:
    paths = [*(one["filePath"] for one in draft.puts), *draft.deletions]
    _check_paths(paths)
    for one in draft.puts:
        if "sourceFile" in one:
            raise unsupported("the parameter putFiles.sourceFile of codecommit:CreateCommit")
        if "fileContent" not in one:
            message = f"{one['filePath']} has no content"
            raise ServiceError("SourceFileOrContentRequiredException", message)
    if absent := [path for path in draft.deletions if path not in before]:
        raise ServiceError("FileDoesNotExistException", f"{absent[0]} does not exist")


def _check_paths(paths: list[str]) -> None:
    if not paths:
        raise ServiceError("FileEntryRequiredException", "no file is named")
    if len(paths) > MOST_FILES:
        message = f"at most {MOST_FILES} files can be named at once"
        raise ServiceError("MaximumFileEntriesExceededException", message)
    if len(set(paths)) < len(paths):
        raise ServiceError("SamePathRequestException", "a path is named twice")
    for path in paths:
        if path.startswith("/") or not path or {"", ".", "..", ".git"} & set(path.split("/")):
            raise ServiceError("InvalidPathException", f"{path!r} is no valid path")


def _tree(world: World, folder: Path, commit_id: str) -> dict[str, Entry]:
    listing = store.run(world, folder, "ls-tree", "-r", "-z", "--full-tree", commit_id)
    return {one.path: one for one in _entries(listing)}


def _stream(world: World, draft: Draft, tip: str | None) -> bytes:
    name = re.sub(r"[<>\n]", "", draft.author)
    who = f"{name} <{re.sub('[<>]', '', draft.email)}> {int(world.now().timestamp())} +0000"
    message = draft.message.encode()
    parts = [
        f"commit {HEADS}{draft.branch}\nauthor {who}\ncommitter {who}\n".encode(),
        b"data %d\n%s\n" % (len(message), message),
        f"from {tip}\n".encode() if tip else b"",
    ]
    for one in draft.puts:
        bits = BITS[one.get("fileMode", "NORMAL")]
        content = one["fileContent"]
        parts.append(f"M {bits} inline {_quoted(one['filePath'])}\n".encode())
        parts.append(b"data %d\n%s\n" % (len(content), content))
    parts += [f"D {_quoted(path)}\n".encode() for path in draft.deletions]
    return b"".join(parts)


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _told(one: Entry) -> dict[str, str]:
    mode = MODES.get(one.bits, "NORMAL")
    return {"absolutePath": one.path, "blobId": one.id, "fileMode": mode}
