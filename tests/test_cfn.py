"""A value against a parameter's rules, as CloudFormation holds it."""

from __future__ import annotations

import pytest

from seedbed import cfn
from seedbed.errors import SeedbedError
from seedbed.pairs import parse_pairs

NUMBER = {"Type": "Number", "MinValue": 60, "MaxValue": 1440}
NAME = {"Type": "String", "AllowedPattern": "[a-z]+", "MinLength": 2, "MaxLength": 4}
LIST = {"Type": "CommaDelimitedList", "AllowedPattern": "^(sg-[0-9a-f]+)?$"}


@pytest.mark.parametrize(
    ("rule", "value", "fits"),
    [
        (NUMBER, "60", True),
        (NUMBER, "1e3", True),
        (NUMBER, "59", False),
        (NUMBER, "1441", False),
        (NUMBER, "soon", False),
        (NAME, "abcd", True),
        (NAME, "a", False),
        (NAME, "abcde", False),
        (NAME, "ab1", False),  # a pattern stands for the whole value
        (NAME, "ab\n", False),
        (LIST, "", True),
        (LIST, "sg-1,sg-2", True),
        (LIST, "sg-1,vpc-2", False),
        ({"Type": "Number", "AllowedValues": [1, 2]}, "2", True),
        ({"Type": "String", "AllowedValues": ["dev", "test"]}, "prod", False),
    ],
)
def test_a_value_fits_or_is_told_with_the_templates_own_words(rule, value, fits):
    said = cfn.misfit({**rule, "ConstraintDescription": "must fit"}, value)
    assert said == "" if fits else said.endswith(": it must fit")


@pytest.mark.parametrize(
    ("given", "says"),
    [(["a"], "--tag: 'a' has no '='"), (["a=1", "a=2"], "--tag a: '1' and '2': give it once")],
)
def test_a_pair_is_whole_and_stands_once(given, says):
    with pytest.raises(SeedbedError) as caught:
        parse_pairs(given, "--tag")
    assert says in str(caught.value)
    assert parse_pairs(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
