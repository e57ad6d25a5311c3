"""A publish that is killed before or after any of its requests is made good by the next one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from publishing import dump, make_hub, release

DRIVER = Path(__file__).with_name("killed.py")
REQUESTS = 27  # that a first publish sends


def publish(sandbox, folder, when, number):
    """Publish in a process of its own; return its exit code and what it printed."""
    environment = {**os.environ, **sandbox.environment("hub")}
    command = [sys.executable, str(DRIVER), str(folder), when, str(number)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("release")
    release(made, "v0.1.0")
    return made


@pytest.fixture(scope="module")
def whole(sandbox_server, folder):
    """What an undisturbed publish leaves."""
    sandbox_server.reset()
    make_hub(sandbox_server)
    assert publish(sandbox_server, folder, "before", 0) == (0, str(REQUESTS))
    return dump(sandbox_server)


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_next_publish_converges(sandbox, folder, whole, when, number):
    make_hub(sandbox)
    assert publish(sandbox, folder, when, number) == (9, "")
    code, said = publish(sandbox, folder, "before", 0)
    assert code == 0, said
    assert dump(sandbox) == whole
    assert publish(sandbox, folder, "before", 0) == (0, "0")
