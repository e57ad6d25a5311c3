"""`seedbed sandbox up, status, reset, down`: one background process below `.seedbed/sandbox/`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from seedbed.errors import SeedbedError
from seedbed.sandbox.handle import Sandbox
from seedbed.sandbox.organisation import Organisation

HOME = Path(".seedbed/sandbox")
STOP_SECONDS = 15


def up(home: Path = HOME, *, organisation: Path | None = None, port: int = 0) -> Sandbox:
    """Start the sandbox in the background, or return the one that runs.

    Raises:
        SeedbedError: It did not come up; the message ends with where its log is.
    """
    home = home.resolve()
    if (running := _state(home)) is not None:
        return _handle(home, running)
    Organisation.load(organisation)  # a wrong file is told here, not in a log
    (home / "data").mkdir(parents=True, exist_ok=True)
    log = home / "log"
    command = [sys.executable, "-m", "seedbed.sandbox", "--folder", str(home / "data")]
    command += ["--port", str(port)]
    command += ["--org", str(organisation.resolve())] if organisation else []
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 (ourselves)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env={name: said for name, said in os.environ.items() if not name.startswith("AWS_")},
        )
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        raise SeedbedError(
            f"the sandbox ended with {process.wait()} before it was ready; see {log}"
        )
    state = {
        **json.loads(line),
        "started": _start_time(process.pid),
        "organisation": str(organisation.resolve()) if organisation else None,
    }
    _write(home / "state.json", state)
    return _handle(home, state)


def status(home: Path = HOME) -> dict[str, Any] | None:
    """Return what the running sandbox tells of itself, or None if none runs."""
    running = _state(home.resolve())
    return None if running is None else _handle(home.resolve(), running).status()


def reset(home: Path = HOME) -> None:
    """Forget all state of the running sandbox.

    Raises:
        SeedbedError: None runs.
    """
    find(home).reset()


def find(home: Path = HOME) -> Sandbox:
    """Return the running sandbox.

    Raises:
        SeedbedError: None runs.
    """
    running = _state(home.resolve())
    if running is None:
        raise SeedbedError(f"no sandbox runs from {home}; start one with `seedbed sandbox up`")
    return _handle(home.resolve(), running)


def down(home: Path = HOME) -> bool:
    """Stop the sandbox and whatever it started; return whether one ran."""
    home = home.resolve()
    running = _state(home)
    if running is None:
        (home / "state.json").unlink(missing_ok=True)
        return False
    pid = int(running["pid"])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _start_time(pid) == running["started"]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    (home / "state.json").unlink(missing_ok=True)
    return True


def exports(sandbox: Sandbox, account: str = "hub") -> str:
    """Return the shell lines that point any AWS client at the sandbox."""
    told = sandbox.environment(account)
    others = {"AWS_PROFILE", "AWS_SESSION_TOKEN"} - told.keys()  # these would take precedence
    lines = [f"unset {' '.join(sorted(others))}"] if others else []
    lines += [f"export {name}={value}" for name, value in told.items()]
    return "\n".join(lines) + "\n"


def _handle(home: Path, state: dict[str, Any]) -> Sandbox:
    path = Path(state["organisation"]) if state.get("organisation") else None
    return Sandbox(state["endpoint"], home / "data", Organisation.load(path))


def _state(home: Path) -> dict[str, Any] | None:
    """Return the state of a sandbox that truly runs: a pid that was taken again is not ours."""
    try:
        said: dict[str, Any] = json.loads((home / "state.json").read_text(encoding="utf-8"))
        pid, started = int(said["pid"]), said["started"]
    except (OSError, ValueError, KeyError):
        return None
    return said if started is not None and _start_time(pid) == started else None


def _start_time(pid: int) -> str | None:
    """Return when a process started, as the system tells it; None: there is none (or a zombie)."""
    asked = subprocess.run(  # noqa: S603
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)},
    )
    state, _, started = asked.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def _write(path: Path, value: object) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)
