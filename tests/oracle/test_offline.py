"""What a project compiles follows from its files alone: no machine and no network has a say."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import pytest
from conftest import PROJECTS, importing

COMPILE = """
import sys
from pipeline import pipeline, settings
sys.stdout.write(pipeline.build(settings.Settings.load("dev", {})).definition())
"""
NO_NETWORK = """
import os, socket
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = lambda *_: os._exit(9)
"""


def test_an_attempt_that_a_library_hides_is_noted(attempts):
    with suppress(OSError):
        socket.create_connection(("localhost", 9))
    assert len(attempts) == 1
    attempts.clear()


def test_compiling_elsewhere_gives_the_same_bytes(project, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    elsewhere = tmp_path / "a folder"
    shutil.copytree(project, elsewhere, ignore=shutil.ignore_patterns("__pycache__"))
    here = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)}
    there = {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "LC_ALL": "C", "HOME": ""}
    there |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = set()
    for root, cwd, more in ((project, project, here), (elsewhere, Path("/"), there)):
        path = os.pathsep.join((str(tmp_path), str(root)))
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, **more}
        command = [sys.executable, "-c", COMPILE]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=True)
        found.add(done.stdout)
    with importing(project) as load:
        settings = load("settings").Settings.load("dev", {})
        found.add(load("pipeline").build(settings).definition().encode())
    assert len(found) == 1


FIRST = [next(projects) for _, projects in groupby(PROJECTS, lambda path: path.parent)]


@pytest.mark.parametrize("project", FIRST, ids=lambda path: path.parent.name)
def test_the_escape_hatch_takes_a_tuning_step(project):
    """The project's own test, with the SDK and without a network; one problem type has it all."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "offline"]
    command += ["tests/test_sdk_escape_hatch.py"]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
