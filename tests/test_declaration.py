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
        ("regions", ["eu-west-1", "eu-west-1"], "regions: 'eu-west-1' stands twice"),
        ("regions", "eu-west-1", "write a list"),
        ("ownr", "me", r"ownr: no such field: did you mean owner\?"),
        ("owner", 2026, "owner is '2026': write a text, in quotes"),
        ("portfolios", {}, "portfolios: it must have at least 1 item"),
        ("support.email", "me", "support.email is 'me'"),
        ("versions", {"active": 3, "deprecated": 3, "kept": 4}, "at least active"),
        ("portfolios.projects.principals", ["arn:aws:iam::123456789012:role/x"], "without account"),
        ("portfolios.projects.principals", ["arn:aws:iam:::role/*"], "anyone may create"),
        ("portfolios.projects.principals", ["arn:aws:iam:::role/*sagemaker*"], "anyone may create"),
        ("portfolios.projects.principals", ["arn:aws:iam:::role/x/?"], "anyone may create"),
        (
            "portfolios.projects.principals",
            ["arn:aws:iam:::role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_*"],
            "every permission set",
        ),
        (
            "portfolios.projects.principals",
            [f"arn:aws:iam:::role/team-{letter}-users" for letter in "abcdefgh"],
            "11 principals and permission sets: AWS takes 10",
        ),
        ("portfolios.projects.permission_sets", ["a*"], "permission_sets.0 is 'a"),
        ("portfolios.projects.shares", {"accounts": ["12345"]}, "12 digits, in quotes"),
        ("portfolios.projects.shares", {"accounts": [123456789012]}, "in quotes"),
        ("portfolios.projects.tag_options", {"cost": []}, "tag_options.cost: .* at least 1 item"),
        ("portfolios.admin.title", "SageMaker Projects", "that of two portfolios"),
        ("portfolios.admin.products.studio-domain.title", "Studio user", "that of two products"),
        ("portfolios.admin.products.studio-domain.notify", ["a@b"], "an SNS topic's ARN"),
        ("assets", {"bucket": "assets-{account}"}, "account and region follow"),
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
    content["portfolios"]["copy"] = content["portfolios"]["projects"] | {"title": "Copy"}
    file = tmp_path / "portfolios.yml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(SeedbedError, match="stands in copy and projects"):
        declaration.load(file)


@pytest.mark.parametrize("text", [b"", b"a: [", b"- a", b"a: \xff", b"a: \x00", b"? [a]\n: b"])
def test_a_file_that_holds_no_declaration_is_named(tmp_path, text):
    file = tmp_path / "portfolios.yml"
    file.write_bytes(text)
    with pytest.raises(SeedbedError, match=r"portfolios\.yml"):
        declaration.load(file)


@pytest.mark.parametrize("key", ["  admin:", "      model-build-s3:", "regions:"])
def test_what_stands_twice_is_named_with_its_line(tmp_path, key):
    """PyYAML would keep the last: a portfolio would vanish from the declaration."""
    file = tmp_path / "portfolios.yml"
    text = FILE.read_text("utf-8")
    line = next(line for line in text.splitlines() if line.startswith(key))
    file.write_text(text.replace(line, f"{key} {{}}\n{line}"))
    with pytest.raises(SeedbedError, match=f"line .*'{key.strip(' :')}' stands twice"):
        declaration.load(file)
