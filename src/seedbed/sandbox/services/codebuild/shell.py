"""The shell of a build: its commands one after the other, in one process group.

Each command is a script of its own that takes up the variables and the directory that the one
before it left, as CodeBuild's agent does it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from seedbed.sandbox.world import Leashed, World

# Runs what it reads the path of, until its input ends; output goes where its own goes.
DRIVER = """
while IFS= read -r script; do
  "$0" "$script" </dev/null
  echo $? > "$script.draft"
  mv "$script.draft" "$script.code"
done
"""
SCRIPT = """
if [ -f '{state}/env.sh' ]; then . '{state}/env.sh'; fi
cd "$(cat '{state}/dir')" || exit 1
set -a
{variables}
{command}
set -- $?
set +a
export -p > '{state}/env.sh'
pwd > '{state}/dir'
exit "$1"
"""
PAUSE = 0.02  # seconds between two looks at a command that runs
CUT = 137  # the code of a command whose shell was killed from within


class Ended(Exception):  # noqa: N818 (why a build ends early: no error)
    """The build is to end now: it is stopped, its time is over, or the sandbox goes down."""


class Shell:
    """Runs a build's commands; `check` is asked while one runs and raises `Ended`."""

    def __init__(
        self,
        world: World,
        folder: Path,
        shell: str,
        environment: Mapping[str, str],
        *,
        check: Callable[[], None],
        heard: Callable[[str], None],
    ) -> None:
        self._world = world
        self._shell = shell
        self._environment = environment
        self._check, self._heard = check, heard
        self._state = folder / "state"
        self._state.mkdir()
        (self._state / "dir").write_text(environment["CODEBUILD_SRC_DIR"])
        self._output = folder / "output"
        self._read = 0
        self._count = 0
        self._process: Leashed | None = None

    def run(self, command: str, variables: Mapping[str, str]) -> int:
        """Run one command to its end and return its exit code.

        Raises:
            Ended: by `check`; `close` then ends what still runs.
        """
        self._count += 1
        script = self._state / f"{self._count}.sh"
        settings = "\n".join(f"{name}={_quoted(said)}" for name, said in variables.items())
        script.write_text(
            SCRIPT.format(state=self._state, variables=settings, command=command), encoding="utf-8"
        )
        process = self._started()
        assert process.stdin is not None  # noqa: S101 (it is a pipe)
        process.stdin.write(f"{script}\n".encode())
        process.stdin.flush()
        code = script.with_suffix(".sh.code")
        while not code.exists():
            if process.poll() is not None:
                self._tail()
                return CUT
            self._tail()
            self._check()
            self._world.wait(PAUSE)
        self._tail(last=True)
        return int(code.read_text())

    def value(self, text: str, variables: Mapping[str, str]) -> str:
        """Return what a word of the shell's language means now: `name-$(date +%Y)`."""
        target = self._state / "value"
        self.run(f"printf %s \"{text}\" > '{target}'", variables)
        return target.read_text(encoding="utf-8")

    def close(self) -> None:
        """End whatever the commands have left running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.lifeline.close()
            self._process = None
        self._tail(last=True)

    def _started(self) -> Leashed:
        if self._process is None or self._process.poll() is not None:
            with self._output.open("ab") as output:
                self._process = self._world.popen(
                    [self._shell, "-c", DRIVER, self._shell],
                    env=self._environment,
                    cwd=self._environment["CODEBUILD_SRC_DIR"],
                    stdin=-1,
                    stdout=output,
                    stderr=output,
                )
        return self._process

    def _tail(self, *, last: bool = False) -> None:
        """Pass on the lines that were written since the last look."""
        if not self._output.exists():
            return
        with self._output.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = len(new) if last else new.rfind(b"\n") + 1
        self._read += whole
        for line in new[:whole].decode(errors="replace").splitlines():
            self._heard(line)


def _quoted(said: str) -> str:
    return "'" + said.replace("'", "'\\''") + "'"


def host_settings() -> dict[str, str]:
    """Return what the host says of package indexes, caches, proxies and certificates."""
    return {name: os.environ[name] for name in HOST if name in os.environ}


# What a build takes from the host beside PATH: how to reach packages, and where they are kept.
HOST = (
    "PIP_CACHE_DIR",
    "PIP_CERT",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "UV_CACHE_DIR",
    "UV_DEFAULT_INDEX",
    "UV_FIND_LINKS",
    "UV_INDEX_URL",
    "UV_LINK_MODE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
)
