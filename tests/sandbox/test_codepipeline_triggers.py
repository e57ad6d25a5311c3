"""Which pushes start a pipeline: filters of triggers, and sources that detect changes."""

from __future__ import annotations

import pytest
from pipelines import action, stage
from test_codeconnections import SERVICES

from seedbed.sandbox.services.codepipeline import triggers
from seedbed.sandbox.services.git import store
from seedbed.sandbox.services.git.store import Change, Push
from seedbed.sandbox.world import World

ARN = f"arn:aws:{SERVICES[0]}:eu-west-1:333333333333:connection/c"
MAIN = {"branches": {"includes": ["main"]}}
RELEASES = {"branches": {"includes": ["release/**"], "excludes": ["release/old*"]}}
SOURCES = {"branches": {"includes": ["main"]}, "filePaths": {"includes": ["src/**"]}}
NO_TESTS = {"branches": {"includes": ["main"]}, "filePaths": {"excludes": ["**/test_*.py"]}}
TAGS = {"tags": {"includes": ["v*"], "excludes": ["v0*"]}}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def commits(world, tmp_path):
    """Return a function that makes a commit which adds a file."""
    folder = tmp_path / "bare"
    store.create(world, folder)
    tips = []

    def commit(path):
        parent = f"from {tips[-1]}\n" if tips else ""
        said = "commit refs/heads/main\ncommitter a <a> 0 +0000\ndata 1\nm\n"
        stream = f"{said}{parent}M 100644 inline {path}\ndata 1\n1\n"
        store.run(world, folder, "fast-import", "--quiet", "--force", stdin=stream.encode())
        tips.append(store.refs(world, folder)["refs/heads/main"])
        return tips[-1]

    return folder, commit


def started(world, folder, change, *filters, detects="false"):
    said = {"ConnectionArn": ARN, "FullRepositoryId": "owner/churn", "BranchName": "main"}
    source = action("Source", "CodeStarSourceConnection", DetectChanges=detects, **said)
    declared = {"stages": [stage("Source", source)], "triggers": []}
    if filters:
        git = {"sourceActionName": "Source", "push": [one for one in filters if one]}
        declared["triggers"] = [{"gitConfiguration": git}]
    push = Push("owner/churn", folder, (change,))
    return list(triggers.started_by(world, push, declared))


@pytest.mark.parametrize(
    ("trigger", "ref", "path", "starts"),
    [
        (MAIN, "heads/main", "a", True),
        (MAIN, "heads/topic", "a", False),
        (MAIN, "tags/main", "a", False),
        (RELEASES, "heads/release/1/x", "a", True),
        (RELEASES, "heads/release/old1", "a", False),
        (RELEASES, "heads/release/old/1", "a", True),
        (RELEASES, "heads/main", "a", False),
        (SOURCES, "heads/main", "src/deep/b.py", True),
        (SOURCES, "heads/main", "docs/a", False),
        (SOURCES, "heads/topic", "src/a", False),
        (NO_TESTS, "heads/main", "src/test_a.py", False),
        (NO_TESTS, "heads/main", "src/b.py", True),
        (TAGS, "tags/v1", "a", True),
        (TAGS, "tags/v0.1", "a", False),
        (TAGS, "tags/x", "a", False),
        (TAGS, "heads/v1", "a", False),
        ({}, "heads/main", "a", True),
        ({}, "heads/topic", "a", False),
    ],
)
def test_a_filter(world, commits, trigger, ref, path, starts):  # noqa: PLR0917
    folder, commit = commits
    before, after = commit("first"), commit(path)
    change = Change(f"refs/{ref}", before, after)
    found = started(world, folder, change, trigger)
    assert len(found) == starts
    if starts:
        key, name = ref.split("/", 1)
        said = {"branch" if key == "heads" else "tag": name, "revision": after}
        assert found[0].overrides == {"Source": said}


def test_one_filter_of_several_is_enough(world, commits):
    folder, commit = commits
    change = Change("refs/tags/v1", None, commit("a"))
    assert started(world, folder, change, MAIN, TAGS)


def test_a_new_branch_has_all_its_files(world, commits):
    folder, commit = commits
    change = Change("refs/heads/main", None, commit("src/a"))
    assert started(world, folder, change, SOURCES)


def test_a_deleted_branch_starts_nothing(world, commits):
    folder, commit = commits
    change = Change("refs/heads/main", commit("a"), None)
    assert not started(world, folder, change, MAIN)


@pytest.mark.parametrize(
    ("detects", "branch", "starts"),
    [("true", "main", True), ("true", "topic", False), ("false", "main", False)],
)
def test_detection_without_a_trigger(world, commits, detects, branch, starts):
    folder, commit = commits
    change = Change(f"refs/heads/{branch}", None, commit("a"))
    assert len(started(world, folder, change, detects=detects)) == starts


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("a/b", "a/*", True),
        ("a/b/c", "a/*", False),
        ("a/b/c", "a/**", True),
        ("ab", "a?", True),
        ("a/", "a?", False),
        ("a.b", "a.b", True),
        ("axb", "a.b", False),
    ],
)
def test_a_pattern(name, pattern, fits):
    assert triggers.matches(name, pattern) == fits
