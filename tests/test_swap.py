"""A project changes its data source and changes back, and every edit stays."""

import subprocess
import sys

import pytest
import yaml
from conftest import TEMPLATES, born, commit, git, make_repository, tree

from seedbed import catalog

FIRST, *VARIANTS = (name for name in TEMPLATES if name.startswith("model-build-"))
ANSWERS = {"owner": "bank", "project_name": "Credit Risk"}


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """The templates' repository, at the canonical address for whoever asks for that."""
    base = tmp_path_factory.mktemp("origin")
    repository = make_repository(base / "repository", "v0.1.0")
    settings = base / "gitconfig"
    address = catalog.load(repository).repository
    person = "[user]\n name = T\n email = t@example.com\n"
    settings.write_text(f'{person}[url "{repository}"]\n insteadOf = {address}\n')
    return repository, settings


def swap_with_copier(project, template):
    command = [sys.executable, "-m", "copier", "update", "--defaults", "--quiet"]
    subprocess.run([*command, "-d", f"template={template}"], cwd=project, check=True)


def swap_with_seedbed(project, template):
    words = ["upgrade", "--set", f"template={template}", "."]
    command = [sys.executable, "-c", "from seedbed.cli import main; main()", *words]
    subprocess.run(command, cwd=project, check=True)


@pytest.mark.parametrize("swap", [swap_with_copier, swap_with_seedbed])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_s3_project_becomes_another_and_comes_back(variant, swap, origin, tmp_path, monkeypatch):
    repository, settings = origin
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    project = born("chooser", FIRST, tmp_path / "project", repository, ANSWERS)
    for name, old, new in (
        ("config/dev.yml", "seed: 42", "seed: 7"),
        ("jobs/train.py", '"""', '"""Ours. '),
        ("README.md", "## Predict", "## Our own part\n\n## Predict"),
    ):
        path = project / name
        path.write_text(path.read_text().replace(old, new, 1))
    (project / "jobs" / "ours.py").write_text("X = 1\n")
    git(project, "init", "--quiet")
    commit(project)
    before = tree(project)

    swap(project, variant)
    commit(project)
    target = born("chooser", variant, tmp_path / "target", repository, ANSWERS)
    for path in catalog.load(repository).templates[variant].differs:
        if path != ".copier-answers.yml" and (target / path).exists():
            assert (project / path).read_bytes() == (target / path).read_bytes(), path
    assert "seed: 7" in (project / "config" / "dev.yml").read_text()
    assert (project / "jobs" / "ours.py").exists()
    assert "Our own part" in (project / "README.md").read_text()
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    assert (answers["template"], answers["owner"]) == (variant, "bank")

    swap(project, FIRST)
    commit(project)
    after = tree(project)
    paths = {path for path in before.keys() | after.keys() if not path.startswith(".git")}
    paths.discard("reports")  # an empty folder, which git does not keep
    assert {path for path in paths if before.get(path) != after.get(path)} == set()
    assert not list(project.rglob("*.rej"))
