"""The model-build templates are one project that differs at one seam, its data source."""

import pytest
from conftest import TEMPLATES, born, tree

from seedbed import catalog

FIRST, *VARIANTS = (name for name in TEMPLATES if name.startswith("model-build-"))
CATALOG = catalog.load(catalog.CHECKOUT)
ANSWERS = {
    "defaults": {},
    "regression": {"problem_type": "regression", "project_name": "Credit Risk 2"},
    "multiclass": {"problem_type": "multiclass_classification", "github_actions": True},
}


@pytest.fixture(scope="module", params=ANSWERS.values(), ids=ANSWERS.keys())
def projects(request, repository, tmp_path_factory):
    base = tmp_path_factory.mktemp("seam")
    return {
        name: tree(born("folder", name, base / name / "project", repository, request.param))
        for name in (FIRST, *VARIANTS)
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_only_where_the_catalog_says(name, projects):
    ours, first = projects[name], projects[FIRST]
    found = {path for path in ours.keys() | first.keys() if ours.get(path) != first.get(path)}
    folders = {path for path in found if any(other.startswith(f"{path}/") for other in found)}
    assert found - folders == set(CATALOG.templates[name].differs)


def test_the_first_template_is_what_the_others_are_held_against():
    assert CATALOG.templates[FIRST].differs == []
