"""The parameters of the platform's stacks: which value counts."""

import pytest

from seedbed import settings
from seedbed.errors import SeedbedError

TEXT = {"Type": "String", "Default": ""}
NETWORK = dict.fromkeys(settings.NETWORK, TEXT)
RULES = {"Index": TEXT, "Mode": {"Type": "String", "AllowedValues": ["on", "off"]}}


@pytest.mark.parametrize(
    ("given", "found", "before", "value"),
    [
        ({"Mode": "on"}, {"Mode": lambda: "off"}, {"Mode": "off"}, "on"),
        ({}, {"Mode": lambda: "off"}, {"Mode": "on"}, "off"),
        ({}, {}, {"Mode": "on"}, "on"),
    ],
)
def test_what_is_given_counts_then_what_is_found_then_what_was_set(given, found, before, value):
    assert settings.merged(RULES, given, found, before)[0]["Mode"] == value


def test_what_nobody_gave_and_is_no_default_is_kept():
    assert settings.merged(RULES, {"Mode": "on"}, {}, {"Index": ""})[1] == {}
    assert settings.merged(RULES, {"Mode": "on"}, {}, {"Index": "x"})[1] == {"Index": "x"}


@pytest.mark.parametrize(
    ("given", "before", "says"),
    [
        ({}, {}, "needs --set Mode="),
        ({}, {"Mode": "gone"}, "was set to Mode 'gone': it does not fit: give --set Mode="),
        ({"Mode": "x"}, {}, "--set Mode is 'x'"),
    ],
)
def test_a_value_that_is_missing_or_does_not_fit_is_refused(given, before, says):
    with pytest.raises(SeedbedError, match=says):
        settings.merged(RULES, given, {}, before)


def test_half_a_network_is_refused():
    whole = dict.fromkeys(settings.NETWORK, "x")
    assert settings.merged(NETWORK, whole, {}, {})[0] == whole
    with pytest.raises(SeedbedError, match="VpcId and SubnetIds without SecurityGroupIds"):
        settings.merged(NETWORK, whole | {"SecurityGroupIds": ""}, {}, {})
    with pytest.raises(SeedbedError, match="SubnetIds and SecurityGroupIds without VpcId"):
        settings.merged(NETWORK, {"VpcId": ""}, {}, whole)


def test_what_is_of_one_region_goes_to_no_other():
    key = "arn:aws:kms:us-east-1:222222222222:key/k"
    settings.refuse_elsewhere("KmsKeyArn", key, ["us-east-1"])
    settings.refuse_elsewhere("VpcId", "", ["us-east-1", "eu-west-1"])
    with pytest.raises(SeedbedError, match="is of us-east-1: name one of eu-west-1"):
        settings.refuse_elsewhere("KmsKeyArn", key, ["eu-west-1"])
    with pytest.raises(SeedbedError, match="add --region"):
        settings.refuse_elsewhere("VpcId", "vpc-1", ["us-east-1", "eu-west-1"])
    assert settings.anywhere({"VpcId": "vpc-1", "KmsKeyArn": key, "Index": "x"}) == {"Index": "x"}
