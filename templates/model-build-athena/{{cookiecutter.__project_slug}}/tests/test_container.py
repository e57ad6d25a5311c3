"""The laptop runs what the container holds, and nothing is installed at run time."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONTAINER = json.loads((ROOT / "config" / "container.json").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


def test_the_projects_pins_are_the_containers():
    pinned = dict(re.findall(r"([a-z-]+)==([^; ]+)", " ".join(PROJECT["dependencies"])))
    assert pinned.pop("xgboost-cpu") == pinned["xgboost"]  # the same library, without GPU code
    assert pinned == CONTAINER["libraries"]
    for name, version in pinned.items():
        assert f"\n{name}=={version}" in "\n" + LOCK


def test_the_laptop_may_run_the_containers_python():
    lowest, below = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    assert int(lowest) <= int(CONTAINER["python"].split(".")[1]) < int(below)


def test_nothing_is_installed_at_run_time():
    assert not list((ROOT / "jobs").glob("requirements*.txt"))
    for job in (ROOT / "jobs").glob("*.py"):
        assert not re.search(r"pip['\", ]+install", job.read_text()), job
