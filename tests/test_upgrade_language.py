"""What we speak of Copier's language gives what Copier gives; for the rest Copier is asked."""

from __future__ import annotations

import inspect
import stat
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import copier
import pytest
import synthetic
from conftest import TEMPLATES
from copier import _main, _template
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.version import Version
from synthetic import (  # noqa: F401
    BODY,
    PAYS,
    Files,
    fixture_born,
    fixture_project,
    fixture_templates,
    git,
    repository,
)
from test_routes import ANSWERS

from seedbed.errors import SeedbedError
from seedbed.upgrade import engine, language, render, upgrade
from seedbed.upgrade.git import SYMLINK
from seedbed.upgrade.source import Source

Rendered = dict[str, tuple[str, bytes]]


def ours(repo: Path, tag: str, answers: Mapping[str, object], *, by: str = "lean") -> Rendered:
    """Render as the upgrade does: in our own words, or through Copier with our hooks."""
    project = render.Project("p", {"_commit": tag, "_src_path": str(repo), **answers})
    with Source(str(repo), repo) as source:
        snapshot = source.at(tag)
        if by == "copier":
            return dict(engine.render(snapshot, project, {}, strict=False).files)
        return dict(render.old(snapshot, project, {}, {}).files)


def theirs(repo: Path, tag: str, answers: Mapping[str, object], target: Path) -> Rendered:
    """Render as `copier copy` does."""
    copier.run_copy(str(repo), target / "p", dict(answers), vcs_ref=tag, defaults=True, quiet=True)
    found: Rendered = {}
    for path in (target / "p").rglob("*"):
        name = path.relative_to(target / "p").as_posix()
        if path.is_symlink():
            found[name] = (SYMLINK, str(path.readlink()).encode())
        elif path.is_file():
            run = path.stat().st_mode & stat.S_IXUSR
            found[name] = ("100755" if run else "100644", path.read_bytes())
    return found


@pytest.fixture
def only_ours(monkeypatch):
    """Fail where Copier is asked."""

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("Copier was asked")

    monkeypatch.setattr(engine, "render", asked)


@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.usefixtures("only_ours")
def test_real_templates_are_the_same_bytes(name, answers, repository, tmp_path):
    data = {"template": name, **answers}
    assert ours(repository, "v0.1.0", data) == theirs(repository, "v0.1.0", data, tmp_path)


@pytest.mark.parametrize("tag", ["v1.0.0", "v1.2.0", "v2.1.0"])
@pytest.mark.usefixtures("only_ours")
def test_every_release_is_the_same_bytes(tag, templates, tmp_path):
    data = {"github_actions": True, **(PAYS if tag == "v2.1.0" else {})}
    assert ours(templates, tag, data) == theirs(templates, tag, data, tmp_path)


@given(
    st.text(max_size=20), st.sampled_from([True, False, "yes", "no", "1", 0]), st.text(max_size=9)
)
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_answer_is_the_same_bytes(templates, tmp_path_factory, owner, actions, token):
    data = {"owner": owner, "github_actions": actions, "token": token}
    expected = theirs(templates, "v1.0.0", data, tmp_path_factory.mktemp("theirs"))
    assert ours(templates, "v1.0.0", data) == expected
    assert ours(templates, "v1.0.0", data, by="copier") == expected


ANSWERS_FILE = b"{{ _copier_answers | to_nice_yaml }}"
ROOT = {
    "copier.yml": b"name: world\nnumber: {type: int, default: 3}\n"
    b"token: {type: str, secret: true, default: hush}\n"
    b"pick: {type: str, choices: {One: a, Two: b}, default: a}\n"
    b"low: {type: str, default: '{{ name | lower }}', when: false}\n"
    b"odd: {type: yaml, default: '[1, 2]', when: '{{ number > 2 }}'}\n",
    "{{ _copier_conf.answers_file }}.jinja": ANSWERS_FILE,
    "plain.txt": b"{{ name }} stays\r\n",
    "made.txt.jinja": b"hello {{ name }} {{ number + 1 }} {{ low }} {{ odd[1] }}\n",
    "both.txt": b"not this\n",
    "both.txt.jinja": b"this\r\n",
    "{{ name }}/deep.txt": b"deep\n",
    "{% if number > 5 %}never{% endif %}/x.txt": b"x\n",
    "run.sh": (b"#!/bin/sh\n", "100755"),
    "trash.pyc": b"excluded\n",
    "raw.bin": b"\xff\0",
    "included.txt.jinja": b"{% include 'README.md' %}{% raw %}{{ kept }}{% endraw %}",
    "README.md": b"# read me\n",
}


