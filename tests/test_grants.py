"""The grant matrix holds every right that a template gives; every call of its code needs one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import grants
import pytest
import yaml

from seedbed import catalog, cfn

MATRIX = catalog.CHECKOUT / "servicecatalog" / "grants.yml"
LAYERS = catalog.CHECKOUT / "layers"
CATALOG = catalog.load(catalog.CHECKOUT)
TEMPLATES = [name for name in CATALOG.templates if name.startswith("model-build-")]
PRODUCTS = sorted((catalog.CHECKOUT / "servicecatalog" / "products").glob("*-share.yml"))
PRODUCTS += sorted((catalog.CHECKOUT / "servicecatalog" / "products").glob("*-publisher.yml"))
FIELDS = {"statement", "templates", "caller", "from", "to", "actions", "resources", "for", "calls"}
# Whose account: the project's own, the owner's of the data, the hub's and the spokes', AWS's.
ACCOUNTS = {"project", "data owner", "hub", "readers", "AWS", "any of the organisation"}


@cache
def rows() -> list[dict[str, Any]]:
    return yaml.safe_load(MATRIX.read_text("utf-8"))["grants"]


def of(template: str) -> dict[str, dict[str, Any]]:
    found = [row for row in rows() if template in row.get("templates", TEMPLATES)]
    return {row["statement"]: row for row in found}


def files(template: str) -> dict[str, Path]:
    """Return a template's hand-written files by their path in a project."""
    found = {}
    for layer in CATALOG.templates[template].layers:
        for path in (LAYERS / layer).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found[path.relative_to(LAYERS / layer).as_posix()] = path
    return found


def given(paths: dict[str, Path]) -> dict[str, grants.Statement]:
    """Return every statement of some CloudFormation files by its name."""
    found = [
        statement
        for name, path in paths.items()
        for statement in grants.statements(name, cfn.load(path.read_text("utf-8"), str(path)))
    ]
    names = [statement.name for statement in found]
    assert len(names) == len(set(names)), "each statement of a policy needs a Sid of its own"
    return {statement.name: statement for statement in found}


def infra(template: str) -> dict[str, Path]:
    return {
        path.stem: path
        for name, path in files(template).items()
        if name.startswith("infra/") and path.suffix == ".yml"
    }


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_matrix_is_what_the_policies_say(template):
    hold(given(infra(template)), of(template))


def test_owners_grants_stand_in_the_matrix_too():
    policies = given({path.stem: path for path in PRODUCTS})
    hold(policies, {row["statement"]: row for row in rows()})


def hold(policies, matrix):
    """Assert that each statement of the policies is in the matrix as it is."""
    assert policies.keys() - matrix.keys() == set(), "statements that the matrix lacks"
    for name, statement in policies.items():
        row = matrix[name]
        assert (sorted(row["actions"]), sorted(row["resources"])) == (
            list(statement.actions),
            list(statement.resources),
        ), name


def test_no_row_is_about_a_statement_that_is_gone():
    known = set(given({path.stem: path for path in PRODUCTS}))
    for template in TEMPLATES:
        known |= set(given(infra(template)))
    assert {row["statement"] for row in rows()} <= known


def test_every_row_says_who_calls_what_and_why():
    for row in rows():
        assert row.keys() <= FIELDS, row["statement"]
        assert row.get("for") or row.get("calls"), row["statement"]
        assert {row["from"], row["to"]} <= ACCOUNTS, row["statement"]
        assert set(row.get("templates", [])) <= set(TEMPLATES), row["statement"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_call_of_the_code_has_its_grant(template):
    """`calls` names them by file; `others` are not roles of ours, such as a person."""
    matrix = yaml.safe_load(MATRIX.read_text("utf-8"))
    others = [row for row in matrix["others"] if template in row.get("templates", TEMPLATES)]
    named: dict[str, set[str]] = {}
    for row in [*of(template).values(), *others]:
        for file, methods in row.get("calls", {}).items():
            named.setdefault(file, set()).update(methods)
    for name, path in files(template).items():
        if path.suffix == ".py" and not name.startswith("tests/"):
            found = grants.calls(path, tuple(matrix["services"]))
            assert found - named.get(name, set()) == set(), name


def test_every_call_in_the_matrix_is_made():
    matrix = yaml.safe_load(MATRIX.read_text("utf-8"))
    made = {
        name: grants.calls(path, tuple(matrix["services"]))
        for template in TEMPLATES
        for name, path in files(template).items()
        if path.suffix == ".py"
    }
    for row in [*rows(), *matrix["others"]]:
        for file, methods in row.get("calls", {}).items():
            assert set(methods) - made[file] == set(), row


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_call_is_allowed_by_the_statement_that_names_it(template):
    services = yaml.safe_load(MATRIX.read_text("utf-8"))["services"]
    for row in of(template).values():
        for methods in row.get("calls", {}).values():
            for method in methods:
                actions = {
                    action
                    for service, prefix in services.items()
                    if (operation := grants.operations(service).get(method))
                    for action in (f"{prefix}:{operation}", f"{prefix}:{ALIASES.get(operation)}")
                }
                assert actions & set(row["actions"]), f"{row['statement']}: {method}"


# Operations whose permission has another name: the service authorization reference.
ALIASES = {
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "DeleteObjects": "DeleteObject",
}
