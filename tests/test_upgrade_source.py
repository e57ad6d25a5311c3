"""Where templates come from: folders, bundles, remotes; which version; one cache for many."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import synthetic
from synthetic import (  # noqa: F401
    PAYS,
    RELEASES,
    fixture_born,
    fixture_project,
    fixture_templates,
    git,
    repository,
    save,
)

from seedbed.errors import SeedbedError
from seedbed.upgrade import source as sources
from seedbed.upgrade import upgrade

CANONICAL = "https://user:hunter2@git.invalid/ml/templates.git"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SEEDBED_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "templates"


@pytest.fixture
def remote(tmp_path, monkeypatch, templates) -> str:
    """Return an address that git reaches through ssh, which here is a shell on this machine."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    monkeypatch.setenv("GIT_SSH_VARIANT", "simple")
    return f"ssh://host{templates}"


def comes_from(folder: Path, address: str, version: str = "") -> Path:
    """Let the answers file of a project name another address, and version."""
    path = folder / ".copier-answers.yml"
    lines = [ln for ln in path.read_text().splitlines() if not ln.startswith("_src_path")]
    if version:
        lines = [ln for ln in lines if not ln.startswith("_commit")] + [f"_commit: {version}"]
    path.write_text("\n".join([*lines, f"_src_path: '{address}'", ""]))
    save(folder)
    return folder


def bundle(templates: Path, target: Path) -> Path:
    git("bundle", "create", "-q", str(target), "--all", cwd=templates)
    return target


def test_a_bundle_stands_in_for_the_address_without_a_network(project, templates, tmp_path, cache):
    folder = comes_from(project(), CANONICAL)
    made = bundle(templates, tmp_path / "templates.bundle")
    git("config", f"url.{made}.insteadOf", CANONICAL, cwd=folder)
    outcome = upgrade(folder, set=PAYS)
    assert (outcome.status, outcome.to_version) == ("updated", "v2.1.0")
    assert f"_src_path: '{CANONICAL}'" in (folder / ".copier-answers.yml").read_text()
    assert len(list(cache.glob("*.git"))) == 2


def test_a_folder_stands_in_for_the_address(project, templates, cache):
    folder = comes_from(project(), CANONICAL)
    git("config", f"url.{templates}.insteadOf", CANONICAL, cwd=folder)
    assert upgrade(folder, set=PAYS).status == "updated"
    assert not cache.exists(), "a folder is read where it is"


def test_a_bundle_by_its_path(project, templates, tmp_path):
    folder = comes_from(project(), str(bundle(templates, tmp_path / "templates.bundle")))
    assert upgrade(folder, set=PAYS).status == "updated"


def test_a_remote_is_fetched_once_and_shallow(project, remote, cache):
    folder = comes_from(project(), remote)
    said: list[str] = []
    assert upgrade(folder, set=PAYS, progress=said.append).status == "updated"
    assert [line.split()[0] for line in said] == ["asking", "fetching", "fetching", "merging"]
    entries = sorted(cache.glob("*.git"))
    assert len(entries) == 2
    assert all((entry / "shallow").exists() for entry in entries[:1])
    git("reset", "-q", "--hard", cwd=folder)
    said.clear()
    upgrade(folder, set=PAYS, progress=said.append)
    assert [line.split()[0] for line in said] == ["asking", "merging"]


def test_many_at_once_share_a_cold_cache(born, remote, tmp_path, cache):
    folders = [
        comes_from(synthetic.copy(born("v1.0.0"), tmp_path / str(n) / "my-model"), remote)
        for n in range(8)
    ]
    children = []
    for folder in folders:
        children.append(os.fork())
        if children[-1] == 0:
            try:
                os._exit(upgrade(folder, set=PAYS).status != "updated")
            finally:
                os._exit(3)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    assert len(list(cache.iterdir())) == 2, "nothing is left over"


def test_what_a_killed_fetch_left_is_swept(project, remote, cache):
    young, old = cache / ".new-young", cache / ".new-old"
    for left in (young, old):
        left.mkdir(parents=True)
    yesterday = time.time() - 2 * 24 * 3600
    os.utime(old, (yesterday, yesterday))
    assert upgrade(comes_from(project(), remote), set=PAYS).status == "updated"
    assert young.exists(), "another process may be at it"
    assert not old.exists()


def test_without_a_writable_cache_it_works_too(project, remote, monkeypatch):
    monkeypatch.setenv("SEEDBED_CACHE_DIR", "/dev/null/cache")
    assert upgrade(comes_from(project(), remote), set=PAYS).status == "updated"


