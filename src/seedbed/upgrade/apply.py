"""A merged tree into a checkout: prepared beside it, then moved in, and finished if interrupted.

Everything that takes time happens in `<git folder>/seedbed-upgrade/`. Then a journal is put in
place, and from there on the upgrade counts as done: what is left is renaming prepared files over
the old ones and the index, which the next run finishes if this one is killed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seedbed.errors import SeedbedError
from seedbed.upgrade import git
from seedbed.upgrade.checkout import Checkout
from seedbed.upgrade.git import Entry, Tree, above
from seedbed.upgrade.merge import Conflict, Merged
from seedbed.upgrade.scratch import Scratch

_HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def apply(
    checkout: Checkout,
    scratch: Scratch,
    before: Tree,
    merged: Merged,
    outcome: Mapping[str, Any],
) -> None:
    """Bring work tree and index from `before` to `merged`; `outcome` is told when it is done.

    Raises:
        SeedbedError: git or the file system refuses; nothing was touched, or it says how to go on.
    """
    after = merged.tree
    changed = {
        path: after.get(path)
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    }
    shutil.rmtree(checkout.folder, ignore_errors=True)
    try:
        (checkout.folder / "files").mkdir(parents=True)
        _prepare(checkout, scratch, changed, merged.conflicts)
        steps = {
            "index": _digest(checkout.index),
            "folder": str(checkout.path),
            "write": {path: _state(checkout.path / path) for path in changed if changed[path]},
            "delete": {path: _state(checkout.path / path) for path in changed if not changed[path]},
            "outcome": dict(outcome),
        }
        _put_in_place(checkout.journal, json.dumps(steps))
    except BaseException:
        shutil.rmtree(checkout.folder, ignore_errors=True)
        raise
    if finish(checkout) is None:
        raise SeedbedError(f"PATH: git changed {checkout.index} meanwhile; run the upgrade again")


def finish(checkout: Checkout) -> dict[str, Any] | None:
    """Do what the journal says, and return its outcome; None when nothing is left to do.

    Where git has changed the index since the journal was written, a person took over: then the
    journal is dropped, and nothing else is touched.

    Raises:
        SeedbedError: git is at work in the repository, or the file system refuses.
    """
    try:
        steps = json.loads(checkout.journal.read_text("utf-8"))
    except FileNotFoundError:
        shutil.rmtree(checkout.folder, ignore_errors=True)
        return None
    outcome: dict[str, Any] = steps["outcome"]
    prepared, lock = checkout.folder / "index", checkout.index.with_name("index.lock")
    with _signals_held():
        if _digest(prepared) != _digest(checkout.index):
            _lock(checkout, prepared, lock)
            if _digest(checkout.index) != steps["index"]:
                lock.unlink()
                _drop(checkout)
                return None
            try:
                outcome["notes"] += _move_in(
                    Path(steps["folder"]), checkout.folder / "files", steps
                )
            except OSError as error:
                lock.unlink()
                raise SeedbedError(
                    f"PATH: {error.filename}: {error.strerror}; mend that, then upgrade again"
                ) from None
            lock.replace(checkout.index)
        _drop(checkout)
    # only to spare the next `git status` some work, and to show plumbing commands a clean state
    git.attempt("update-index", "-q", "--refresh", cwd=checkout.top)
    return outcome


def _lock(checkout: Checkout, prepared: Path, lock: Path) -> None:
    """Take git's lock of the index, with the new index already in it: nobody sees half a one."""
    try:
        os.link(prepared, lock)
    except FileExistsError:
        if _digest(lock) != _digest(prepared):
            _drop(checkout)
            raise SeedbedError(
                f"PATH: {lock} is there: wait for git to finish, or remove what a killed git left"
            ) from None


def _move_in(root: Path, files: Path, steps: Mapping[str, Any]) -> list[str]:
    """Delete and rename what is still as the journal says; return notes on what is not."""
    for path, state in steps["delete"].items():
        if state and _state(root / path) == state:
            (root / path).unlink()
            _prune(root, path)
    kept = [
        path for path, state in steps["delete"].items() if _state(root / path) not in (None, state)
    ]
    for path, state in steps["write"].items():
        if not os.path.lexists(files / path):
            continue  # moved before
        if _state(root / path) != state:
            kept.append(path)
            continue
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        _rename(files / path, root / path)
    return [f"{path}: left as you changed it meanwhile; `git diff` shows how" for path in kept]


def _drop(checkout: Checkout) -> None:
    checkout.journal.unlink()
    shutil.rmtree(checkout.folder, ignore_errors=True)


def _prepare(
    checkout: Checkout,
    scratch: Scratch,
    changed: Mapping[str, Entry | None],
    conflicts: Sequence[Conflict],
) -> None:
    """Write objects, files as the checkout wants them (line ends, filters), and the index."""
    stages = [
        (checkout.prefix + conflict.path, entry, stage)
        for conflict in conflicts
        for stage, entry in enumerate(conflict.stages, 1)
        if entry
    ]
    entries = [*changed.values(), *(entry for _, entry, _ in stages)]
    scratch.move((entry.oid for entry in entries if entry), checkout.objects)
    index, files = checkout.folder / "index", checkout.folder / "files"
    shutil.copyfile(checkout.index, index)
    env = git.environment(
        GIT_DIR=str(checkout.git_dir), GIT_INDEX_FILE=str(index), GIT_WORK_TREE=str(files)
    )
    width = len(checkout.head)
    rows = [(checkout.prefix + path, entry, 0) for path, entry in changed.items()]
    # removals first: a file may become a folder
    rows.sort(key=lambda row: row[1] is not None)
    _index(git.index_lines(rows, width), files, env)
    names = [path for path, entry, _ in rows if entry]
    listed = b"".join(os.fsencode(name) + b"\0" for name in names)
    git.run("checkout-index", "-z", "-f", "--stdin", cwd=files, env=env, feed=listed)
    if checkout.prefix:
        _lift(files, checkout.prefix)
    if stages:
        gone = [(checkout.prefix + conflict.path, None, 0) for conflict in conflicts]
        _index(git.index_lines([*gone, *stages], width), files, env)


def _index(lines: bytes, cwd: Path, env: Mapping[str, str]) -> None:
    git.run("update-index", "-z", "--index-info", cwd=cwd, env=env, feed=lines)


def _lift(files: Path, prefix: str) -> None:
    inner = files / prefix
    if inner.is_dir():
        lifted = files.with_name("lifted")
        inner.rename(lifted)
        shutil.rmtree(files)
        lifted.rename(files)


def _put_in_place(path: Path, text: str) -> None:
    made = path.with_suffix(".new")
    with made.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)


def _rename(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # the git folder is on another file system
            raise
        beside = target.with_name(f".{target.name}.seedbed")
        shutil.copy2(source, beside, follow_symlinks=False)
        beside.replace(target)


def _prune(root: Path, path: str) -> None:
    for folder in reversed(above(path)):
        with suppress(OSError):
            (root / folder).rmdir()


def _state(path: Path) -> list[int] | None:
    """Return what tells a file from itself after a change, or None where there is no file."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(found.st_mode):
        return None
    return [found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let Ctrl-C and termination wait for the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    held = {number: signal.signal(number, lambda n, _: came.append(n)) for number in _HELD}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler or signal.SIG_DFL)
    for caught in came:
        os.kill(os.getpid(), caught)
