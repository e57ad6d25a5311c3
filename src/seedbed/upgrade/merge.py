"""Three trees into one: what the template did, what the project did, and where they meet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from seedbed.errors import SeedbedError
from seedbed.upgrade import git
from seedbed.upgrade.changelog import renamed
from seedbed.upgrade.git import SUBMODULE, SYMLINK, Entry, Tree, above
from seedbed.upgrade.scratch import Scratch

# Per cent: below it, an undeclared move counts as a deletion and a new file, and is seen as such.
SIMILAR = 80


@dataclass(frozen=True)
class Conflict:
    """A file that needs a person, with the index stages 1 to 3: before, yours, the template's."""

    path: str
    reason: str
    stages: tuple[Entry | None, Entry | None, Entry | None] = (None, None, None)

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Merged:
    """The tree after an upgrade (markers where a conflict has them), conflicts and notes."""

    tree: Tree
    conflicts: tuple[Conflict, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Merge:
    """A merge of `theirs` (new template) into `ours` (project); `base` is the old template.

    `skip` matches paths that belong to the project once they exist, `exclude` those that the new
    template no longer cares for, `replaced` is the one that is always the template's; `renames` are
    declared, oldest first; `prefix` is the project's folder in its repository.
    """

    scratch: Scratch
    base: Tree
    ours: Tree
    theirs: Tree
    version: str = "new"
    prefix: str = ""
    renames: Sequence[tuple[str, str]] = ()
    replaced: str = ""
    skip: Callable[[str], bool] = lambda _: False
    exclude: Callable[[str], bool] = lambda _: False
    merged: Tree = field(default_factory=dict)
    both: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self) -> Merged:
        """Merge: edits follow renames, deleted files stay deleted, all else as git merges files.

        Raises:
            SeedbedError: git cannot merge.
        """
        self.base = {path: entry for path, entry in self.base.items() if not self.exclude(path)}
        self.ours, self.theirs = dict(self.ours), dict(self.theirs)
        for path in sorted(self.base):
            self._declared(path)
        self._guess_template_moves()
        self._guess_project_moves()
        self.merged = dict(self.ours)
        for path in sorted(self.base.keys() | self.theirs.keys()):
            if self.base.get(path) == self.theirs.get(path):
                continue
            if path in self.ours:
                self._settle(path)
            else:
                self._absent(path)
        self._contents()
        self._unblock()
        return Merged(self.merged, tuple(sorted(self.conflicts, key=str)), tuple(self.notes))

    def _declared(self, old: str) -> None:
        """Move a renamed file in `base` and `ours`, if that is what the template made of it."""
        new = renamed(old, self.renames)
        if old in self.theirs or new in self.base or new not in self.theirs:
            return
        if old in self.ours:
            if new in self.ours or _blocked(new, old, self.ours):
                return  # the user has something else there: both are seen as they are
            self.ours[new] = self.ours.pop(old)
        self.base[new] = self.base.pop(old)

    def _guess_template_moves(self) -> None:
        """Let edits follow an undeclared rename in the template, where it is all but certain."""
        base, ours, theirs = self.base, self.ours, self.theirs
        gone = {p: base[p] for p in base if p not in theirs}
        come = {p: theirs[p] for p in theirs if p not in base and p not in ours}
        edited = {p for p in gone if ours.get(p, base[p]) != base[p]}
        for old, new, score in similar(self.scratch, gone, come, edited):
            if not _blocked(new, old, ours):
                base[new], ours[new] = base.pop(old), ours.pop(old)
                self.notes.append(f"{old}: your edits moved to {new} (undeclared; {score}% alike)")

    def _guess_project_moves(self) -> None:
        """Let the template's changes follow a file that the user moved."""
        base, ours, theirs = self.base, self.ours, self.theirs
        gone = {p: base[p] for p in base if p not in ours}
        come = {p: ours[p] for p in ours if p not in base and p not in theirs}
        changed = {p for p in gone if theirs.get(p, base[p]) != base[p]}
        for old, new, score in similar(self.scratch, gone, come, changed):
            base[new], theirs[new] = base.pop(old), theirs.pop(old)
            self.notes.append(f"{old}: changed in {new}, where you moved it ({score}% alike)")

    def _absent(self, path: str) -> None:
        """Decide a path that the template changed and the project does not have."""
        new = self.theirs.get(path)
        if new and (path not in self.base or self.skip(path)):
            self.merged[path] = new
        elif new:
            self.notes.append(f"{path}: stays deleted, though the template changed it")

    def _settle(self, path: str) -> None:
        """Decide a path that the template changed; if the project did too, put it on `both`."""
        mine = self.ours[path]
        was = self._as_ours(mine, self.base.get(path))
        new = self._as_ours(mine, self.theirs.get(path))
        if path == self.replaced and new:
            if was != mine:
                self.notes.append(f"{path}: written anew; it is no place for edits")
            self.merged[path] = new
        elif was == new or (self.skip(path) and (new or was != mine)):
            return
        elif mine in (was, new):
            _put(self.merged, path, new)
        elif new is None:
            self._conflict(path, "deleted by the template, edited by you: kept", was, mine, None)
        elif not _mergeable(was, mine, new):
            self._conflict(path, "changed on both sides, no text: yours is kept", was, mine, new)
        else:
            _put(self.base, path, was)
            self.theirs[path] = new
            self.both.append(path)

    def _as_ours(self, mine: Entry, entry: Entry | None) -> Entry | None:
        """Give a template's file the line ends that the project committed it with."""
        if entry is None or entry.oid == mine.oid or not _mergeable(entry, mine):
            return entry
        content, like = self.scratch.read(entry.oid), self.scratch.read(mine.oid)
        if _binary(content) or _binary(like) or _crlf(content) == _crlf(like):
            return entry
        content = content.replace(b"\r\n", b"\n")
        if _crlf(like):
            content = content.replace(b"\n", b"\r\n")
        return entry._replace(oid=self.scratch.add(content))

    def _contents(self) -> None:
        """Merge the files of `both` line by line, as git does, attributes and drivers included."""
        if not self.both:
            return
        result, clashing = self._git_merge()
        for path in self.both:
            was, mine, new = self.base.get(path), self.ours[path], self.theirs[path]
            if self.prefix + path in clashing:
                reason = "changed on both sides" if was else "new on both sides"
                if _binary(self.scratch.read(mine.oid)):
                    reason += ", no text: yours is kept"
                self._conflict(path, reason, was, mine, new)
            mode = new.mode if was and was.mode == mine.mode else mine.mode
            self.merged[path] = Entry(mode, result[self.prefix + path].oid)

    def _git_merge(self) -> tuple[Tree, set[str]]:
        """Return the merge of the files of `both`, and the paths that clash.

        Moves are settled before: git sees only paths that all have, so it has nothing to guess.
        """
        trees = [
            self.scratch.tree(
                {
                    self.prefix + path: side[path]._replace(mode="100644")
                    for path in self.both
                    if path in side
                }
            )
            for side in (self.base, self.ours, self.theirs)
        ]
        label = f"template-{self.version}"
        root = self.scratch.commit(trees[0])
        self.scratch.commit(trees[1], root, ref="yours")
        self.scratch.commit(trees[2], root, ref=label)
        how = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages")
        code, out, said = self.scratch.git(*how, "yours", label)
        if code not in (0, 1):
            git.require()
            raise SeedbedError(f"git merge-tree: {said}")
        tree, *clashing = out.split(b"\0")
        return self.scratch.files(tree.decode()), {os.fsdecode(name) for name in clashing}

    def _unblock(self) -> None:
        """Keep the user's file or folder where the template adds the other of that name."""
        folders = {folder for path in self.merged for folder in above(path)}
        for path in sorted(self.merged.keys() - self.ours.keys()):
            if path in folders or any(name in self.merged for name in above(path)):
                reason = "new in the template, but a file or folder of yours is in the way"
                self._conflict(path, reason, None, None, self.merged.pop(path))

    def _conflict(
        self, path: str, reason: str, was: Entry | None, mine: Entry | None, new: Entry | None
    ) -> None:
        self.conflicts.append(Conflict(path, reason, (was, mine, new)))


