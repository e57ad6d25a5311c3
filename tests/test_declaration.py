"""The declaration of what is published: a wrong value is one line that names it."""

import json

import pytest
import yaml

from seedbed import catalog, declaration
from seedbed.errors import SeedbedError

FILE = catalog.CHECKOUT / declaration.FILE


def changed(path, value):
    content = yaml.safe_load(FILE.read_text("utf-8"))
    place = content
    *above, last = path.split(".")
    for key in above:
        place = place[key]
    place[last] = value
    return content


def test_the_schema_for_editors_is_that_of_the_model():
    kept = (catalog.CHECKOUT / declaration.SCHEMA).read_text("utf-8")
    assert json.loads(kept) == declaration.schema()


def test_every_launchable_template_is_declared_once():
    declared = declaration.load(FILE)
    templates = [product.template for product in declared.products.values() if product.template]
    assert sorted(templates) == sorted(catalog.load(catalog.CHECKOUT).templates)


def test_a_permission_set_is_the_role_that_it_makes():
    portfolio = declaration.load(FILE).portfolios["projects"]
    assert any("AWSReservedSSO_DataScientist_*" in pattern for pattern in portfolio.patterns)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("regions", [], "regions"),
        ("regions", ["Europe"], "regions.0 is 'Europe'"),
        ("ownr", "me", "ownr: Extra inputs"),
        ("support.email", "me", "support.email is 'me'"),
        ("versions", {"active": 3, "deprecated": 3, "kept": 4}, "at least active"),
        ("portfolios.projects.principals", ["arn:aws:iam::123456789012:role/x"], "without account"),
        ("portfolios.projects.principals", ["arn:aws:iam:::role/*"], "anyone may create"),
        ("portfolios.projects.principals", ["arn:aws:iam:::role/*sagemaker*"], "anyone may create"),
        ("portfolios.projects.principals", ["arn:aws:iam:::role/x/?"], "anyone may create"),
        ("portfolios.projects.permission_sets", ["a*"], "permission_sets.0 is 'a"),
        (
            "portfolios.projects.shares",
            {"accounts": ["123456789012"], "principals": True},
            "within an organisation only",
        ),
        ("portfolios.projects.shares", {"units": ["unit"]}, "units.0 is 'unit'"),
        ("portfolios.projects.products.model-build-s3.launch_role", "a/b", "launch_role is 'a/b'"),
        ("portfolios.projects.products.model-build-s3.title", "x" * 101, "at most 100"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, path, value, says):
    file = tmp_path / "portfolios.yml"
    file.write_text(yaml.safe_dump(changed(path, value)))
    with pytest.raises(SeedbedError, match=says) as caught:
        declaration.load(file)
    assert "\n" not in str(caught.value)


def test_a_product_stands_in_one_portfolio(tmp_path):
    content = yaml.safe_load(FILE.read_text("utf-8"))
    content["portfolios"]["copy"] = content["portfolios"]["projects"]
    file = tmp_path / "portfolios.yml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(SeedbedError, match="stands in copy and projects"):
        declaration.load(file)


@pytest.mark.parametrize("text", ["", "a: [", "- a"])
def test_a_file_that_holds_no_declaration_is_named(tmp_path, text):
    file = tmp_path / "portfolios.yml"
    file.write_text(text)
    with pytest.raises(SeedbedError, match=r"portfolios\.yml"):
        declaration.load(file)