def template(tmp_path: Path, **more: Files) -> Path:
    return repository(tmp_path / "t", {"v1.0.0": ROOT, **more})


@pytest.mark.parametrize("folder", ["", "body/"])
@pytest.mark.usefixtures("only_ours")
def test_a_plain_copier_template_is_the_same_bytes(folder, tmp_path):
    files = {folder + path: file for path, file in ROOT.items()}
    files["README.md"] = ROOT["README.md"]
    files["copier.yml"] = ROOT["copier.yml"] + (b"_subdirectory: body\n" if folder else b"")
    repo = repository(tmp_path / "t", {"v1.0.0": files})
    for data in ({}, {"number": "7", "name": "Zoë"}, {"pick": "b"}):
        made = theirs(repo, "v1.0.0", data, tmp_path / str(len(data)))
        assert ours(repo, "v1.0.0", data) == made


def test_a_plain_copier_template_is_upgraded(tmp_path):
    second = {**ROOT, "made.txt.jinja": b"hello {{ name }} {{ number + 2 }}\n"}
    repo = template(tmp_path, **{"v2.0.0": second})
    folder = synthetic.project(repo, tmp_path / "p", "v1.0.0", name="Zoë")
    assert upgrade(folder).changed == (".copier-answers.yml", "made.txt")
    assert (folder / "made.txt").read_text() == "hello Zoë 5\n"
    assert upgrade_is_as_recorded(folder)


def upgrade_is_as_recorded(folder: Path) -> bool:
    git("commit", "-qam", "upgraded", cwd=folder)
    return upgrade(folder).status == "up-to-date"


COPIERS = {
    "yield": {"{% yield n from [1, 2] %}{{ n }}{% endyield %}.txt.jinja": b"number {{ n }}\n"},
    "include": {
        "copier.yml": b"--- !include more.yml\n---\nname: world\nnumber: 3\nlow: w\nodd: [1, 2]\n",
        "more.yml": b"pick: a\n",
    },
    "multiselect": {
        "copier.yml": ROOT["copier.yml"]  # type: ignore[operator]
        + b"many: {type: str, multiselect: true, choices: [x, y], default: [y]}\n",
        "made.txt.jinja": b"{{ many }}\n",
    },
    "conf": {"made.txt.jinja": b"{{ _copier_conf.overwrite in [true, false] }}\n"},
    "symlink": {"link.md": (b"README.md", "120000")},
    "external data": {
        "copier.yml": ROOT["copier.yml"] + b"_external_data: {own: data.yml}\n"  # type: ignore[operator]
    },
}


@pytest.mark.parametrize("name", COPIERS)
def test_copier_is_asked_for_what_only_it_speaks(name, tmp_path, monkeypatch):
    repo = repository(tmp_path / "t", {"v1.0.0": {**ROOT, **COPIERS[name]}})
    asked = []
    real = engine.render
    monkeypatch.setattr(engine, "render", lambda *a, **k: asked.append(1) or real(*a, **k))
    made = theirs(repo, "v1.0.0", {}, tmp_path)
    assert ours(repo, "v1.0.0", {}) == made
    assert asked


def test_a_project_is_upgraded_through_copier_too(tmp_path):
    first = {**ROOT, **COPIERS["yield"]}
    second = {**first, "made.txt.jinja": b"hello {{ name }}, {{ more }}\n"}
    second["copier.yml"] = ROOT["copier.yml"] + b"more: {type: str, default: and all}\n"
    repo = repository(tmp_path / "t", {"v1.0.0": first, "v2.0.0": second})
    folder = synthetic.project(repo, tmp_path / "p", "v1.0.0", name="Zoë")
    outcome = upgrade(folder)
    assert outcome.changed == (".copier-answers.yml", "made.txt")
    assert (folder / "made.txt").read_text() == "hello Zoë, and all\n"
    assert outcome.notes[0].startswith("more: a new question, answered with its default 'and all'")
    assert upgrade_is_as_recorded(folder)


