"""The build that seeds, with real git and Copier: what it pushes, adopts, refuses and answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import copier
import pytest
import yaml
from conftest import commit, git
from package_index import Index, alone, served, trust, wheels
from seeding import (
    ADDRESS,
    FUNCTION,
    STACK,
    TEMPLATE,
    build,
    cloudformation,
    core,
    event,
    packed,
    two_releases,
)

from seedbed.packaging import archive

HOSTS = "https://codeconnections.eu-west-1.amazonaws.com/git-http/333333333333/eu-west-1/0a1b-2c3d/"
INSTALL = build.Work.install
AWS = """#!/bin/sh
# `aws s3 cp [--recursive] --only-show-errors s3://bucket/key target`, from a folder
test "$3" = --recursive && exec cp -r "$BUCKETS/${5#s3://}" "$6"
test -f "$BUCKETS/${4#s3://}" && exec cp "$BUCKETS/${4#s3://}" "$5"
echo "fatal error: An error occurred (403): Forbidden" >&2
exit 1
"""


@dataclass
class Place:
    """Where a build runs: a bucket, repositories at a host, an environment."""

    folder: Path
    environment: dict[str, str]
    bundle: str = ""  # the key of the release
    answers: list[dict[str, str]] = field(default_factory=list)

    def release(self, content: bytes, key: str = "") -> str:
        key = key or f"bundles/{archive.sha256(content)}/{TEMPLATE}.bundle"
        path = self.folder / "buckets" / "assets" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return key

    def repository(self, name: str = "acme/churn") -> Path:
        path = self.folder / "host" / f"{name}.git"
        if not path.exists():
            subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
        return path

    def clone(self, name: str = "acme/churn") -> Path:
        target = self.folder / "clone"
        git(self.folder, "clone", "--quiet", str(self.repository(name)), str(target))
        return target

    def heads(self) -> str:
        return git(self.repository(), "for-each-ref")

    def seed(self, kind: str = "Create", **changed) -> dict[str, str]:
        """Run the build for a request and return its answer."""
        changed.setdefault("Bundle", self.bundle)
        with cloudformation() as waiting:
            asked = event(kind, waiting.url, **changed)
            push = kind == "Create"
            result = core.Outcome(changed.get("RepositoryId", "acme/churn"), push=push)
            told = core.environment(asked, result)
            code = build.main({**self.environment, **told})
        (answer,) = waiting.answers
        assert code == (0 if answer["Status"] == "SUCCESS" else 1)
        assert (answer["StackId"], answer["RequestId"]) == (STACK, "request-1")
        assert answer["PhysicalResourceId"] == result.physical_id
        return answer


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_releases(tmp_path_factory.mktemp("templates") / "seedbed")


@pytest.fixture(scope="module")
def first(templates: Path) -> bytes:
    return packed(templates, "v0.1.0")


@pytest.fixture
def place(first: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(build, "WAITS", (0, 0, 0))
    monkeypatch.setattr(build.Work, "install", lambda _: Path(sys.executable))
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "aws").write_text(AWS)
    (tools / "aws").chmod(0o755)
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "BUCKETS": str(tmp_path / "buckets"),
        "ASSET_BUCKET": "assets",
        "URL_SUFFIX": "amazonaws.com",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tmp_path}/host/.insteadOf",
        "GIT_CONFIG_VALUE_0": HOSTS,
    }
    made = Place(tmp_path, environment)
    made.bundle = made.release(first)
    made.repository()
    return made


def refused(place: Place, **changed) -> str:
    """Run a build that must fail and leave the repository as it is; return the reason."""
    before = place.heads()
    answer = place.seed(**changed)
    assert answer["Status"] == "FAILED"
    assert place.heads() == before
    assert "\n" not in answer["Reason"]
    return answer["Reason"]


# What is pushed


def test_an_empty_repository_gets_a_project_that_knows_where_it_comes_from(place):
    answer = place.seed(
        Answers={
            "project_name": "churn",
            "owner": "Risk EU",
            "github_actions": "true",
            "gate_metric": "",
        }
    )
    assert answer["Status"] == "SUCCESS", answer["Reason"]
    assert answer["Reason"] == "acme/churn was seeded from model-build-s3 v0.1.0"
    project = place.clone()
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    assert (answers["_src_path"], answers["_commit"]) == (ADDRESS, "v0.1.0")
    assert (answers["owner"], answers["github_actions"], answers["gate_metric"]) == (
        "Risk EU",
        True,
        "auc",
    )
    assert json.loads((project / core.MARKER).read_text()) == {
        "account": "333333333333",
        "project_id": "p-abc123",
        "project_name": "churn",
        "region": "eu-west-1",
    }
    assert (
        git(project, "log", "--format=%an %s") == "Seedbed Project churn from model-build-s3 v0.1.0"
    )
    assert git(project, "status", "--porcelain", "--ignored") == ""


def test_what_is_pushed_is_what_copier_makes(place, templates, tmp_path):
    place.seed()
    data = {"template": TEMPLATE, "project_name": "churn", "owner": "risk"}
    copier.run_copy(
        str(templates), tmp_path / "ours", data=data, defaults=True, quiet=True, vcs_ref="v0.1.0"
    )
    ours = {p.relative_to(tmp_path / "ours") for p in (tmp_path / "ours").rglob("*") if p.is_file()}
    theirs = {Path(line) for line in git(place.clone(), "ls-files").splitlines()}
    assert theirs == {*ours, Path(core.MARKER)}


@pytest.mark.parametrize(
    "how", [("copier", "update", "--defaults"), ("seedbed", "upgrade")], ids=["copier", "seedbed"]
)
def test_the_project_follows_later_releases_and_stays_this_projects(
    place, templates, how, monkeypatch, tmp_path
):
    place.seed()
    project = place.clone()
    newer = tmp_path / "newer.bundle"
    newer.write_bytes(packed(templates, "v0.1.0", "v0.2.0"))
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f'[url "{newer}"]\n insteadOf = {ADDRESS}\n[user]\n name = T\n email = t@e\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("COPIER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SEEDBED_CACHE_DIR", str(tmp_path / "cache2"))
    command = [sys.executable, "-m", *how, str(project)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((project / ".copier-answers.yml").read_text())["_commit"] == "v0.2.0"
    assert (project / "Makefile").read_text().endswith("# newer\n")
    commit(project)
    git(project, "push", "--quiet")
    assert place.seed()["Reason"] == "acme/churn holds this project already"


def test_another_branch_is_filled(place):
    assert place.seed(Branch="release/1.x")["Status"] == "SUCCESS"
    assert place.heads().split()[-1] == "refs/heads/release/1.x"


def test_the_script_runs_by_itself_on_what_every_image_has(place):
    """To look at a repository it needs no package."""
    place.seed()
    with cloudformation() as waiting:
        asked = event("Create", waiting.url, Bundle=place.bundle)
        told = core.environment(asked, core.outcome(asked))
        done = subprocess.run(
            [sys.executable, "-S", str(FUNCTION / "build.py")],
            env={**place.environment, **told},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert waiting.answers[0]["Reason"] == "acme/churn holds this project already"
    assert "signature" not in done.stdout + done.stderr


@dataclass
class Network:
    """One in which builds reach no index but this machine's, and its wheels."""

    index: Index
    tools: Path  # a virtual environment that nothing is installed into


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("network")
    tools = folder / "tools"
    subprocess.run([sys.executable, "-m", "venv", str(tools)], check=True)
    kept = wheels(folder / "wheels", FUNCTION / "requirements.lock")
    with served(kept, trust(folder)) as index:
        yield Network(index, tools)


