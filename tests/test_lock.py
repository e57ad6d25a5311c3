"""What runs our tests is what a project's laptop runs."""

import re

import pytest
from conftest import ROOT

PROJECT = ROOT / "layers" / "model-build"


def pins(path):
    """Return name -> versions of a lock file; a package may have one for each Python."""
    found = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def test_a_project_locks_the_versions_that_its_jobs_are_tested_with_here():
    ours, theirs = pins(ROOT / "requirements" / "dev.lock"), pins(PROJECT / "requirements.lock")
    assert {name: ours[name] for name in theirs} == theirs


def test_a_project_asks_for_the_same_requirements_as_our_dev_group():
    ours = (ROOT / "pyproject.toml").read_text()
    project = (PROJECT / "pyproject.toml.jinja").read_text()
    theirs = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    for requirement in re.findall(r'^  "([a-z-]+==[^"]*)"', theirs[1], re.MULTILINE):
        assert f'"{requirement}"' in ours


@pytest.mark.parametrize(
    "lock",
    [*sorted((ROOT / "requirements").glob("*.lock")), PROJECT / "requirements.lock"],
    ids=str,
)
def test_locks_hold_hashes_and_no_index_address(lock):
    text = lock.read_text()
    assert "://" not in text
    assert text.count("--hash=sha256:") >= len(pins(lock))


def test_a_wheelhouse_holds_what_a_projects_makefile_installs_first():
    wanted = re.search(r"^UV_VERSION := (\S+)", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert pins(ROOT / "servicecatalog" / "wheels.lock") == {"uv": {wanted[1]}}
