"""The project in its repository, and when an upgrade must not touch it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seedbed.errors import SeedbedError
from seedbed.upgrade import git
from seedbed.upgrade.git import SYMLINK, Tree, above
from seedbed.upgrade.scratch import Scratch

_SHOWN = 5  # paths in a message


@dataclass(frozen=True)
class Checkout:
    """A project in its repository; `prefix` is its folder there, empty or with a final slash."""

    path: Path
    top: Path
    prefix: str
    git_dir: Path
    index: Path
    objects: Path
    algorithm: str
    head: str

    @property
    def folder(self) -> Path:
        """Where an upgrade is prepared."""
        return self.git_dir / "seedbed-upgrade"

    @property
    def journal(self) -> Path:
        """What is left to do, once this file is there."""
        return self.folder / "journal.json"

    def scratch(self) -> Scratch:
        """Return a throw-away repository on top of this one."""
        common = self.objects.parent
        return Scratch(
            borrow=self.objects,
            config=common / "config",
            attributes=common / "info" / "attributes",
            work_tree=self.top,
            algorithm=self.algorithm,
        )


def find(path: Path) -> Checkout:
    """Return the checkout at `path`.

    Raises:
        SeedbedError: there is no such folder, it is in no git work tree, or nothing is committed.
    """
    if not path.is_dir():
        raise SeedbedError(f"PATH: {path} is no folder; name a project's folder")
    asked = ("--show-toplevel", "--show-prefix", "--absolute-git-dir", "--show-object-format")
    files = ("--git-path", "index", "--git-path", "objects")
    code, out, _ = git.attempt("rev-parse", *asked, *files, "--verify", "-q", "HEAD", cwd=path)
    lines = os.fsdecode(out).splitlines()
    if not lines:
        raise SeedbedError(f"PATH: {path} is in no git work tree; commit the project to git first")
    if code:
        raise SeedbedError(f"PATH: {path} has no commit yet; commit the project first")
    top, prefix, git_dir, algorithm, index, objects, head = lines
    return Checkout(
        path,
        Path(top),
        prefix,
        Path(git_dir),
        (path / index).absolute(),
        (path / objects).absolute(),
        algorithm,
        head,
    )


@contextmanager
def alone(checkout: Checkout) -> Iterator[None]:
    """Keep other upgrades of this checkout out, also of other folders in it.

    Raises:
        SeedbedError: one is running.
    """
    handle = os.open(checkout.git_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SeedbedError(f"PATH: {checkout.path} is being upgraded; wait for it") from None
        yield
    finally:
        os.close(handle)


def refuse_dirty(checkout: Checkout) -> None:
    """Check that the project's folder is as committed, and HEAD as it was.

    Raises:
        SeedbedError: it is not.
    """
    ask = ("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no", "--no-renames")
    rows = git.run(*ask, "--", ".", cwd=checkout.path).split(b"\0")
    head = [row.split()[-1].decode() for row in rows if row.startswith(b"# branch.oid ")]
    changed = [os.fsdecode(row) for row in rows if row and not row.startswith(b"#")]
    if changed:
        names = [row.split(" ", {"1": 8, "u": 10}.get(row[0], 0))[-1] for row in changed]
        raise SeedbedError(
            f"PATH: {checkout.path} has uncommitted changes ({_some(names)}); commit or stash them"
        )
    if head != [checkout.head]:
        raise SeedbedError(f"PATH: {checkout.path} got a commit meanwhile; run the upgrade again")


def refuse_untracked(checkout: Checkout, before: Tree, after: Tree) -> None:
    """Check that nothing which git does not keep stands where `after` adds a file.

    Raises:
        SeedbedError: something does.
    """
    root, found = checkout.path, set[str]()
    for path in after.keys() - before.keys():
        target = root / path
        found |= {f for f in above(path) if f not in before and _is_file(root / f)}
        if target.is_dir() and not target.is_symlink():
            inside = (f.relative_to(root).as_posix() for f in target.rglob("*") if _is_file(f))
            found |= {f for f in inside if f not in before}
        elif os.path.lexists(target):
            found.add(path)
    if found:
        raise SeedbedError(
            f"PATH: the upgrade would overwrite files that git does not track "
            f"({_some(sorted(found))}); move or commit them"
        )


def cleaned(checkout: Checkout, scratch: Scratch, ours: Tree, tree: Tree) -> Tree:
    """Return `tree` as git would commit it here: through the project's filters, such as LFS."""
    top, names = checkout.top, (*above(checkout.prefix), "")
    files = [top / folder / ".gitattributes" for folder in names]
    texts = [path.read_bytes() for path in files if path.is_file()]
    texts += [scratch.read(e.oid) for p, e in ours.items() if p.endswith(".gitattributes")]
    if not any(b"filter=" in text for text in texts):
        return tree
    listed = b"".join(os.fsencode(checkout.prefix + path) + b"\0" for path in tree)
    said = git.run("check-attr", "-z", "--stdin", "filter", cwd=top, feed=listed).split(b"\0")
    env = git.environment(
        GIT_OBJECT_DIRECTORY=str(scratch.path / "objects"),
        GIT_ALTERNATE_OBJECT_DIRECTORIES=str(checkout.objects),
    )
    result = dict(tree)
    for name, driver in zip(said[::3], said[2::3], strict=False):
        path = os.fsdecode(name).removeprefix(checkout.prefix)
        if driver not in (b"unspecified", b"unset", b"") and tree[path].mode != SYMLINK:
            content = scratch.read(tree[path].oid)
            how = ("hash-object", "-w", "--stdin", f"--path={os.fsdecode(name)}")
            oid = git.run(*how, cwd=top, env=env, feed=content).decode().strip()
            result[path] = tree[path]._replace(oid=oid)
    return result


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
