"""Git plumbing: commands with one-line errors, and objects by name."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, Self

from seedbed.errors import SeedbedError

OLDEST = (2, 38)  # the first with `merge-tree --write-tree`
SYMLINK, SUBMODULE = "120000", "160000"
_BATCH = 500  # names of objects asked for at once: they fit into a pipe, so that nobody waits
# What a hook or a script may have exported to point git at another repository.
_FOREIGN = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
)


class Entry(NamedTuple):
    """A file as git keeps it: mode ("100644", "100755", "120000" or "160000") and object id."""

    mode: str
    oid: str


Tree = dict[
    str, Entry
]  # by path with slashes; undecodable names carry surrogates, as os.fsdecode does


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which git finds its repository by folder, and speaks English."""
    clean = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    return clean | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"} | more


def run(
    *args: str, cwd: Path | None = None, feed: bytes = b"", env: Mapping[str, str] | None = None
) -> bytes:
    """Run git and return what it printed.

    Raises:
        SeedbedError: git is missing, or failed: with the last line that it said.
    """
    code, out, said = attempt(*args, cwd=cwd, feed=feed, env=env)
    if code:
        raise SeedbedError(f"git {args[0]}: {said or f'exit code {code}'}")
    return out


def attempt(
    *args: str, cwd: Path | None = None, feed: bytes = b"", env: Mapping[str, str] | None = None
) -> tuple[int, bytes, str]:
    """Run git and return its exit code, what it printed, and its last error line."""
    try:
        done = subprocess.run(  # noqa: S603  (arguments are a list; addresses stand after `--`)
            ("git", *args),  # noqa: S607
            cwd=cwd,
            input=feed,
            capture_output=True,
            check=False,
            env=env or environment(),
        )
    except FileNotFoundError:
        raise SeedbedError("git: not found; install git 2.38 or newer") from None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    said = (fatal or lines or [""])[-1].removeprefix("fatal: ").removeprefix("error: ")
    return done.returncode, done.stdout, said


def require() -> None:
    """Check git's version.

    Raises:
        SeedbedError: it is older than 2.38.
    """
    said = run("version").decode()
    found = re.search(r"(\d+)\.(\d+)", said)
    if not found or (int(found[1]), int(found[2])) < OLDEST:
        raise SeedbedError(f"git: {said.strip()!r} is too old; install git 2.38 or newer")


class Objects:
    """A repository's objects by name, through one `git cat-file --batch`; a context manager."""

    def __init__(self, git_dir: Path) -> None:
        """Begin to read the repository at `git_dir`."""
        self.git_dir = git_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._loaded: dict[str, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process behind the reader."""
        if self._process:
            for pipe in _pipes(self._process):
                pipe.close()
            self._process.wait()
            self._process = None

    def get(self, name: str) -> tuple[str, str, bytes] | None:
        """Return id, type and content of the object that `name` says, or None."""
        if "\n" in name:
            return None
        self._ask(name)
        return self._answer()

    def load(self, oids: Iterable[str]) -> None:
        """Read these blobs ahead: a batch costs less than as many questions."""
        wanted = [oid for oid in dict.fromkeys(oids) if oid not in self._loaded]
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            self._ask(*batch)
            for oid in batch:
                found = self._answer()
                if found:
                    self._loaded[oid] = found[2]

    def blob(self, oid: str) -> bytes:
        """Return the content of blob `oid`."""
        if oid in self._loaded:
            return self._loaded[oid]
        found = self.get(oid)
        if found is None:
            raise SeedbedError(
                f"git: object {oid} is missing in {self.git_dir}; run git fsck there"
            )
        return found[2]

    def _ask(self, *names: str) -> None:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603
                ("git", f"--git-dir={self.git_dir}", "cat-file", "--batch"),  # noqa: S607
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
            )
        stdin, _ = _pipes(self._process)
        with suppress(BrokenPipeError):  # then there is no answer either
            stdin.write(b"".join(os.fsencode(name) + b"\n" for name in names))
            stdin.flush()

    def _answer(self) -> tuple[str, str, bytes] | None:
        if self._process is None:
            return None
        _, stdout = _pipes(self._process)
        head = stdout.readline().split()
        if len(head) != 3 or not head[2].isdigit():  # noqa: PLR2004  (id, type, size)
            return None
        content = stdout.read(int(head[2]))
        stdout.read(1)
        return head[0].decode(), head[1].decode(), content

    def tree(self, name: str) -> Tree | None:
        """Return every file below the tree that `name` says, or None when there is no such tree."""
        found = self.get(name)
        if found is None or found[1] != "tree":
            return None
        files: Tree = {}
        self._walk(found[2], len(found[0]) // 2, "", files)
        return files

    def _walk(self, raw: bytes, width: int, prefix: str, files: Tree) -> None:
        at = 0
        while at < len(raw):
            space = raw.index(b" ", at)
            end = raw.index(b"\0", space)
            mode, path = raw[at:space].decode(), prefix + os.fsdecode(raw[space + 1 : end])
            at = end + 1 + width
            oid = raw[end + 1 : at].hex()
            if mode == "40000":
                self._walk(self.blob(oid), width, path + "/", files)
            else:
                files[path] = Entry(mode, oid)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError(process.args)  # both are pipes: `get` asks for them
    return process.stdin, process.stdout


def index_lines(entries: Sequence[tuple[str, Entry | None, int]], width: int) -> bytes:
    """Return rows of path, entry (None removes) and stage as `update-index --index-info` input."""
    lines = []
    for path, entry, stage in entries:
        mode, oid = entry or ("0", "0" * width)
        lines.append(f"{mode} {oid} {stage}\t".encode() + os.fsencode(path) + b"\0")
    return b"".join(lines)


def above(path: str) -> list[str]:
    """Return the folders that `path` is in, the outermost first."""
    return [path[:at] for at, letter in enumerate(path) if letter == "/"]
