"""The parameters of the platform's own stacks: given now, found out, or set before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seedbed import cfn
from seedbed.errors import SeedbedError

NETWORK = ("VpcId", "SubnetIds", "SecurityGroupIds")  # all of them, or none
REGIONAL = (*NETWORK, "RouteTableIds", "SourceSecurityGroupId")  # ids that one region knows
ARNS = ("KmsKeyArn", "AssetKeyArn", "AlertTopicArn")  # of the stack's own region
Found = Mapping[str, Callable[[], str]]


def refuse_elsewhere(key: str, value: str, regions: Sequence[str]) -> None:
    """Raise SeedbedError for what is of one region, but would go to others too."""
    if not value or key not in (*REGIONAL, *ARNS):
        return
    if len(regions) > 1:
        how = f"add --region (one of {', '.join(regions)}), and run it for each"
        raise SeedbedError(f"--set {key}: {value!r} is of one region: {how}")
    where = value.split(":")[3] if key in ARNS else regions[0]
    if where != regions[0]:
        raise SeedbedError(f"--set {key}: {value!r} is of {where}: name one of {regions[0]}")


def refuse_otherwise(key: str, value: str, owner: str, said: Sequence[str]) -> None:
    """Raise SeedbedError for a value that `owner` says otherwise."""
    if {*said} != {value}:
        names = " and ".join(repr(one) for one in said)
        raise SeedbedError(f"--set {key} is {value!r}, but {owner} says {names}: leave it out")


def anywhere(values: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that are not of one region."""
    return {key: value for key, value in values.items() if key not in (*REGIONAL, *ARNS)}


def merged(
    rules: Mapping[str, Any], given: Mapping[str, str], found: Found, before: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return a stack's parameters, and those of them that nobody gave now or finds out.

    Given now, else found out, else as before: an upgrade takes no setting back.

    Args:
        rules: the template's parameters.
        given: the values of now; keys of other templates do not count.
        found: how to find out what is not given.
        before: the stack's parameters as they are, or what a new one takes over.

    Raises:
        SeedbedError: a value does not fit, or is missing.
    """
    values = {key: value for key, value in given.items() if key in rules}
    for key, value in values.items():
        if wrong := cfn.misfit(rules[key], value):
            raise SeedbedError(f"--set {key} is {wrong}")
    kept: dict[str, str] = {}
    for key in [key for key in rules if key not in values]:
        rule = rules[key]
        if key in found:
            values[key] = found[key]()
        elif key in before:
            values[key] = before[key]
            if wrong := cfn.misfit(rule, before[key]):
                raise SeedbedError(f"was set to {key} {wrong}: give --set {key}=...")
            if before[key] != str(rule.get("Default", "")):
                kept[key] = before[key]
        elif "Default" not in rule:
            raise SeedbedError(f"needs --set {key}=... ({rule.get('Description', '')})")
    _refuse_half_a_network(rules, values)
    return values, kept


def _refuse_half_a_network(rules: Mapping[str, Any], values: Mapping[str, str]) -> None:
    own = [key for key in NETWORK if key in rules]
    there = [key for key in own if values.get(key)]
    for key in own:
        if there and key not in there:
            raise SeedbedError(f"{' and '.join(there)} without {key}: --set all of them, or none")
