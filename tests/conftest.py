"""Projects as users make them: one helper, four routes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import copier
import pytest
from cookiecutter.main import cookiecutter

from seedbed import catalog, render
from seedbed.sandbox.fixture import sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]  # fixtures: one server a session, empty for each test

ROOT = catalog.CHECKOUT
TEMPLATES = list(catalog.load(ROOT).templates)
ROUTES = ["chooser", "folder", "cookiecutter", "seedbed"]
ORIGIN = ("_commit:", "_src_path:")


@pytest.fixture(autouse=True, scope="session")
def own_git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests from the machine's git configuration and from each other's Copier caches."""
    home = tmp_path_factory.mktemp("home")
    config = home / "gitconfig"
    config.write_text(
        "[user]\n name = Test\n email = test@example.com\n[init]\n defaultBranch = main\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", str(config))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("COPIER_CACHE_DIR", str(home / "copier"))
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        yield


def git(folder: Path, *args: str) -> str:
    """Run git in `folder` and return what it printed."""
    done = subprocess.run(["git", *args], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_repository(target: Path, tag: str) -> Path:
    """Copy what a checkout holds of the templates into a repository of its own, tagged."""
    for name in ("copier.yml", "pyproject.toml"):
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)
    ignore = shutil.ignore_patterns("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
    for name in ("layers", "templates", "hooks", "servicecatalog"):
        shutil.copytree(ROOT / name, target / name, ignore=ignore)
    git(target, "init", "--quiet")
    commit(target, tag)
    return target


def commit(repository: Path, tag: str = "") -> None:
    """Commit everything in `repository`, and tag it if asked."""
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", tag or "edit")
    if tag:
        git(repository, "tag", tag)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the templates as they are in the checkout, tagged v0.1.0."""
    return make_repository(tmp_path_factory.mktemp("seedbed") / "repository", "v0.1.0")


def born(
    route: str, template: str, target: Path, repository: Path, answers: dict[str, Any]
) -> Path:
    """Make a project at `target` by one of the four routes, without trust."""
    folder = repository / "templates" / template
    if route == "chooser":
        data = {"template": template, **answers}
        copier.run_copy(
            str(repository), target, data=data, defaults=True, quiet=True, vcs_ref="HEAD"
        )
    elif route == "folder":
        copier.run_copy(str(folder), target, data=answers, defaults=True, quiet=True)
    elif route == "cookiecutter":
        made = cookiecutter(
            str(repository),
            directory=f"templates/{template}",
            no_input=True,
            extra_context=answers,
            output_dir=str(target.parent),
        )
        Path(made).rename(target)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(catalog, "CHECKOUT", repository)
            render.new(template, target, answers)
    return target


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file and directory below `folder`: its mode and bytes, less the origin lines."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        if path.name == ".copier-answers.yml":
            lines = content.decode().splitlines(keepends=True)
            content = "".join(ln for ln in lines if not ln.startswith(ORIGIN)).encode()
        found[str(path.relative_to(folder))] = (path.stat().st_mode, content)
    return found


@pytest.fixture
def cf(sandbox):
    return sandbox.client("cloudformation")


@pytest.fixture
def sqs(sandbox):
    return sandbox.client("sqs")
