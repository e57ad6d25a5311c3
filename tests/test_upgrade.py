"""From each of four releases to HEAD, with what users do to their files: outcomes as specified."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import copier
import pytest
import synthetic
import yaml
from synthetic import (  # noqa: F401
    BODY,
    PAYS,
    RELEASES,
    files,
    fixture_born,
    fixture_project,
    fixture_templates,
    git,
    repository,
    save,
)

from seedbed.errors import SeedbedError
from seedbed.upgrade import Outcome, upgrade

SINCE = list(RELEASES)[:-1]
HEAD = list(RELEASES)[-1]
LINE = b"# a line of mine\n"


def before(release: str, version: str) -> bool:
    return SINCE.index(release) < list(RELEASES).index(version)


def append(path: Path, line: bytes = LINE) -> None:
    path.write_bytes(path.read_bytes() + line)


# Ten kinds of edits and more: what the user does, what the upgrade says, what the project is then.


@dataclass
class Seen:
    project: Path
    outcome: Outcome
    since: str


@dataclass
class Kind:
    edit: Callable[[Path], object]
    conflicted: Callable[[str], set[str]]
    check: Callable[[Seen], None]


def nothing(_: str) -> set[str]:
    return set()


def untouched_check(seen: Seen) -> None:
    assert "NEW = True" in (seen.project / "pipeline/new.py").read_text()
    assert not (seen.project / "pipeline/plots.py").exists()
    assert not (seen.project / "docs").exists(), "an emptied folder goes too"
    assert (seen.project / "scripts/run.sh").stat().st_mode & stat.S_IXUSR


def apart(project: Path) -> None:
    steps = project / "pipeline/steps.py"
    steps.write_text(steps.read_text().replace("return 8\n", "return 88\n"))


def apart_check(seen: Seen) -> None:
    text = (seen.project / "pipeline/steps.py").read_text()
    assert "return 88\n" in text
    assert "return 11\n" in text


def overlapping(project: Path) -> None:
    config = project / "config/dev.yml"
    config.write_text(config.read_text().replace("00\ndepth", "99\ndepth"))


def overlapping_check(seen: Seen) -> None:
    text = (seen.project / "config/dev.yml").read_text()
    if before(seen.since, "v2.0.0"):
        assert "<<<<<<< yours\nrounds: 499\n=======\nrounds: 500\n>>>>>>> template-v2.1.0" in text
        assert text.endswith("cost_center: c-1\n")
    else:
        assert "rounds: 599\n" in text


def there(project: Path, *names: str) -> Path:
    return next(project / name for name in names if (project / name).exists())


def renamed(project: Path) -> None:
    append(there(project, "docs/über.md", "guide/über.md"))


def renamed_check(seen: Seen) -> None:
    assert (seen.project / "guide/über.md").read_bytes().endswith(b"4\n" + LINE)
    assert not (seen.project / "docs").exists()


def rewritten(project: Path) -> None:
    append(there(project, "pipeline/plots.py", "pipeline/charts.py"))


def rewritten_check(seen: Seen) -> None:
    assert LINE in (seen.project / "pipeline/charts.py").read_bytes()
    assert not (seen.project / "pipeline/plots.py").exists()


def deleted_by_template(project: Path) -> None:
    (project / "notes.txt").touch()
    append(project / "notes.txt")


def deleted_by_template_check(seen: Seen) -> None:
    assert (seen.project / "notes.txt").read_bytes().endswith(LINE)


def deleted_by_user(project: Path) -> None:
    (project / "Makefile").unlink()


def deleted_by_user_check(seen: Seen) -> None:
    assert not (seen.project / "Makefile").exists()
    assert "Makefile: stays deleted, though the template changed it" in seen.outcome.notes


def own_files(project: Path) -> None:
    (project / "mine").mkdir()
    (project / 'mine/日本 "q".txt').write_bytes(LINE)
    (project / "mine/link").symlink_to("../README.md")
    (project / "pipeline/extra.py").write_bytes(LINE)


def own_files_check(seen: Seen) -> None:
    assert (seen.project / 'mine/日本 "q".txt').read_bytes() == LINE
    assert (seen.project / "mine/link").readlink() == Path("../README.md")
    assert (seen.project / "pipeline/extra.py").read_bytes() == LINE


def content_under_a_mode_change(project: Path) -> None:
    append(project / "scripts/run.sh")
    (project / "Makefile").chmod(0o755)


def content_under_a_mode_change_check(seen: Seen) -> None:
    assert (seen.project / "scripts/run.sh").read_bytes().endswith(LINE)
    assert (seen.project / "scripts/run.sh").stat().st_mode & stat.S_IXUSR
    assert (seen.project / "Makefile").stat().st_mode & stat.S_IXUSR
    assert b"pytest -q" in (seen.project / "Makefile").read_bytes()


def binary(project: Path) -> None:
    (project / "logo.bin").write_bytes(b"\x89PNG\0mine")


def binary_check(seen: Seen) -> None:
    assert (seen.project / "logo.bin").read_bytes() == b"\x89PNG\0mine"
    if before(seen.since, "v1.2.0"):
        assert "no text: yours is kept" in seen.outcome.conflicted[0]


def moved_by_user(project: Path) -> None:
    (project / "Makefile").rename(project / "Makefile.mine")


def moved_by_user_check(seen: Seen) -> None:
    assert not (seen.project / "Makefile").exists()
    assert b"pytest -q" in (seen.project / "Makefile.mine").read_bytes()


def windows_lines(project: Path) -> None:
    for name in ("Makefile", "config/dev.yml"):
        path = project / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    append(project / "Makefile", b"mine:\r\n")


def windows_lines_check(seen: Seen) -> None:
    make, config = (
        (seen.project / "Makefile").read_bytes(),
        (seen.project / "config/dev.yml").read_bytes(),
    )
    assert make.endswith(b"pipeline local\r\nmine:\r\n")
    assert b"pytest -q\r\n" in make
    assert b"rounds: 500\r\n" in config
    assert config.count(b"\n") == config.count(b"\r\n")


def skipped(project: Path) -> None:
    append(project / "sample.csv", b"5,6\n")


def skipped_check(seen: Seen) -> None:
    assert (seen.project / "sample.csv").read_bytes().endswith(b"\n5,6\n")


def symlinked(project: Path) -> None:
    (project / "Makefile").unlink()
    (project / "Makefile").symlink_to("README.md")


def symlinked_check(seen: Seen) -> None:
    assert (seen.project / "Makefile").readlink() == Path("README.md")


def same_name(project: Path) -> None:
    (project / "pipeline/new.py").write_bytes(LINE)


def same_name_check(seen: Seen) -> None:
    text = (seen.project / "pipeline/new.py").read_bytes()
    assert LINE in text
    assert b"NEW = True\n" in text


def in_the_way(project: Path) -> None:
    (project / "pipeline/new.py").mkdir()
    (project / "pipeline/new.py/mine.txt").write_bytes(LINE)


def in_the_way_check(seen: Seen) -> None:
    assert (seen.project / "pipeline/new.py/mine.txt").read_bytes() == LINE


KINDS = {
    "untouched": Kind(lambda _: None, nothing, untouched_check),
    "apart": Kind(apart, nothing, apart_check),
    "overlapping": Kind(
        overlapping,
        lambda since: {"config/dev.yml"} if before(since, "v2.0.0") else set(),
        overlapping_check,
    ),
    "renamed": Kind(renamed, nothing, renamed_check),
    "rewritten": Kind(
        rewritten,
        lambda since: {"pipeline/charts.py"} if before(since, "v1.1.0") else set(),
        rewritten_check,
    ),
    "deleted by the template": Kind(
        deleted_by_template,
        lambda since: {"notes.txt"} if before(since, "v1.2.0") else set(),
        deleted_by_template_check,
    ),
    "deleted by the user": Kind(deleted_by_user, nothing, deleted_by_user_check),
    "own files": Kind(own_files, nothing, own_files_check),
    "mode": Kind(content_under_a_mode_change, nothing, content_under_a_mode_change_check),
    "binary": Kind(
        binary, lambda since: {"logo.bin"} if before(since, "v1.2.0") else set(), binary_check
    ),
    "moved by the user": Kind(moved_by_user, nothing, moved_by_user_check),
    "CRLF": Kind(windows_lines, nothing, windows_lines_check),
    "skip if exists": Kind(skipped, nothing, skipped_check),
    "symlink": Kind(symlinked, lambda _: {"Makefile"}, symlinked_check),
    "same name": Kind(same_name, lambda _: {"pipeline/new.py"}, same_name_check),
    "in the way": Kind(in_the_way, lambda _: {"pipeline/new.py"}, in_the_way_check),
}


@pytest.mark.parametrize("since", SINCE)
@pytest.mark.parametrize("name", KINDS)
def test_every_edit_from_every_release(name, since, project):
    kind, folder = KINDS[name], project(since)
    kind.edit(folder)
    save(folder)
    expected = kind.conflicted(since)
    checked = upgrade(folder, check=True, set=PAYS)
    outcome = upgrade(folder, set=PAYS)

    assert {line.partition(": ")[0] for line in outcome.conflicted} == expected
    assert outcome.status == ("conflicts" if expected else "updated")
    assert outcome.exit_code == bool(expected)
    assert checked.exit_code == 1
    assert (checked.changed, checked.conflicted) == (outcome.changed, outcome.conflicted)
    kind.check(Seen(folder, outcome, since))
    unmerged = git("ls-files", "-u", "-z", cwd=folder).split("\0")[:-1]
    assert {row.partition("\t")[2] for row in unmerged} == expected
    loose = git("diff-files", "--name-only", "-z", cwd=folder).split("\0")[:-1]
    assert set(loose) <= expected, "what does not conflict is staged"
    assert not git("ls-files", "--others", cwd=folder)
    answers = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    assert answers["_commit"] == HEAD
    assert answers["cost_center"] == "c-1"
    marked = {name for name, (_, text) in files(folder).items() if b"<<<<<<< " in text}
    assert marked <= expected
    save(folder)
    again = upgrade(folder)
    assert (again.status, again.exit_code) == ("up-to-date", 0)
    git("fsck", "--strict", cwd=folder)


# Copier and seedbed take turns, and agree wherever Copier loses nothing.


def copier_update(folder: Path, **more: object) -> None:
    data = PAYS if more.get("vcs_ref") in (None, HEAD) else {}
    copier.run_update(folder, data=data, defaults=True, overwrite=True, quiet=True, **more)


AGREED = ["untouched", "apart", "own files", "deleted by the user", "skip if exists", "overlapping"]


@pytest.mark.parametrize("name", AGREED)
def test_the_same_tree_as_copier(name, born, project, tmp_path):
    since = "v2.0.0" if name == "overlapping" else "v1.0.0"
    ours, theirs = project(since), tmp_path / "theirs" / "my-model"
    for folder in (ours, theirs):
        if folder == theirs:
            synthetic.copy(born(since), theirs)
        KINDS[name].edit(folder)
        save(folder)
    upgrade(ours, set=PAYS)
    copier_update(theirs)
    assert files(ours) == files(theirs)


@pytest.mark.parametrize("first", ["seedbed", "copier"])
def test_copier_and_seedbed_alternate(first, project):
    folder, turn = project(), first
    apart(folder)
    save(folder)
    for version in ("v1.1.0", "v1.2.0", HEAD):
        if turn == "copier":
            copier_update(folder, vcs_ref=version)
        else:
            upgrade(folder, to=version, set=PAYS if version == HEAD else {})
        save(folder)
        turn = {"copier": "seedbed", "seedbed": "copier"}[turn]
        assert yaml.safe_load((folder / ".copier-answers.yml").read_text())["_commit"] == version
    text = (folder / "pipeline/steps.py").read_text()
    assert "return 88\n" in text
    assert "return 11\n" in text
    assert upgrade(folder).status == "up-to-date"


# Questions, layers, secrets.


def test_a_required_question_is_reported_with_its_flag(project):
    folder = project()
    state = whole(folder)
    with pytest.raises(SeedbedError, match=r"asks cost_center \(Who pays\?\).*--set cost_center="):
        upgrade(folder)
    assert whole(folder) == state


def test_an_upgrade_that_waits_for_its_commit_comes_first(project):
    folder = project()
    upgrade(folder, set=PAYS)
    with pytest.raises(
        SeedbedError, match=r"uncommitted changes .* and [78] more\); commit or stash"
    ):
        upgrade(folder)


def test_a_question_with_a_default_is_filled_in_and_noted(project):
    folder = project()
    outcome = upgrade(folder, set=PAYS)
    assert any(
        note.startswith("size: a new question, answered with its default 3")
        for note in outcome.notes
    )
    assert "size: 3\n" in (folder / ".copier-answers.yml").read_text()


def test_a_layer_swap_changes_that_layer_only(project):
    folder = project(HEAD)
    apart(folder)
    save(folder)
    outcome = upgrade(folder, set={"template": "beta"})
    assert outcome.changed == (".copier-answers.yml", "pipeline/data_source.py")
    assert (folder / "pipeline/data_source.py").read_text() == "SOURCE = 'beta'\n"
    assert (outcome.from_version, outcome.to_version) == (HEAD, HEAD)


def test_a_layer_swap_keeps_an_edit_of_the_layer(project):
    folder = project("v1.0.0")
    (folder / "pipeline/data_source.py").write_text("SOURCE = 'my own'\n")
    save(folder)
    outcome = upgrade(folder, set={"template": "beta", **PAYS})
    assert outcome.conflicted == ("pipeline/data_source.py: changed on both sides",)


def test_another_answer_changes_what_holds_it(project):
    folder = project(HEAD)
    outcome = upgrade(folder, set={"owner": "o'team", "github_actions": "true"})
    assert outcome.changed == (".copier-answers.yml", "README.md", "ci.yml")
    assert "Owned by o'team." in (folder / "README.md").read_text()
    save(folder)
    assert upgrade(folder, set={"owner": "o'team"}).status == "up-to-date"


HELD = "USER=me\nTOKEN=s3cret\nHOST=h\n"


@pytest.mark.parametrize("how", ["not given", "flag", "environment"])
def test_secrets_stay_in_their_files_and_out_of_the_answers(how, project, monkeypatch):
    folder = project()
    (folder / "config/secret.env").write_text(HELD)
    save(folder)
    if how == "environment":
        monkeypatch.setenv("SEEDBED_SECRET_TOKEN", "s3cret")
    outcome = upgrade(folder, set=PAYS | ({"token": "s3cret"} if how == "flag" else {}))
    assert outcome.status == "updated"
    assert (folder / "config/secret.env").read_text() == HELD
    assert "s3cret" not in (folder / ".copier-answers.yml").read_text()
    assert any(n.startswith("token: a secret, not given") for n in outcome.notes) == (
        how == "not given"
    )


def test_a_secret_that_is_given_merges_with_a_change_beside_it(tmp_path):
    first, second = synthetic.v1_0(), synthetic.v1_0()
    env = f"templates/alpha/{BODY}/config/secret.env"
    second[env] = b"USER=you\nTOKEN={{ cookiecutter.token }}\nHOST=h\n"
    folder = synthetic.project(
        repository(tmp_path / "t", {"v1": first, "v2": second}), tmp_path / "p"
    )
    (folder / "config/secret.env").write_text(HELD)
    save(folder)
    assert upgrade(folder, check=True).status == "conflicts"
    assert upgrade(folder, set={"token": "s3cret"}).status == "updated"
    assert (folder / "config/secret.env").read_text() == HELD.replace("me", "you")


# Where the project lies, and how it is checked out.


def test_only_its_folder_of_a_monorepo_changes(project, tmp_path):
    top = tmp_path / "mono"
    synthetic.copy(project(), top / "models" / "my-model")
    folder = top / "models" / "my-model"
    synthetic.forget_git(folder)
    (top / "Makefile").write_text("all:\n")
    git("init", "-q", cwd=top)
    KINDS["renamed"].edit(folder)
    overlapping(folder)
    save(top)
    (top / "Makefile").write_text("all: dirty, but outside\n")
    outcome = upgrade(folder, set=PAYS)
    assert outcome.conflicted == ("config/dev.yml: changed on both sides",)
    assert (top / "Makefile").read_text() == "all: dirty, but outside\n"
    changed = git("diff", "HEAD", "--name-only", "-z", cwd=top).split("\0")[:-1]
    assert {name.split("/")[0] for name in changed} == {"models", "Makefile"}
    assert (folder / "guide/über.md").read_bytes().endswith(LINE)
    assert git("ls-files", "-u", cwd=top).count("models/my-model/config/dev.yml") == 3


def test_a_checkout_with_windows_lines_is_no_edit(project):
    folder = project()
    git("config", "core.autocrlf", "true", cwd=folder)
    git("rm", "-rq", "--cached", ".", cwd=folder)
    git("reset", "-q", "--hard", cwd=folder)
    assert b"\r\n" in (folder / "Makefile").read_bytes()
    outcome = upgrade(folder, set=PAYS)
    assert outcome.status == "updated"
    assert b"pytest -q\r\n" in (folder / "Makefile").read_bytes()
    assert git("diff", "--name-only", cwd=folder) == ""


def test_a_merge_driver_of_the_project_is_used(project):
    folder = project()
    (folder / ".gitattributes").write_text("config/*.yml merge=union\n")
    overlapping(folder)
    save(folder)
    assert upgrade(folder, set=PAYS).status == "updated"
    text = (folder / "config/dev.yml").read_text()
    assert "rounds: 499\n" in text
    assert "rounds: 500\n" in text


def test_a_filter_of_the_project_is_used(project):
    folder = project()
    for key, rot in (("clean", "tr a-z n-za-m"), ("smudge", "tr n-za-m a-z")):
        git("config", f"filter.rot.{key}", rot, cwd=folder)
    (folder / ".gitattributes").write_text("Makefile filter=rot\npipeline/new.py filter=rot\n")
    (folder / "Makefile").touch()
    save(folder)
    assert "clgrfg" in git("show", "HEAD:Makefile", cwd=folder)
    assert upgrade(folder, set=PAYS).status == "updated"
    assert "pytest -q" in (folder / "Makefile").read_text()
    assert git("show", ":pipeline/new.py", cwd=folder) == "NEW = Tehr"
    assert (folder / "pipeline/new.py").read_text() == "NEW = True\n"
    assert git("diff", "--name-only", cwd=folder) == ""


def test_a_linked_worktree_is_upgraded_alone(project, tmp_path):
    main = project()
    git("worktree", "add", "-q", str(tmp_path / "linked"), "-b", "other", cwd=main)
    assert upgrade(tmp_path / "linked", set=PAYS).status == "updated"
    assert git("status", "--porcelain", cwd=main) == ""
    assert (tmp_path / "linked/pipeline/new.py").exists()


def test_a_sparse_checkout_is_upgraded(project):
    folder = project()
    (folder / ".git/info").mkdir()
    git("status", cwd=folder)  # git knows the copied files again
    git("sparse-checkout", "set", "--cone", "config", cwd=folder)
    assert not (folder / "pipeline").exists()
    assert upgrade(folder, set=PAYS).status == "updated"
    assert "return 11" in git("show", ":pipeline/steps.py", cwd=folder)
    save(folder)
    assert upgrade(folder).status == "up-to-date"


def test_a_template_in_a_linked_worktree_is_read(project, templates, tmp_path):
    git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), "main", cwd=templates)
    folder = project()
    path = folder / ".copier-answers.yml"
    path.write_text(path.read_text().replace(str(templates), str(tmp_path / "linked")))
    save(folder)
    assert upgrade(folder, set=PAYS).status == "updated"
    git("worktree", "remove", "-f", str(tmp_path / "linked"), cwd=templates)


def test_a_sha256_repository_is_upgraded(born, tmp_path):
    folder = synthetic.copy(born("v1.0.0"), tmp_path / "my-model")
    synthetic.forget_git(folder)
    git("init", "-q", "--object-format=sha256", cwd=folder)
    overlapping(folder)
    save(folder)
    assert upgrade(folder, set=PAYS).conflicted == ("config/dev.yml: changed on both sides",)


# Checks change nothing; bad states are one line and change nothing.


def whole(folder: Path) -> dict[str, object]:
    """Return everything below `folder`, git's own files and times included."""
    return {
        str(path): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.is_file() and path.read_bytes(),
        )
        for path in sorted(folder.rglob("*"))
    }