@pytest.fixture
def private(place, network, monkeypatch) -> Place:
    """A place whose builds try to install what they need, and reach this machine only."""
    run = build.Work.run

    def quick(work, *words, **options):
        if words[1:3] == ("-m", "venv"):
            return Path(words[3]).symlink_to(network.tools)
        return run(work, *words, **options)

    monkeypatch.setattr(build.Work, "run", quick)
    monkeypatch.setattr(build.Work, "install", INSTALL)
    network.index.asked.clear()
    place.environment |= alone(network.index.trusted)
    place.environment |= {"PIP_RETRIES": "1", "PIP_CONFIG_FILE": os.devnull}
    return place


def house(place: Place, network: Network, *kept: str, python: str = "") -> None:
    """Give the build a wheelhouse of some distributions, as if made for another Python."""
    folder = place.folder / "buckets" / "assets" / "wheelhouse" / "0a1b"
    folder.mkdir(parents=True)
    for wheel in network.index.folder.glob("*.whl"):
        if not kept or wheel.name.partition("-")[0] in kept:
            name = re.sub(r"-cp\d+-cp\d+-", f"-{python}-{python}-", wheel.name)
            shutil.copy(wheel, folder / (name if python else wheel.name))
    place.environment["WHEELHOUSE"] = "s3://assets/wheelhouse/0a1b/"