def test_a_required_question_through_copier_is_one_line(tmp_path):
    first = {**ROOT, **COPIERS["multiselect"]}
    second = {**first, "copier.yml": first["copier.yml"] + b"more: {type: str}\n"}
    repo = repository(tmp_path / "t", {"v1.0.0": first, "v2.0.0": second})
    folder = synthetic.project(repo, tmp_path / "p", "v1.0.0")
    with pytest.raises(
        SeedbedError, match=r"v2.0.0 asks more and has no default: answer with --set"
    ):
        upgrade(folder)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (b"_jinja_extensions: [os.path]\n", "Jinja extensions, which need trust"),
        (b"_min_copier_version: '99'\n", "needs Copier 99; install a newer seedbed"),
        (b": : :\n", "copier.yml: "),
        (b"_subdirectory: nowhere\n", "has no folder 'nowhere'"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_one_line(settings, said, tmp_path):
    second = {**ROOT, "copier.yml": ROOT["copier.yml"] + settings}
    repo = template(tmp_path, **{"v2.0.0": second})
    folder = synthetic.project(repo, tmp_path / "p", "v1.0.0")
    with pytest.raises(SeedbedError, match=said):
        upgrade(folder)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("{{ '..' }}/x", "w"),
        ("{{ '.git' }}/hooks/x", "w"),
        ("{{ name }}", "../x"),
        ("{{ name }}", "/x"),
    ],
)
def test_a_template_cannot_write_outside_the_project(path, name, tmp_path):
    settings = b"_subdirectory: body\nname: world\n"
    first = {"copier.yml": settings, "body/{{ _copier_conf.answers_file }}.jinja": ANSWERS_FILE}
    second = {**first, f"body/{path}": b"x"}
    repo = repository(tmp_path / "t", {"v1.0.0": first, "v2.0.0": second})
    folder = synthetic.project(repo, tmp_path / "p", "v1.0.0")
    with pytest.raises(SeedbedError, match="outside the project; report it"):
        upgrade(folder, set={"name": name})


def test_tasks_and_migrations_are_not_run(tmp_path):
    tasks = b"_tasks: ['touch ran']\n_migrations: ['touch migrated']\n"
    second = {**ROOT, "copier.yml": ROOT["copier.yml"] + tasks}
    repo = template(tmp_path, **{"v2.0.0": second})
    folder = synthetic.project(repo, tmp_path / "p", "v1.0.0")
    outcome = upgrade(folder)
    assert outcome.notes[-1].startswith("the template's tasks and migrations were not run")
    assert not list(folder.glob("*ran")) + list(folder.glob("migrated"))


def test_an_answer_is_never_a_template(tmp_path):
    repo = template(tmp_path, **{"v2.0.0": {**ROOT, "new.txt.jinja": b"{{ name }}\n"}})
    folder = synthetic.project(repo, tmp_path / "p", "v1.0.0")
    upgrade(folder, set={"name": "{{ 7 * 7 }}"})
    assert (folder / "new.txt").read_text() == "{{ 7 * 7 }}\n"


# The contract with Copier's private parts, for the version that is pinned.


def test_the_version_of_copier_is_the_one_whose_language_this_is():
    installed = Version(version("copier"))
    assert installed >= language.COPIER
    assert installed.release[:2] == language.COPIER.release[:2]


@pytest.mark.parametrize(
    "name", ["local_abspath", "commit", "commit_hash", "version", "git_index_modes", "vcs"]
)
def test_what_our_template_replaces_is_there(name):
    assert type(inspect.getattr_static(_template.Template, name)).__name__ == "cached_property"


def test_what_our_worker_replaces_is_there():
    assert type(inspect.getattr_static(_main.Worker, "template")).__name__ == "cached_property"
    hook = inspect.signature(_main.Worker._sync_git_index_executable_bit)
    assert list(hook.parameters) == ["self", "dst_relpath", "src_mode"]
    assert "_sync_git_index_executable_bit" in inspect.getsource(_main.Worker._render_file)


def test_copier_starts_no_git_for_each_file(templates, monkeypatch):
    from plumbum.commands import base

    started = []
    real = base.BaseCommand.popen
    monkeypatch.setattr(
        base.BaseCommand, "popen", lambda *a, **k: started.append(a) or real(*a, **k)
    )
    assert len(ours(templates, "v1.0.0", {}, by="copier")) > 10
    assert not started
