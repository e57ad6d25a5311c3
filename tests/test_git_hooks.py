"""The git hooks that projects and this repository share stop what they should."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, TEMPLATES, born, commit, git

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def project(repository, tmp_path_factory):
    path = born(
        "folder", TEMPLATES[0], tmp_path_factory.mktemp("hooks") / "project", repository, {}
    )
    git(path, "init", "--quiet")
    (path / ".venv").symlink_to(BIN.parent)
    commit(path)
    return path


def run_hooks(project):
    command = [str(BIN / "pre-commit"), "run", "--all-files"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True)


def test_a_fresh_project_passes_its_own_hooks(project):
    done = run_hooks(project)
    assert done.returncode == 0, done.stdout


SEEDED = {
    "merge-conflict": ("notes.txt", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> theirs\n"),
    "large-files": ("large.csv", "1,2,3\n" * 200_000),
    "secrets": ("settings.py", 'PASSWORD = "' + "AKIA" + "IOSFODNN7" + "EXAMPLF" + '"\n'),
    "ruff-format": ("bad.py", "x = {  'a':1}\n"),
}


@pytest.mark.parametrize("hook", SEEDED)
def test_a_seeded_defect_is_stopped(hook, project):
    name, content = SEEDED[hook]
    (project / name).write_text(content)
    git(project, "add", name)
    try:
        done = run_hooks(project)
    finally:
        git(project, "rm", "--force", "--quiet", name)
    assert done.returncode == 1
    assert f"hook id: {hook}" in done.stdout


def test_the_repository_also_guards_its_composed_templates():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    projects = yaml.safe_load((ROOT / "hooks" / "pre-commit.yml").read_text())
    assert {hook["id"] for hook in hooks} == {hook["id"] for hook in projects}
    assert "compose" in {hook["id"] for hook in hooks}