NOTHING = "No matching distribution found for "
AGAIN = {
    "WHEELHOUSE": "bootstrap again with --set WheelhousePrefix=... (`wheelhouse` in its manifest",
    "INDEX_URL": "bootstrap again with --set PackageIndexUrl=...",
    "": "give the seeder's stack a WheelhousePrefix or a PackageIndexUrl that this network reaches",
}


@pytest.mark.parametrize(
    ("kept", "python", "said"),
    [
        (["none"], "", "s3://assets/wheelhouse/0a1b/ holds no wheel"),
        (["annotated_types"], "", f"ERROR: {NOTHING}colorama=="),
        ([], "cp39", f"ERROR: {NOTHING}markupsafe=="),
    ],
    ids=["empty", "incomplete", "another Python"],
)
def test_a_wheelhouse_that_does_not_fit_is_told(private, network, kept, python, said):
    house(private, network, *kept, python=python)
    # The wheelhouse replaces any index, even one that has what is missing.
    private.environment |= dict.fromkeys(("INDEX_URL", "PIP_INDEX_URL"), network.index.address)
    reason = refused(private)
    assert reason.startswith(f"Copier cannot be installed: {said}")
    assert f"with wheels for Python {sys.version_info[0]}.{sys.version_info[1]}" in reason
    assert AGAIN["WHEELHOUSE"] in reason
    assert network.index.asked == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://127.0.0.1:9/simple", "Connection refused"),
        ("https://127.0.0.1:{port}/nothing", f"{NOTHING}annotated-types=="),
        ("https://localhost:{port}/simple", "hostname 'localhost' doesn't match"),
        ("", "Connection refused"),
    ],
    ids=["wrong port", "wrong path", "wrong name", "none"],
)
def test_an_index_that_is_not_there_is_told(private, network, address, said):
    given = address.format(port=network.index.port)
    private.environment |= {"INDEX_URL": given, "NO_PROXY": "127.0.0.1,localhost"}
    private.environment["no_proxy"] = private.environment["NO_PROXY"]
    reason = refused(private)
    assert reason.startswith("Copier cannot be installed: ERROR: ")
    assert said in reason
    assert AGAIN["INDEX_URL" if given else ""] in reason
    assert not given or f"PackageIndexUrl is '{given}'" in reason


def test_a_wheel_that_is_not_the_locks_is_told(private, network):
    house(private, network)
    for wheel in (private.folder / "buckets").rglob("copier-*.whl"):
        wheel.write_bytes(wheel.read_bytes() + b"more")
    reason = refused(private)
    assert "DO NOT MATCH THE HASHES" in reason
    assert "copier==" in reason
    assert AGAIN["WHEELHOUSE"] in reason


# Retried, foreign and unreachable repositories


def test_a_retried_creation_adopts_what_the_first_one_pushed(place):
    place.seed()
    heads = place.heads()
    answer = place.seed(TemplateVersion="v9.9.9", Bundle=f"bundles/{'f' * 64}/x.bundle")
    assert (answer["Status"], place.heads()) == ("SUCCESS", heads)
    assert answer["Reason"] == "acme/churn holds this project already"


def test_another_projects_repository_is_left_as_it_is(place):
    place.seed(ProjectId="p-other")
    reason = refused(place)
    assert "is of project 'p-other'" in reason
    assert "name an empty repository" in reason


@pytest.mark.parametrize("branch", ["main", "trunk"])
def test_a_repository_with_anything_in_it_is_left_as_it_is(place, branch):
    work = place.folder / "work"
    work.mkdir()
    git(work, "init", "--quiet", "-b", branch)
    (work / "README.md").write_text("mine")
    commit(work)
    git(work, "push", "--quiet", str(place.repository()), branch)
    assert "name an empty repository" in refused(place)


def test_an_update_to_another_repository_looks_and_pushes_nothing(place):
    assert "push the project there first" in refused(place, kind="Update")
    place.seed()
    heads = place.heads()
    assert place.seed("Update")["Status"] == "SUCCESS"
    assert place.heads() == heads


