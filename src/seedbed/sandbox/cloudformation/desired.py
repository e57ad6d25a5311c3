"""A template with its parameters: what a stack shall hold, in the order of its dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedbed.sandbox.cloudformation import language, lint, parameters, registry, schemas
from seedbed.sandbox.cloudformation.aws import Aws, CallError
from seedbed.sandbox.cloudformation.errors import ResourceError, StackError
from seedbed.sandbox.cloudformation.intrinsics import Evaluator, references
from seedbed.sandbox.cloudformation.parameters import Value
from seedbed.sandbox.cloudformation.resources import tag_map
from seedbed.sandbox.cloudformation.schemas import Schema
from seedbed.sandbox.cloudformation.template import Template, check_resources, parse

# What needs CAPABILITY_IAM, and the property whose presence makes it CAPABILITY_NAMED_IAM.
IAM_TYPES = {
    "AWS::IAM::AccessKey": "", "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName", "AWS::IAM::Policy": "",
    "AWS::IAM::Role": "RoleName", "AWS::IAM::User": "UserName",
    "AWS::IAM::UserToGroupAddition": "", "AWS::IAM::RolePolicy": "", "AWS::IAM::UserPolicy": "",
    "AWS::IAM::GroupPolicy": "",
}  # fmt: skip
STACK = "AWS::CloudFormation::Stack"


@dataclass(frozen=True)
class Declared:
    """One resource of a template, its conditions decided."""

    logical_id: str
    kind: str
    properties: Mapping[str, Any]
    depends: frozenset[str]
    schema: Schema
    deletion_policy: str
    replace_policy: str
    metadata: Any

    @property
    def is_custom(self) -> bool:
        return self.kind.startswith("Custom::") or self.kind == schemas.CUSTOM


@dataclass
class Desired:
    """All that a template and its parameters say."""

    template: Template
    values: dict[str, Value]
    tags: dict[str, str]
    evaluator: Evaluator
    resources: dict[str, Declared]
    order: list[str]
    outputs: Mapping[str, Any]
    imports: set[str] = field(default_factory=set)

    def properties(self, declared: Declared) -> dict[str, Any]:
        """Evaluate a resource's properties in the types of its schema, the stack's tags added.

        Raises:
            ResourceError: Names logical id, type and property.
        """
        where = f"{declared.logical_id} ({declared.kind})"
        try:
            said = self.evaluator.value(dict(declared.properties))
        except StackError as error:
            raise ResourceError(f"{where}: {error.message}") from error
        checked = declared.schema.check(declared.logical_id, said)
        name = declared.schema.tag_property
        if name is None or not self.tags or declared.is_custom:
            return checked
        own = checked.get(name)
        merged = {**self.tags, **tag_map(own or [])}
        if declared.schema.tags_are_map:
            checked[name] = merged
        else:
            have = list(own or [])
            missing = [key for key in merged if key not in tag_map(have)]
            checked[name] = have + [{"Key": key, "Value": merged[key]} for key in missing]
        return checked

    def output_values(self) -> list[dict[str, Any]]:
        """Evaluate the outputs.

        Raises:
            StackError: Names the output.
        """
        listed = []
        for name, said in self.outputs.items():
            value = self.evaluator.value(said["Value"])
            if not isinstance(value, (str, int, float, bool)):
                raise StackError(f"Template format error: Output {name} is malformed: no string")
            text = str(value).lower() if isinstance(value, bool) else str(value)
            entry = {"OutputKey": name, "OutputValue": text}
            if "Description" in said:
                entry["Description"] = str(said["Description"])
            if "Export" in said:
                entry["ExportName"] = str(self.evaluator.value(said["Export"]["Name"]))
            listed.append(entry)
        return listed


@dataclass(frozen=True)
class Setting:
    """Where a template is evaluated: the stack's identity and the account's exports."""

    stack_name: str
    stack_id: str
    account: str
    region: str
    partition: str
    notify: list[str]
    exports: Callable[[str], str]

    def pseudo(self) -> dict[str, Any]:
        suffix = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        return {
            "AWS::AccountId": self.account, "AWS::Region": self.region,
            "AWS::Partition": self.partition, "AWS::URLSuffix": suffix,
            "AWS::StackName": self.stack_name, "AWS::StackId": self.stack_id,
            "AWS::NotificationARNs": self.notify,
        }  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a request gives: template, parameters, tags, and the values that it may keep."""

    body: str
    parameters: Sequence[Mapping[str, Any]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, Value] = field(default_factory=dict)


