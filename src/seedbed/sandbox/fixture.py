"""Pytest: `pytest_plugins = ["seedbed.sandbox.fixture"]`, then ask for `sandbox`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedbed.sandbox.handle import Sandbox
from seedbed.sandbox.organisation import Organisation


def start(folder: Path, *, organisation: Path | None = None, seed: int = 0) -> OwnedSandbox:
    """Start a sandbox that ends with this process; `folder` is its own and goes with it.

    Raises:
        RuntimeError: It did not come up; its standard error tells why.
    """
    command = [sys.executable, "-m", "seedbed.sandbox", "--owned"]
    command += ["--folder", str(folder), "--seed", str(seed)]
    command += ["--org", str(organisation)] if organisation else []
    pipe = subprocess.PIPE
    environment = {name: said for name, said in os.environ.items() if name[:4] != "AWS_"}
    process = subprocess.Popen(  # noqa: S603 (ourselves)
        command, stdin=pipe, stdout=pipe, text=True, start_new_session=True, env=environment
    )
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"the sandbox ended with {process.wait()} before it was ready")
    endpoint = json.loads(line)["endpoint"]
    return OwnedSandbox(endpoint, folder, Organisation.load(organisation), process)


class OwnedSandbox(Sandbox):
    """A sandbox in a subprocess of ours."""

    def __init__(
        self,
        endpoint: str,
        folder: Path,
        organisation: Organisation,
        process: subprocess.Popen[str],
    ) -> None:
        super().__init__(endpoint, folder, organisation)
        self.process = process

    def stop(self) -> None:
        """End it by closing the pipe; what does not end by itself is killed."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture(scope="session")
def sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One server a test session: it is cold once."""
    server = start(tmp_path_factory.mktemp("sandbox"))
    yield server
    server.stop()


@pytest.fixture
def sandbox(sandbox_server: Sandbox) -> Sandbox:
    """A sandbox without state."""
    sandbox_server.reset()
    return sandbox_server
