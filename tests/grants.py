"""Reads what policies allow and which calls code makes: both stand in servicecatalog/grants.yml."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore import xform_name

NO_VALUE = {"Ref": "AWS::NoValue"}
DOCUMENTS = {  # where a resource keeps its policy
    "AWS::IAM::ManagedPolicy": "PolicyDocument",
    "AWS::IAM::Policy": "PolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupPolicy",
}
# What boto3 adds to clients: the calls that each makes.
TRANSFERS = {
    "download_file": ("head_object", "get_object"),
    "download_fileobj": ("head_object", "get_object"),
    "upload_file": ("put_object",),
    "upload_fileobj": ("put_object",),
}


@dataclass(frozen=True)
class Statement:
    """One statement that allows something: its name is file.resource[/policy]/Sid."""

    name: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


def statements(file: str, template: Mapping[str, Any]) -> Iterator[Statement]:
    """Yield every statement of a template that allows something, whichever way its Fn::If go."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::LakeFormation::PrincipalPermissions":
            actions = tuple(sorted(f"lakeformation:{name}" for name in properties["Permissions"]))
            yield Statement(f"{file}.{name}", actions, (lake(properties["Resource"]),))
        if resource["Type"] == "AWS::RAM::ResourceShare":
            granted = (shown(arn) for arn in branches(properties["PermissionArns"]))
            actions = tuple(sorted(text.rpartition("/")[2] for text in granted))
            shared = tuple(sorted(shown(arn) for arn in branches(properties["ResourceArns"])))
            yield Statement(f"{file}.{name}", actions, shared)
        documents = [
            (f"{file}.{name}/{policy['PolicyName']}", policy["PolicyDocument"])
            for policy in branches(properties.get("Policies", []))
            if isinstance(policy, Mapping) and "PolicyDocument" in policy
        ]
        if key := DOCUMENTS.get(resource["Type"]):
            documents += [(f"{file}.{name}", found) for found in branches(properties.get(key))]
        for where, document in documents:
            for number, one in enumerate(branches(document["Statement"])):
                if one["Effect"] == "Allow":
                    yield Statement(
                        f"{where}/{one.get('Sid', number)}",
                        tuple(sorted(branches(one["Action"]))),
                        tuple(sorted(shown(r) for r in branches(one["Resource"]))),
                    )


def lake(resource: Mapping[str, Any]) -> str:
    """Return what Lake Formation grants something on: a database, or the tables of one."""
    (kind, parts), *_ = resource.items()
    name = shown(parts.get("DatabaseName") or parts["Name"])
    return f"database {name}" if kind == "Database" else f"tables of {name}"


def branches(value: Any) -> Iterator[Any]:
    """Yield what a value may be: the items of a list, both branches of an Fn::If."""
    if isinstance(value, Mapping) and list(value) == ["Fn::If"]:
        for branch in value["Fn::If"][1:]:
            yield from branches(branch)
    elif isinstance(value, list):
        for item in value:
            yield from branches(item)
    elif value is not None and value != NO_VALUE:
        yield value


def shown(resource: Any) -> str:
    """Return a resource as people write it: without partition, region and account."""
    match resource:
        case str() as text:
            pass
        case {"Ref": name}:
            text = f"${{{name}}}"
        case {"Fn::GetAtt": [name, "Arn"]}:
            text = f"${{{name}}}"
        case {"Fn::Sub": str() as text}:
            pass
        case {"Fn::Sub": [text, _]}:
            pass
        case _:
            return json.dumps(resource, sort_keys=True)
    text = text.replace(".Arn}", "}").removeprefix("arn:${AWS::Partition}:")
    return text.replace("${AWS::Region}", "").replace("${AWS::AccountId}", "")


@cache
def operations(service: str) -> dict[str, str]:
    """Return a service's operations by the names of their methods in boto3."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


def calls(path: Path, services: tuple[str, ...]) -> set[str]:
    """Return the methods of boto3 clients that a Python file calls, paginated ones too."""
    known = {name for service in services for name in operations(service)}
    found: set[str] = set()
    tree = ast.parse(path.read_text("utf-8"))
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import))
    modules = {alias.asname or alias.name for node in imports for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            handed = [arg.attr for arg in node.args if isinstance(arg, ast.Attribute)]
            found.update(name for name in handed if name in known)  # client.method, to be called
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        if owner in modules or owner.isupper():
            continue  # re.search and PATTERN.search are no calls of SageMaker's Search
        name = node.func.attr
        if name in ("get_paginator", "can_paginate") and isinstance(node.args[0], ast.Constant):
            found.add(str(node.args[0].value))
        found.update(TRANSFERS.get(name, ()))
        if name in known:
            found.add(name)
    return found