def prepare(asked: Asked, setting: Setting, aws: Aws) -> Desired:
    """Read a template and check all that can be checked before anything is made.

    Raises:
        StackError: cfn-lint finds an error, or a parameter, rule, type or reference is wrong.
    """
    lint.check(asked.body, setting.region)
    template = parse(asked.body)
    values = parameters.resolve(
        template, asked.parameters, asked.previous, lambda name: _stored(name, aws)
    )
    resolved = {key: value.resolved for key, value in values.items()}
    imports: set[str] = set()

    def take(name: str) -> str:
        imports.add(name)
        return setting.exports(name)

    evaluator = Evaluator(
        resolved, setting.pseudo(), template.mappings, template.conditions, template.extended,
        import_value=take, zones=lambda region: _zones(region, aws),
    )  # fmt: skip
    template = language.expand(template, evaluator)
    evaluator.conditions = template.conditions
    check_resources(template.resources)
    parameters.check_rules(template, evaluator)
    for name in template.conditions:
        evaluator.holds(name)
    resources = _declared(template, evaluator, setting.region)
    outputs = {
        name: evaluator.prune({key: item for key, item in said.items() if key != "Condition"})
        for name, said in template.outputs.items()
        if "Condition" not in said or evaluator.holds(said["Condition"])
    }
    known = {*resources, *resolved, *setting.pseudo(), "AWS::NoValue"}
    _check_references("Outputs", outputs, known)
    order = sort({name: one.depends for name, one in resources.items()})
    return Desired(
        template, values, dict(asked.tags), evaluator, resources, order, outputs, imports
    )


def _declared(template: Template, evaluator: Evaluator, region: str) -> dict[str, Declared]:
    kept = {
        name: said
        for name, said in template.resources.items()
        if "Condition" not in said or evaluator.holds(said["Condition"])
    }
    known = {*kept, *evaluator.parameters, *evaluator.pseudo, "AWS::NoValue"}
    declared = {}
    for name, said in kept.items():
        kind = said["Type"]
        schema = schemas.find(kind, region)
        if schema is None:
            raise StackError(
                f"Template format error: {name}: Unrecognized resource type: {kind} in {region}"
            )
        properties = evaluator.prune(said.get("Properties") or {})
        _check_references(f"Resources/{name}", properties, known)
        explicit = said.get("DependsOn") or []
        explicit = [explicit] if isinstance(explicit, str) else explicit
        depends = {*explicit, *(target for target, _ in references(properties))}
        for target in explicit:
            if target not in template.resources:
                raise StackError(
                    f"Template format error: {name}: DependsOn names {target}: no such resource"
                )
        declared[name] = Declared(
            name, kind, properties, frozenset(depends & set(kept)), schema,
            said.get("DeletionPolicy", "Delete"), said.get("UpdateReplacePolicy", "Delete"),
            said.get("Metadata"),
        )  # fmt: skip
        if kind != STACK and not declared[name].is_custom:
            try:
                registry.handler(schema)
            except ResourceError as error:
                raise StackError(f"{name}: {error.message}", "NotImplementedInSandbox") from error
    return declared


def _check_references(where: str, tree: Any, known: set[str]) -> None:
    unknown = sorted({name for name, _ in references(tree) if name not in known})
    if unknown:
        raise StackError(
            f"Template format error: Unresolved resource dependencies {unknown} in {where}"
        )


def sort(depends: Mapping[str, Iterable[str]]) -> list[str]:
    """Order names so that each comes after what it depends on, else as they stand.

    Raises:
        StackError: They depend on each other in a circle.
    """
    waiting = {name: {one for one in needs if one in depends} for name, needs in depends.items()}
    order: list[str] = []
    while waiting:
        ready = [name for name, needs in waiting.items() if needs <= set(order)]
        if not ready:
            circle = ", ".join(sorted(waiting))
            raise StackError(f"Circular dependency between resources: [{circle}]")
        order += ready
        for name in ready:
            del waiting[name]
    return order


def check_capabilities(desired: Desired, given: Iterable[str], *, direct: bool = True) -> None:
    """Check that the request acknowledges what the template can do.

    `direct` says that no change set shows the result first: then a transform needs its own.

    Raises:
        StackError: InsufficientCapabilitiesException, with the capability that is missing.
    """
    have = set(given)
    needed = []
    iam = [one for one in desired.resources.values() if one.kind in IAM_TYPES]
    if any(IAM_TYPES[one.kind] in one.properties for one in iam):
        if "CAPABILITY_NAMED_IAM" not in have:
            needed.append("CAPABILITY_NAMED_IAM")
    elif iam and not have & {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"}:
        needed.append("CAPABILITY_IAM")
    if direct and desired.template.transforms and "CAPABILITY_AUTO_EXPAND" not in have:
        needed.append("CAPABILITY_AUTO_EXPAND")
    if needed:
        raise StackError(
            f"Requires capabilities : [{', '.join(needed)}]", "InsufficientCapabilitiesException"
        )


def _stored(name: str, aws: Aws) -> str:
    try:
        found = aws.call("ssm:GetParameters", Names=[name])
    except CallError as error:
        raise StackError(error.message) from error
    if not found["Parameters"]:
        raise StackError(
            f"Unable to fetch parameters [{name}] from parameter store for this account."
        )
    return str(found["Parameters"][0]["Value"])


def _zones(region: str, aws: Aws) -> list[str]:
    if region != aws.region:
        return [f"{region}{zone}" for zone in "abc"]
    try:
        found = aws.call("ec2:DescribeAvailabilityZones")["AvailabilityZones"]
    except CallError as error:
        raise StackError(f"Template error: Fn::GetAZs: {error.message}") from error
    return sorted(zone["ZoneName"] for zone in found)
