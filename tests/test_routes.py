"""However a project is born, for the same answers it is the same project."""

from pathlib import Path

import pytest
import yaml
from conftest import ROUTES, TEMPLATES, born, tree

from seedbed import catalog

ANSWERS = {
    "defaults": {},
    "names": {"project_name": "Credit Risk 2", "owner": "Zoë Müller @ 风险"},
    "target": {"target_column": "défaut en 12.mois"},
    "regression": {"problem_type": "regression", "gate_metric": "rmse", "gate_threshold": "55.5"},
    "multiclass": {"problem_type": "multiclass_classification"},
    "yaml-like": {"owner": "yes", "target_column": "null", "gate_threshold": "0.90"},
    "number-like": {"project_name": "a1", "owner": "007", "target_column": "1e3"},
    "codecommit": {"git_host": "codecommit", "aws_region": "us-gov-west-1"},
    "workflow": {"github_actions": True},
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS.keys())
def test_four_routes_give_the_same_project(name, answers, repository, tmp_path):
    projects = {
        route: tree(born(route, name, tmp_path / route / "project", repository, dict(answers)))
        for route in ROUTES
    }
    for route in ROUTES[1:]:
        assert projects[route].keys() == projects[ROUTES[0]].keys()
        for path, file in projects[route].items():
            assert file == projects[ROUTES[0]][path], f"{route}: {path}"


@pytest.mark.parametrize("route", ROUTES)
def test_answers_say_where_the_project_came_from(route, repository, tmp_path):
    project = born(route, TEMPLATES[0], tmp_path / "in" / "project", repository, {})
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    address = str(repository) if route == "chooser" else catalog.load(repository).repository
    assert (answers["_src_path"], answers["_commit"]) == (address, "v0.1.0")
    assert answers["template"] == TEMPLATES[0]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_handful_of_questions_each_with_help_and_message(name):
    asked = catalog.questions(catalog.CHECKOUT, catalog.load(catalog.CHECKOUT).templates[name])
    visible = {key: question for key, question in asked.items() if not question.hidden}
    of_the_data = [key for key in visible if key.startswith("data_")]
    assert len(of_the_data) <= 4
    assert len(visible) - len(of_the_data) <= 11
    for question in visible.values():
        assert question.help
        assert question.message or question.choices or question.type == "bool"


@pytest.mark.parametrize("name", TEMPLATES)
def test_nothing_of_jinja_is_left(name, repository, tmp_path):
    project = born("folder", name, tmp_path / "project", repository, {"github_actions": True})
    for path, (_, content) in tree(project).items():
        for token in (b"cookiecutter.", b"{%", b"endraw", b"_copier"):
            if not (token == b"{%" and Path(path).suffix in {".md", ".html"}):
                assert token not in content, f"{path} holds {token!r}"
        assert "{" not in path