def hook(place: Place, script: str) -> None:
    path = place.repository() / "hooks" / "pre-receive"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_push_that_the_host_refuses_is_told_with_its_words(place):
    hook(place, "echo tried >> tries; echo workflows need the Workflows permission >&2; exit 1")
    reason = refused(place)
    assert "workflows need the Workflows permission" in reason
    assert "git cannot read or fill it" in reason
    assert (place.repository() / "tries").read_text().split() == ["tried"] * 3


def test_a_push_that_fails_once_is_tried_again(place):
    hook(place, "test -f tries || { touch tries; echo busy >&2; exit 1; }")
    assert place.seed()["Status"] == "SUCCESS"


def test_a_push_that_took_effect_though_it_failed_counts(place, monkeypatch):
    push = build.Work.push

    def lost(work):
        push(work)
        raise build.CommandError("the connection was lost")

    monkeypatch.setattr(build.Work, "push", lost)
    assert place.seed()["Status"] == "SUCCESS"
    assert git(place.repository(), "rev-list", "--count", "main") == "1"


def test_a_repository_that_does_not_exist_is_told(place):
    reason = refused(place, RepositoryId="acme/missing")
    assert "git cannot read or fill it" in reason
    assert "acme/missing" in reason


def test_nothing_of_the_users_git_configuration_counts(place, tmp_path):
    home = tmp_path / "elsewhere"
    home.mkdir()
    (home / ".gitconfig").write_text("[commit]\n gpgsign = true\n[core]\n hooksPath = /nowhere\n")
    place.environment |= {"HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
    assert place.seed()["Status"] == "SUCCESS"


# Values and bundles


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"owner": "$(touch owned)"}, "owner is '$(touch owned)': must be 1 to 64"),
        ({"owner": "{{ 7 * 7 }}"}, "owner is '{{ 7 * 7 }}': must be 1 to 64"),
        ({"project_name": "9lives"}, "project_name is '9lives': must be"),
        ({"gate_metric": "speed"}, "gate_metric is 'speed': must be a metric"),
        ({"git_host": "gitea"}, "git_host is 'gitea': 'gitea' is not in"),
        ({"github_actions": "perhaps"}, "github_actions"),
        ({"colour": "red"}, "colour: model-build-s3 has no such question"),
        ({"project_slug": "x"}, "project_slug"),
        ({"_src_path": "x"}, "no question"),
    ],
)
def test_an_answer_that_the_template_does_not_take_is_refused(place, answers, words):
    assert words in refused(place, Answers=answers)
    assert not list(place.folder.rglob("owned"))


def test_the_build_checks_again_what_the_function_checked(place):
    for changed in (
        {"Branch": "$(id)"},
        {"RepositoryId": "../../etc"},
        {"Answers": {"owner": "a\nb"}},
    ):
        with cloudformation() as waiting:
            asked = event("Create", waiting.url, Bundle=place.bundle, **changed)
            told = core.environment(asked, core.Outcome("x", push=True))
            assert build.main({**place.environment, **told}) == 1
        (name,) = changed
        reason = waiting.answers[0]["Reason"]
        assert reason.startswith((name, "owner"))


def test_a_bundle_is_held_against_the_hash_in_its_key(place, first):
    key = place.release(first + b"more", f"bundles/{'a' * 64}/{TEMPLATE}.bundle")
    assert "publish the release again" in refused(place, Bundle=key)


def test_a_bundle_that_cannot_be_read_is_told_with_the_remedy(place):
    reason = refused(place, Bundle=f"bundles/{'b' * 64}/{TEMPLATE}.bundle")
    assert "cannot be read: fatal error: An error occurred (403)" in reason
    assert "seedbed doctor" in reason


def test_a_version_or_template_that_the_bundle_lacks_is_told(place):
    assert "model-build-s3 v0.7.0 cannot be rendered" in refused(place, TemplateVersion="v0.7.0")
    assert "template" in refused(place, Template="model-build-athena")


def test_a_bundle_that_is_none_is_told(place):
    assert "cannot be rendered" in refused(place, Bundle=place.release(b"no bundle"))


def test_whatever_goes_wrong_is_answered(place, monkeypatch):
    monkeypatch.setattr(build.Work, "render", lambda *_: 1 / 0)
    assert refused(place) == "ZeroDivisionError: division by zero"
