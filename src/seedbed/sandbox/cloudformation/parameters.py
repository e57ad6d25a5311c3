"""A stack's parameters: types, constraints, values from SSM, and the Rules section."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedbed.sandbox.cloudformation.errors import StackError, refused
from seedbed.sandbox.cloudformation.intrinsics import Evaluator, function
from seedbed.sandbox.cloudformation.template import Template

SSM_VALUE = re.compile(r"AWS::SSM::Parameter::Value<(.+)>")
# Forms of the AWS-specific types; whether the thing exists is left to the call that uses it.
FORMS = {
    "AWS::EC2::AvailabilityZone::Name": r"[a-z]{2}(-[a-z]+)+-\d[a-z]",
    "AWS::EC2::Image::Id": r"ami-[0-9a-f]+",
    "AWS::EC2::Instance::Id": r"i-[0-9a-f]+",
    "AWS::EC2::KeyPair::KeyName": r".+",
    "AWS::EC2::SecurityGroup::GroupName": r".+",
    "AWS::EC2::SecurityGroup::Id": r"sg-[0-9a-f]+",
    "AWS::EC2::Subnet::Id": r"subnet-[0-9a-f]+",
    "AWS::EC2::VPC::Id": r"vpc-[0-9a-f]+",
    "AWS::EC2::Volume::Id": r"vol-[0-9a-f]+",
    "AWS::Route53::HostedZone::Id": r"[A-Z0-9]+",
    "AWS::SSM::Parameter::Name": r"[A-Za-z0-9_.\-/]+",
    "String": r"(?s).*",
    "Number": r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?",
    "CommaDelimitedList": r"(?s).*",
}


@dataclass(frozen=True)
class Value:
    """One parameter's value: as given, and as `Ref` sees it (text, or a list of text)."""

    given: str
    resolved: str | list[str]
    hidden: bool = False  # NoEcho
    from_ssm: bool = False

    def wire(self, key: str) -> dict[str, str]:
        """Return the entry of DescribeStacks."""
        shown = {"ParameterKey": key, "ParameterValue": "****" if self.hidden else self.given}
        if self.from_ssm and not self.hidden:
            resolved = self.resolved
            shown["ResolvedValue"] = resolved if isinstance(resolved, str) else ",".join(resolved)
        return shown


def resolve(
    template: Template,
    given: Sequence[Mapping[str, Any]],
    previous: Mapping[str, Value],
    ssm: Callable[[str], str],
) -> dict[str, Value]:
    """Check the values that a request gives and fill in what it leaves out.

    `ssm` reads one parameter of the SSM parameter store.

    Raises:
        StackError: Names the parameter and the constraint that it breaks.
    """
    said = {}
    for entry in given:
        key = entry["ParameterKey"]
        if entry.get("UsePreviousValue"):
            if key not in previous:
                raise StackError(f"Invalid input for parameter key {key}. It has no previous value")
            said[key] = previous[key].given
        elif "ParameterValue" in entry:
            said[key] = str(entry["ParameterValue"])
    unknown = sorted(set(said) - set(template.parameters))
    if unknown:
        raise StackError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    for key, declared in template.parameters.items():
        if key not in said and "Default" in declared:
            default = declared["Default"]
            said[key] = str(default).lower() if isinstance(default, bool) else str(default)
    missing = [key for key in template.parameters if key not in said]
    if missing:
        raise StackError(f"Parameters: [{', '.join(missing)}] must have values")
    return {key: _value(key, said[key], template.parameters[key], ssm) for key in said}


def _value(key: str, given: str, declared: Mapping[str, Any], ssm: Callable[[str], str]) -> Value:
    kind = str(declared.get("Type", ""))
    stored = SSM_VALUE.fullmatch(kind)
    raw = given
    if stored:
        kind = stored[1]
        raw = ssm(given)
    element = re.fullmatch(r"List<(.+)>", kind)
    is_list = bool(element) or kind == "CommaDelimitedList"
    scalar = element[1] if element else kind
    if scalar not in FORMS:
        raise StackError(f"Template format error: Unrecognized parameter type: {kind}")
    values = [part.strip() for part in raw.split(",")] if is_list else [raw]
    for value in values:
        if not re.fullmatch(FORMS[scalar], value):
            raise StackError(f"Parameter validation failed: {key}={value!r} is no {scalar}")
    _constrain(key, declared, [given] if stored else values)
    hidden = str(declared.get("NoEcho", "false")).lower() == "true"
    return Value(given, values if is_list else raw, hidden, bool(stored))


def _constrain(key: str, declared: Mapping[str, Any], values: list[str]) -> None:
    for value in values:
        broken = next(_broken(declared, value), None)
        if broken:
            said = declared.get("ConstraintDescription") or broken
            raise StackError(f"Parameter '{key}' failed to satisfy constraint: {said}")


def _broken(declared: Mapping[str, Any], value: str) -> Iterator[str]:
    """Yield the constraints that one value breaks, in words."""
    allowed = declared.get("AllowedValues")
    if allowed is not None:
        words = [str(item).lower() if isinstance(item, bool) else str(item) for item in allowed]
        if value not in words:
            yield f"Parameter must be one of AllowedValues [{', '.join(words)}]"
    pattern = declared.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(str(pattern), value):
        yield f"must match pattern {pattern}"
    if "MinLength" in declared and len(value) < int(declared["MinLength"]):
        yield f"must contain at least {declared['MinLength']} characters"
    if "MaxLength" in declared and len(value) > int(declared["MaxLength"]):
        yield f"must contain at most {declared['MaxLength']} characters"
    if "MinValue" in declared and float(value) < float(declared["MinValue"]):
        yield f"must be a number not less than {declared['MinValue']}"
    if "MaxValue" in declared and float(value) > float(declared["MaxValue"]):
        yield f"must be a number not greater than {declared['MaxValue']}"


def check_rules(template: Template, evaluator: Evaluator) -> None:
    """Check the Rules section's assertions.

    Raises:
        StackError: Gives the assertion's own description.
    """
    for name, rule in template.rules.items():
        if "RuleCondition" in rule and not _rule(rule["RuleCondition"], evaluator):
            continue
        for assertion in rule.get("Assertions", []):
            if not _rule(assertion["Assert"], evaluator):
                said = assertion.get("AssertDescription", f"rule {name} does not hold")
                raise StackError(f"Template validation error: {name}: {said}")


def _rule(node: Any, evaluator: Evaluator) -> bool:
    """Evaluate a rule's tree: conditions' functions, and those of rules alone."""
    match function(node):
        case ("Fn::Not", [term]):
            return not _rule(term, evaluator)
        case ("Fn::And", [*terms]):
            return all(_rule(term, evaluator) for term in terms)
        case ("Fn::Or", [*terms]):
            return any(_rule(term, evaluator) for term in terms)
        case (("Fn::RefAll" | "Fn::ValueOf" | "Fn::ValueOfAll") as name, _):
            raise refused(f"{name} in Rules")
        case (str(name), [items, other]) if name in MEMBERS:
            return MEMBERS[name](evaluator.value(items), evaluator.value(other))
    return evaluator.decide(node)


MEMBERS: dict[str, Callable[[Any, Any], bool]] = {
    "Fn::Contains": lambda items, item: item in items,
    "Fn::EachMemberEquals": lambda items, item: all(member == item for member in items),
    "Fn::EachMemberIn": lambda items, allowed: all(member in allowed for member in items),
}