def test_an_address_that_is_out_of_reach_is_named_without_its_password(project):
    folder = comes_from(project(), "https://user:hunter2@localhost:1/x.git")
    with pytest.raises(
        SeedbedError, match=r"template https://localhost:1/x.git: .*insteadOf"
    ) as no:
        upgrade(folder)
    assert "hunter2" not in str(no.value)


@pytest.mark.parametrize("written", ["v1.2.0", "1.2.0", "1.2"])
def test_a_version_with_or_without_v(written, project):
    assert upgrade(project(), to=written).to_version == "v1.2.0"


def releases(tmp_path: Path, *tags: str) -> Path:
    files = RELEASES["v1.0.0"]()
    made = {tag: {**files, "templates/alpha/n": tag.encode()} for tag in tags}
    return repository(tmp_path / "templates", made)


@pytest.mark.parametrize(
    ("on", "tags", "newest"),
    [
        ("v1.9.0", ["v1.9.0", "v1.10.0", "v1.11.0rc1"], "v1.10.0"),
        ("v1.11.0rc1", ["v1.10.0", "v1.11.0rc1", "v1.11.0rc2", "not-a-version"], "v1.11.0rc2"),
        ("v1.11.0rc1", ["v1.11.0rc1", "v1.11.0"], "v1.11.0"),
        ("v1.0.0", ["v1.0.0", "v2.0.0.dev1"], "v1.0.0"),
    ],
)
def test_the_newest_release(on, tags, newest, tmp_path):
    folder = synthetic.project(releases(tmp_path, *tags), tmp_path / "p", on)
    outcome = upgrade(folder)
    assert outcome.to_version == newest
    assert outcome.status == ("up-to-date" if newest == on else "updated")


def test_annotated_tags_are_followed(tmp_path):
    repo = releases(tmp_path, "v1.0.0", "v2.0.0")
    for tag in ("v1.0.0", "v2.0.0"):
        git("tag", "-f", "-a", "-m", "release", tag, f"{tag}^{{}}", cwd=repo)
    folder = synthetic.project(repo, tmp_path / "p", "v1.0.0")
    assert upgrade(folder).to_version == "v2.0.0"


@pytest.mark.parametrize("place", ["folder", "remote"])
def test_a_branch_between_versions_and_back(place, tmp_path, request):
    repo = releases(tmp_path, "v1.0.0")
    address = str(repo)
    if place == "remote":
        request.getfixturevalue("remote")
        address = f"ssh://host{repo}"
    folder = comes_from(synthetic.project(repo, tmp_path / "p", "v1.0.0"), address)
    files = RELEASES["v1.0.0"]()
    made = f"templates/alpha/{synthetic.BODY}/Makefile"
    synthetic.commit(repo, {**files, made: b"next:\n"})
    outcome = upgrade(folder, to="main")
    assert outcome.to_version.startswith("v1.0.0-1-g")
    assert (folder / "Makefile").read_text() == "next:\n"
    save(folder)
    assert upgrade(folder).status == "up-to-date"
    synthetic.commit(repo, {**files, made: b"released:\n"}, "v1.1.0")
    assert upgrade(folder).to_version == "v1.1.0"
    assert (folder / "Makefile").read_text() == "released:\n"


def test_a_relative_address_is_looked_for_from_the_project(templates, project):
    folder = project()
    relative = os.path.relpath(templates, folder)
    assert upgrade(comes_from(folder, relative), set=PAYS).status == "updated"


def test_a_repository_without_versions_says_so(project, tmp_path):
    bare = tmp_path / "templates"
    bare.mkdir()
    git("init", "-q", cwd=bare)
    save(bare)
    with pytest.raises(SeedbedError, match=r"has no version 'v1.0.0'; it has no version tags yet"):
        upgrade(comes_from(project(), str(bare)))
    with pytest.raises(SeedbedError, match="comes before any version tag"):
        upgrade(comes_from(tmp_path / "my-model", str(bare), "HEAD"))


@pytest.mark.parametrize(
    ("address", "expanded"),
    [
        ("gh:org/repo", "https://github.com/org/repo.git"),
        ("gl:org/repo.git", "https://gitlab.com/org/repo.git"),
        ("git+https://host/repo", "https://host/repo"),
        ("https://github.com/org/repo", "https://github.com/org/repo.git"),
        ("git@host:org/repo.git", "git@host:org/repo.git"),
    ],
)
def test_short_addresses_mean_what_they_mean_to_copier(address, expanded):
    from copier._vcs import get_repo

    assert sources._expand(address) == expanded == get_repo(address)
