"""A release goes out only if projects of earlier versions reach it with every edit kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import synthetic
from synthetic import BODY, RELEASES, Files, git, repository

from seedbed import release
from seedbed.errors import SeedbedError
from seedbed.upgrade.merge import Conflict, Merged

AT = f"templates/alpha/{BODY}"


def made(version: str, files: Files, changes: str = "") -> Files:
    changes = changes or f"# Changes\n\n## {version}\n- something\n"
    return {
        **files,
        "pyproject.toml": f'[project]\nname = "t"\nversion = "{version}"\n'.encode(),
        "CHANGELOG.md": changes.encode(),
    }


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """Every release but the last, which is on the branch and has no tag yet."""
    files = {tag: made(tag[1:], make()) for tag, make in RELEASES.items()}
    repo = repository(tmp_path_factory.mktemp("release") / "repo", files)
    git("tag", "-d", "v2.1.0", cwd=repo)
    return repo


@pytest.fixture
def repo(released, tmp_path) -> Path:
    return synthetic.copy(released, tmp_path / "repo")


def change(repo: Path, path: str, content: bytes | None) -> None:
    target = repo / path
    if content is None:
        target.unlink()
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def test_a_good_release_passes_from_every_version(repo):
    before = git("status", "--porcelain", cwd=repo), git("count-objects", "-v", cwd=repo)
    report = release.check(repo)
    assert report.problems == ()
    assert report.exit_code == 0
    assert report.version == "v2.1.0"
    assert len(report.checked) == 2 * len(["v1.0.0", "v1.1.0", "v1.2.0", "v2.0.0"])
    assert any("upgraded with --set cost_center=VALUE" in note for note in report.notes)
    assert (git("status", "--porcelain", cwd=repo), git("count-objects", "-v", cwd=repo)) == before


def test_only_the_given_versions_are_checked(repo):
    report = release.check(repo, since=["v2.0.0"])
    assert [line.split(":")[0] for line in report.checked] == ["v2.0.0 alpha", "v2.0.0 beta"]
    with pytest.raises(SeedbedError, match="--since: there is no version 'v9'"):
        release.check(repo, since=["v9"])


def test_without_tags_head_stands_for_the_earlier_version(repo):
    for tag in git("tag", cwd=repo).split():
        git("tag", "-d", tag, cwd=repo)
    report = release.check(repo)
    assert report.exit_code == 0
    assert "no earlier version is tagged: checked from HEAD to the working tree" in report.notes
    assert report.checked[0].startswith("HEAD alpha: ")
    change(repo, f"{AT}/pipeline/steps.py", None)
    change(repo, f"{AT}/pipeline/stages.py", synthetic.STEPS.encode())
    assert "became pipeline/stages.py" in release.check(repo).problems[0]


def test_an_undeclared_rename_is_refused(repo):
    text = (repo / AT / "pipeline/steps.py").read_bytes()
    change(repo, f"{AT}/pipeline/steps.py", None)
    change(repo, f"{AT}/pipeline/stages.py", text + b"# more\n")
    report = release.check(repo, since=["v2.0.0"])
    assert report.exit_code == 1
    assert len(report.problems) == 1
    assert "pipeline/steps.py became pipeline/stages.py" in report.problems[0]
    declared = b"'2.1.0': {renames: {pipeline/steps.py: pipeline/stages.py}}\n"
    change(repo, "templates/alpha/changelog/alpha.yml", declared)
    assert release.check(repo, since=["v2.0.0"]).problems == ()


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("Makefile: make/file", "renames Makefile, which is still there"),
        ("notes.txt: other.txt", "renames notes.txt to other.txt, which is not there"),
    ],
)
def test_a_rename_that_is_none_is_refused(declared, said, repo):
    row = f"'2.1.0': {{renames: {{{declared}}}}}\n".encode()
    change(repo, "templates/alpha/changelog/alpha.yml", row)
    assert any(said in problem for problem in release.check(repo, since=["v1.0.0"]).problems)


@pytest.mark.parametrize(
    "declared", [b"'x': {renames: {a: b}}", b"'2.0': [a]", b"'2.0': {renames: {a/: b}}", b": ["]
)
def test_a_changelog_of_another_form_is_one_line(declared, repo):
    change(repo, "templates/alpha/changelog/alpha.yml", declared)
    problems = release.check(repo, since=["v2.0.0"]).problems
    assert "templates/alpha/changelog/alpha.yml: " in problems[0]
    assert "\n" not in problems[0]


def test_a_conflict_in_a_file_that_the_user_never_touched_is_refused(repo):
    for path in sorted((repo / AT / "config").iterdir()):
        path.unlink()
    (repo / AT / "config").rmdir()
    change(repo, f"{AT}/config", b"a file where the user has a folder\n")
    problems = release.check(repo, since=["v2.0.0"]).problems
    assert any("own files" in p and "never touched: config: new" in p for p in problems)


def broken(monkeypatch, spoil) -> None:
    real = release.merge

    def merge(scratch, ours, *rest):
        return spoil(real(scratch, ours, *rest), ours)

    monkeypatch.setattr(release, "merge", merge)


def without_last(merged: Merged, _: object) -> Merged:
    path = "pipeline/steps.py"
    return Merged({p: e for p, e in merged.tree.items() if p != path}, merged.conflicts)


def made_up(merged: Merged, _: object) -> Merged:
    return Merged(merged.tree, (*merged.conflicts, Conflict("README.md", "made up")))


def as_before(merged: Merged, ours: dict) -> Merged:
    return Merged(dict(ours), merged.conflicts)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_last, "pipeline/steps.py: the edit is lost"),
        (
            made_up,
            "edit 'none': conflict in a file that the user never touched: README.md: made up",
        ),
        (as_before, "Makefile: the user never touched it, and it is not as the release has it"),
    ],
)
def test_what_a_merge_must_not_do_is_seen(spoil, said, repo, monkeypatch):
    broken(monkeypatch, spoil)
    assert any(said in problem for problem in release.check(repo, since=["v2.0.0"]).problems)


def test_an_answer_that_is_no_longer_taken_is_refused(repo):
    chooser = (repo / "copier.yml").read_bytes()
    change(repo, "copier.yml", chooser.replace(b"^[A-Z]", b"^[0-9]"))
    problems = release.check(repo, since=["v2.0.0"]).problems
    assert "project_name: 'My Model' must start" in problems[0]


def test_the_changelog_needs_the_version(repo):
    change(repo, "CHANGELOG.md", b"# Changes\n\n## 2.0.0\n")
    assert "CHANGELOG.md: has no section `## 2.1.0`; write it" in release.check(repo).problems


def test_a_version_is_released_once(repo):
    git("tag", "v2.1.0", cwd=repo)
    assert release.check(repo).problems == ()
    change(repo, f"{AT}/Makefile", b"all:\n")
    problems = release.check(repo).problems
    assert "pyproject.toml: version 2.1.0 is released; raise it" in problems


def test_what_is_no_template_repository_is_one_line(tmp_path):
    git("init", "-q", cwd=tmp_path)
    with pytest.raises(SeedbedError, match="has no commit yet"):
        release.check(tmp_path)
    synthetic.save(tmp_path)
    with pytest.raises(SeedbedError, match=r"pyproject.toml tells no version"):
        release.check(tmp_path)
    shutil.rmtree(tmp_path / ".git")
    with pytest.raises(SeedbedError, match="is in no git work tree"):
        release.check(tmp_path)
