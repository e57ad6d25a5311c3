"""What users do to their files, as a script: each kind of edit on all files that it fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from seedbed.upgrade.git import Entry, Tree
from seedbed.upgrade.questions import ANSWERS
from seedbed.upgrade.scratch import Scratch

MINE = b"# a line of the user's\n"
OWN = "own file of the user.txt"


@dataclass(frozen=True)
class Edited:
    """A project after a scripted edit: its tree, what was touched, and lines to look for."""

    tree: Tree
    touched: set[str]
    lines: Mapping[str, bytes] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


def _untouched(base: Tree, _: Scratch) -> Edited:
    return Edited(dict(base), set())


def _line(place: Callable[[bytes], int]) -> Callable[[Tree, Scratch], Edited]:
    """Add a line of the user's to every other text file."""

    def edit(base: Tree, scratch: Scratch) -> Edited:
        tree, lines = dict(base), dict[str, bytes]()
        for path in _texts(base, scratch)[::2]:
            text = scratch.read(base[path].oid)
            at = place(text)
            glue = b"" if not at or text[at - 1 : at] == b"\n" else b"\n"
            oid = scratch.add(text[:at] + glue + MINE + text[at:])
            tree[path], lines[path] = base[path]._replace(oid=oid), MINE
        return Edited(tree, {*lines}, lines)

    return edit


def _crlf(base: Tree, scratch: Scratch) -> Edited:
    """Commit every text file with Windows line ends and a line more."""
    tree, lines = dict(base), dict[str, bytes]()
    for path in _texts(base, scratch):
        text = scratch.read(base[path].oid).replace(b"\n", b"\r\n")
        mine = MINE.replace(b"\n", b"\r\n")
        tree[path] = base[path]._replace(oid=scratch.add(text + mine))
        lines[path] = mine
    return Edited(tree, {*lines}, lines)


def _deleted(base: Tree, _: Scratch) -> Edited:
    gone = {path for path in sorted(base)[::3] if path != ANSWERS}
    return Edited({p: entry for p, entry in base.items() if p not in gone}, gone, gone=gone)


def _moved(base: Tree, _: Scratch) -> Edited:
    moved = {path for path in sorted(base)[::4] if path != ANSWERS}
    tree = {f"{path}.moved" if path in moved else path: entry for path, entry in base.items()}
    return Edited(tree, moved | {f"{path}.moved" for path in moved})


def _executable(base: Tree, _: Scratch) -> Edited:
    flipped = {"100644": "100755", "100755": "100644"}
    touched = {path for path, entry in base.items() if entry.mode in flipped and path != ANSWERS}
    return Edited(
        {p: e._replace(mode=flipped[e.mode]) if p in touched else e for p, e in base.items()},
        touched,
    )


def _replaced(base: Tree, scratch: Scratch) -> Edited:
    """Write something else, not text, into every third file."""
    content = b"\0" + MINE
    touched = {path for path in sorted(base)[1::3] if path != ANSWERS}
    entry = Entry("100644", scratch.add(content))
    return Edited(
        {**base, **dict.fromkeys(touched, entry)}, touched, dict.fromkeys(touched, content)
    )


def _own(base: Tree, scratch: Scratch) -> Edited:
    """Add a file to every folder."""
    folders = {str(PurePosixPath(path).parent) for path in base}
    added = {str(PurePosixPath(folder) / OWN) for folder in folders}
    tree = base | dict.fromkeys(added, Entry("100644", scratch.add(MINE)))
    return Edited(tree, added, dict.fromkeys(added, MINE))


EDITS: dict[str, Callable[[Tree, Scratch], Edited]] = {
    "none": _untouched,
    "a line at the top": _line(lambda _: 0),
    "a line in the middle": _line(lambda text: text.find(b"\n", len(text) // 2) + 1),
    "a line at the end": _line(len),
    "Windows line ends": _crlf,
    "files deleted": _deleted,
    "files moved": _moved,
    "modes flipped": _executable,
    "files replaced": _replaced,
    "own files": _own,
}


def _texts(base: Tree, scratch: Scratch) -> list[str]:
    texts = (p for p in sorted(base) if b"\0" not in scratch.read(base[p].oid) and p != ANSWERS)
    return [path for path in texts if base[path].mode.startswith("100")]
