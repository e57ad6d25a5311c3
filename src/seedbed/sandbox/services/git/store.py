"""Bare git repositories on disk, and whoever wants to hear of pushes to them."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seedbed.sandbox.world import World

HEADS = "refs/heads/"
# The user's and the host's configuration must change nothing here.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}
OWNER_AND_NAME = re.compile(r"[A-Za-z0-9_-][\w.-]*(/[A-Za-z0-9_-][\w.-]*)+")


class GitError(Exception):
    """Git said no; the message is its own."""


@dataclass(frozen=True)
class Change:
    """What a push did to one ref; None: it was not there, or is no more."""

    ref: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Push:
    """Changes of one repository at a git host."""

    repository: str
    folder: Path
    changes: tuple[Change, ...]


def run(world: World, folder: Path, *words: str, stdin: bytes = b"") -> bytes:
    """Run git in a bare repository and return its output.

    Raises:
        GitError: It failed.
    """
    try:
        process = world.popen(
            ["git", *words],
            env=ENVIRONMENT,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise GitError(f"git {words[0]}: {folder.name} is gone") from error
    said, trouble = process.communicate(stdin)
    if process.returncode:
        raise GitError(f"git {words[0]}: {trouble.decode(errors='replace').strip()}")
    output: bytes = said
    return output


def create(world: World, folder: Path) -> None:
    """Make an empty bare repository; its HEAD is `main` until a first push tells otherwise."""
    folder.mkdir(parents=True)
    run(world, folder, "init", "--quiet", "--bare", "--initial-branch=main", "--template=")
    (folder / "info").mkdir(exist_ok=True)
    # An archive is the whole tree, as it is, whatever the tree's own attributes say.
    (folder / "info" / "attributes").write_text("* -export-ignore -export-subst\n")


def refs(world: World, folder: Path) -> dict[str, str]:
    """Return every branch and tag with its commit."""
    form = "%(refname) %(objectname) %(*objectname)"
    lines = run(world, folder, "for-each-ref", f"--format={form}").decode().splitlines()
    return {name: commits[-1] for name, *commits in (line.split() for line in lines)}


def commit_of(world: World, folder: Path, revision: str) -> str | None:
    """Return the commit that a branch, tag, full ref or commit id means, or None."""
    if not revision or revision.startswith("-"):
        return None
    for name in (f"{HEADS}{revision}", revision):
        try:
            words = ("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            return run(world, folder, *words).decode().strip()
        except GitError:
            continue
    return None


def archive(world: World, folder: Path, commit: str) -> bytes:
    """Return a commit's files as a zip."""
    return run(world, folder, "archive", "--format=zip", commit)


def head(world: World, folder: Path) -> str:
    """Return the name of the default branch, which need not exist."""
    return run(world, folder, "symbolic-ref", "HEAD").decode().strip().removeprefix(HEADS)


def settle_head(world: World, folder: Path) -> None:
    """Make the first branch that was pushed the default branch."""
    branches = [name for name in refs(world, folder) if name.startswith(HEADS)]
    if branches and HEADS + head(world, folder) not in branches:
        run(world, folder, "symbolic-ref", "HEAD", branches[0])


@contextmanager
def changing(world: World, folder: Path) -> Iterator[list[Change]]:
    """Hold a repository while its refs change; the list is filled at the end with what did."""
    locks: dict[Path, threading.Lock] = world.store("git-locks", "", "")
    with world.lock:
        lock = locks.setdefault(folder, threading.Lock())
    changes: list[Change] = []
    with lock:
        before = refs(world, folder)
        try:
            yield changes
        finally:
            after = refs(world, folder)
            changes += [
                Change(name, before.get(name), after.get(name))
                for name in sorted({*before, *after})
                if before.get(name) != after.get(name)
            ]
            if changes:
                settle_head(world, folder)


# The git hosts: GitHub, GitLab, Bitbucket


def host_folder(world: World, repository: str) -> Path:
    """Return where a repository "at GitHub" lies, whether or not it exists.

    Raises:
        ValueError: That is no owner/name.
    """
    if not OWNER_AND_NAME.fullmatch(repository):
        raise ValueError(f"{repository!r} is no owner/name")
    return world.path("githost") / f"{repository}.git"


def create_host_repository(world: World, repository: str) -> Path:
    """Return the bare repository "owner/name" at the git host, made if need be."""
    folder = host_folder(world, repository)
    with world.lock:
        if not folder.exists():
            create(world, folder)
    return folder


def listeners(world: World) -> dict[str, Callable[[Push], None]]:
    """Return who hears of pushes to the git host, by name: put yourself in."""
    found: dict[str, Callable[[Push], None]] = world.store("git-pushes", "", "")
    return found


def tell(world: World, push: Push) -> None:
    for listener in list(listeners(world).values()):
        world.spawn("git-push", listener, push)