def test_check_changes_nothing(project):
    folder = project()
    overlapping(folder)
    save(folder)
    git("status", cwd=folder)
    state = whole(folder)
    outcome = upgrade(folder, check=True, set=PAYS)
    assert (outcome.status, outcome.exit_code) == ("conflicts", 1)
    assert whole(folder) == state
    assert upgrade(folder, check=True, to="v1.0.0").exit_code == 0
    assert whole(folder) == state


def dirty(folder: Path) -> None:
    append(folder / "README.md")


def staged(folder: Path) -> None:
    append(folder / "README.md")
    git("add", "-A", cwd=folder)


def untracked(folder: Path) -> None:
    (folder / "pipeline/new.py").write_bytes(LINE)


def ignored(folder: Path) -> None:
    (folder / ".gitignore").write_text("new.py\n")
    save(folder)
    untracked(folder)


def untracked_folder(folder: Path) -> None:
    (folder / "pipeline/new.py").mkdir()
    (folder / "pipeline/new.py/mine").write_bytes(LINE)


def untracked_parent(folder: Path) -> None:
    (folder / "guide").write_bytes(LINE)


def no_answers(folder: Path) -> None:
    (folder / ".copier-answers.yml").unlink()
    save(folder)


def uncommitted_answers(folder: Path) -> None:
    git("rm", "-q", "--cached", ".copier-answers.yml", cwd=folder)
    git("commit", "-qm", "x", cwd=folder)