def similar(
    scratch: Scratch, gone: Tree, come: Tree, wanted: set[str] | None = None
) -> Iterable[tuple[str, str, int]]:
    """Yield (old, new, per cent alike) of moves among all that went and came, as git sees them."""
    if not come or not (gone if wanted is None else wanted):
        return
    sides = [scratch.tree(side) for side in (gone, come)]
    how = ("-r", "-z", f"-M{SIMILAR}%", "--no-rename-empty", "--diff-filter=R")
    code, out, said = scratch.git("diff-tree", *how, *sides)
    if code:
        raise SeedbedError(f"git diff-tree: {said}")
    alike = [Counter(entry.oid for entry in side.values()) for side in (gone, come)]
    fields = out.split(b"\0")
    for at in range(0, len(fields) - 2, 3):
        old, new = os.fsdecode(fields[at + 1]), os.fsdecode(fields[at + 2])
        alone = alike[0][gone[old].oid] == alike[1][come[new].oid] == 1  # else it is a toss-up
        if alone and (wanted is None or old in wanted):
            yield old, new, int(fields[at].rpartition(b"R")[2])


def _blocked(path: str, but: str, tree: Tree) -> bool:
    """Tell whether a file in `tree`, other than `but`, is above or below `path`."""
    below = path + "/"
    return any(name in tree for name in above(path) if name != but) or any(
        name.startswith(below) and name != but for name in tree
    )


def _put(tree: Tree, path: str, entry: Entry | None) -> None:
    if entry is None:
        tree.pop(path, None)
    else:
        tree[path] = entry


def _mergeable(*entries: Entry | None) -> bool:
    return all(entry is None or entry.mode not in (SYMLINK, SUBMODULE) for entry in entries)


def _binary(content: bytes) -> bool:
    return b"\0" in content[:8000]  # as git decides it


def _crlf(content: bytes) -> bool:
    """Tell whether most lines end as on Windows."""
    return content.count(b"\r\n") * 2 > content.count(b"\n")


def contents(files: Mapping[str, tuple[str, bytes]], scratch: Scratch) -> Tree:
    """Return rendered files as a tree of `scratch`."""
    return {path: Entry(mode, scratch.add(content)) for path, (mode, content) in files.items()}
