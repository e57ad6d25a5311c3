"""`copier update` keeps a project's edits, by whichever route it was born."""

import subprocess
import sys

import pytest
from conftest import ROUTES, TEMPLATES, born, commit, git, make_repository

from seedbed import catalog, compose

NEWER = "The next version says so here.\n"


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """A repository with v0.1.0 and, in the working tree of `main`, v0.2.0 of the templates."""
    repository = make_repository(tmp_path_factory.mktemp("releases") / "repository", "v0.1.0")
    readme = repository / "layers" / "model-build" / "README.md.jinja"
    readme.write_text(readme.read_text() + NEWER)
    project = repository / "pyproject.toml"
    version = f'version = "{catalog_version(project)}"'
    project.write_text(project.read_text().replace(version, 'version = "0.2.0"'))
    compose.write(repository, compose.compose(repository))
    commit(repository, "v0.2.0")
    return repository


def catalog_version(pyproject):
    return pyproject.read_text().split('version = "')[1].split('"')[0]


@pytest.mark.parametrize("route", ROUTES)
def test_update_merges_local_edits(route, releases, tmp_path, monkeypatch):
    git(releases, "checkout", "--quiet", "v0.1.0")
    project = born(route, TEMPLATES[0], tmp_path / "in" / "project", releases, {"owner": "bank"})
    config = project / "config" / "dev.yml"
    config.write_text(config.read_text().replace("seed: 42", "seed: 7"))
    git(project, "init", "--quiet")
    commit(project)

    settings = tmp_path / "gitconfig"
    address = catalog.load(releases).repository
    settings.write_text(
        f'[user]\n name = T\n email = t@example.com\n[url "{releases}"]\n insteadOf = {address}\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    command = [sys.executable, "-m", "copier", "update", "--defaults", "--quiet"]
    subprocess.run(command, cwd=project, check=True)

    assert "seed: 7" in config.read_text()
    assert NEWER in (project / "README.md").read_text()
    answers = (project / ".copier-answers.yml").read_text()
    assert "_commit: 'v0.2.0'" in answers
    assert "owner: 'bank'" in answers
    assert not list(project.rglob("*.rej"))
    assert "<<<<<<<" not in "".join(p.read_text() for p in project.glob("*.md"))