def answers(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / ".copier-answers.yml"
        path.write_text(path.read_text().replace(old, new))
        save(folder)

    return edit


BAD: dict[str, tuple[Callable[[Path], object], dict[str, object], str]] = {
    "dirty": (dirty, {}, r"uncommitted changes \(README.md\); commit or stash"),
    "staged": (staged, {}, r"uncommitted changes \(README.md\); commit or stash"),
    "untracked": (untracked, {}, r"does not track \(pipeline/new.py\); move or commit"),
    "ignored": (ignored, {}, r"does not track \(pipeline/new.py\)"),
    "untracked folder": (untracked_folder, {}, r"does not track \(pipeline/new.py/mine\)"),
    "untracked parent": (untracked_parent, {}, r"does not track \(guide\)"),
    "downgrade": (lambda _: None, {"to": "v0.9.0"}, "has no version 'v0.9.0'; choose one of"),
    "unknown version": (
        lambda _: None,
        {"to": "9.9"},
        "has no version '9.9'; choose one of v1.0.0",
    ),
    "option as version": (lambda _: None, {"to": "--upload-pack=x"}, "has no version"),
    "unknown template": (
        lambda _: None,
        {"set": {"template": "gamma"}},
        "template: 'gamma' is not",
    ),
    "unknown answer": (
        lambda _: None,
        {"set": {"colour": "red"}},
        "--set colour: no such question",
    ),
    "computed": (lambda _: None, {"set": {"project_slug": "x"}}, "--set project_slug: no such"),
    "refused": (
        lambda _: None,
        {"set": {"project_name": "x"}},
        "project_name: 'x' must start with A",
    ),
    "no number": (lambda _: None, {"set": {"size": "big"}}, "size: 'big' is no int; answer with"),
    "no answers file": (no_answers, {}, "is missing; only a project made from a template"),
    "not committed": (uncommitted_answers, {}, "copier-answers.yml is not committed"),
    "no version": (answers("_commit", "_was"), {}, "_commit: missing; add"),
    "no address": (answers("_src_path", "_was"), {}, "_src_path: missing; add"),
    "no YAML": (answers("_commit:", "{"), {}, "copier-answers.yml: .*; restore it from git"),
    "no mapping": (answers("_commit", "- "), {}, "copier-answers.yml: .*; restore it from git"),
    "foreign version": (answers("v1.0.0", "v0.1.2"), {}, "has no version 'v0.1.2'; choose one of"),
    "gone template": (
        answers("'alpha'", "'omega'"),
        {},
        "template: 'omega' is not among alpha, beta",
    ),
    "no repository": (answers("'/", "'/nowhere/"), {}, "/nowhere/.*: there is no such folder"),
    "bad answer": (answers("'My Model'", "'x'"), {}, "project_name: 'x' must start with A to Z"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_state_is_one_line_and_changes_nothing(name, project):
    edit, options, said = BAD[name]
    folder = project()
    edit(folder)
    git("status", cwd=folder)
    state = whole(folder)
    options = {"set": {}, **options}
    with pytest.raises(SeedbedError, match=said) as caught:
        upgrade(folder, **(options | {"set": PAYS | options["set"]}))
    assert "\n" not in str(caught.value)
    assert whole(folder) == state


def test_a_downgrade_is_refused(project):
    with pytest.raises(SeedbedError, match=r"--to: v1.1.0 is older than the project's v1.2.0"):
        upgrade(project("v1.2.0"), to="1.1")


def test_a_template_that_is_gone_is_named(tmp_path):
    second = synthetic.v1_0()
    second["copier.yml"] = synthetic.chooser(choices="beta")
    folder = synthetic.project(
        repository(tmp_path / "t", {"v1": synthetic.v1_0(), "v2": second}), tmp_path / "p"
    )
    with pytest.raises(
        SeedbedError, match="template: 'alpha' is not among beta; answer with --set"
    ):
        upgrade(folder)


@pytest.mark.parametrize("state", ["absent", "file", "no git", "no commit"])
def test_a_path_that_is_no_project(state, tmp_path):
    folder = tmp_path / "x"
    if state == "file":
        folder.touch()
    elif state != "absent":
        folder.mkdir()
    if state == "no commit":
        git("init", "-q", cwd=folder)
    with pytest.raises(SeedbedError, match=r"^PATH: .*x (is no folder|is in no git|has no commit)"):
        upgrade(folder)
