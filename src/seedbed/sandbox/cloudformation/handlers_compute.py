"""Functions, pipelines, repositories, secrets, tables and state machines."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from seedbed.sandbox.cloudformation.aws import Aws, CallError, convert, input_shape
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.resources import (
    Generic,
    Resource,
    Translated,
    call_unless_gone,
    without,
)

# The module that AWS puts beside inline code, with the interface that its documentation gives.
CFNRESPONSE = """\
import json
import urllib.request

SUCCESS = "SUCCESS"
FAILED = "FAILED"


def send(event, context, responseStatus, responseData, physicalResourceId=None, noEcho=False,
         reason=None):
    body = json.dumps({
        "Status": responseStatus,
        "Reason": reason or "See CloudWatch Log Stream: " + context.log_stream_name,
        "PhysicalResourceId": physicalResourceId or context.log_stream_name,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "NoEcho": noEcho,
        "Data": responseData,
    }).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT",
                                     headers={"content-type": ""})
    urllib.request.urlopen(request).close()
"""
EPOCH = (2020, 1, 1, 0, 0, 0)  # the same code gives the same bytes, and so the same CodeSha256


def inline_zip(source: str, runtime: str) -> bytes:
    """Pack a function's inline code as CloudFormation does: `index`, and cfnresponse beside it."""
    if runtime.startswith("python"):
        files = {"index.py": source, "cfnresponse.py": CFNRESPONSE}
    elif runtime.startswith("nodejs"):
        files = {"index.js": source}
    else:
        raise ResourceError(f"Code/ZipFile: inline code is for Python and Node.js, not {runtime}")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()


@contextmanager
def _layers_named(resource: Resource, aws: Aws) -> Iterator[None]:
    """Tell which property asks for a layer of another account, such as AWS's, that is not here."""
    layers = resource.properties.get("Layers", [])
    foreign = [arn for arn in layers if arn.split(":")[4:5] != [aws.account]]
    try:
        yield
    except CallError as error:
        if not foreign or "LayerVersion" not in error.said:
            raise
        raise ResourceError(
            f"{resource.where}: property Layers: {foreign[0]} is not emulated: no account of the "
            "organisation has it"
        ) from error


class Function(Generic):
    """AWS::Lambda::Function: code and configuration are updated by calls of their own."""

    RESETS: Mapping[str, Any] = {
        "Description": "", "Timeout": 3, "MemorySize": 128, "Environment": {"Variables": {}},
        "Layers": [], "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
        "DeadLetterConfig": {"TargetArn": ""}, "TracingConfig": {"Mode": "PassThrough"},
        "KmsKeyArn": "", "EphemeralStorage": {"Size": 512}, "FileSystemConfigs": [],
    }  # fmt: skip

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        said = {**given, "Code": self._code(given)}
        with resource.sent_as(said), _layers_named(resource, aws):
            super().create(resource, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new, name = resource.properties, resource.physical_id
        changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
        if changed & {"Code", "Architectures"} or (
            # Inline code is packed for its runtime, so that the runtime changes the code too.
            "Runtime" in changed and "ZipFile" in new["Code"]
        ):
            code = self._code(new)
            if "Architectures" in new:
                code["Architectures"] = new["Architectures"]
            shape = input_shape("lambda:UpdateFunctionCode")
            said = convert(code, shape, f"{resource.where}: property Code")
            aws.call("lambda:UpdateFunctionCode", FunctionName=name, **said)
            self._settled(resource, aws)
        changed -= {"Code", "Architectures"}
        if "ReservedConcurrentExecutions" in changed:
            self.beside(resource, self.kind.extras[0], aws)
        if "Tags" in changed:
            self.retag(resource, old.get("Tags"), aws)
        changed -= {"Tags", "ReservedConcurrentExecutions"}
        if changed:
            self._configure(resource, changed, aws)
        self.describe(resource, {}, aws)

    def _configure(self, resource: Resource, changed: set[str], aws: Aws) -> None:
        shape = input_shape("lambda:UpdateFunctionConfiguration")
        said = {}
        for key in changed:
            if key not in resource.properties and key not in self.RESETS:
                raise ResourceError(
                    f"{resource.where}: taking away property {key} in an update is not emulated"
                )
            said[key] = resource.properties.get(key, self.RESETS.get(key))
        params = convert(said, shape, f"{resource.where}: property")
        with _layers_named(resource, aws):
            aws.call(
                "lambda:UpdateFunctionConfiguration", FunctionName=resource.physical_id, **params
            )

    def _code(self, given: Mapping[str, Any]) -> dict[str, Any]:
        code = dict(given["Code"])
        if "ZipFile" in code:
            code["ZipFile"] = inline_zip(code["ZipFile"], given.get("Runtime", ""))
        return code


def _place(stages: list[Mapping[str, Any]], said: str) -> str:
    """Return the path of the stage or action that CodePipeline's message names."""
    for at, stage in enumerate(stages):
        if f"of the stage {stage['Name']} " not in f"{said} ":
            continue
        for number, action in enumerate(stage["Actions"]):
            if f"the action {action['Name']} of the stage" in said:
                kind = "/ActionTypeId" if "the action type" in said else ""
                return f"Stages/{at}/Actions/{number}{kind}"
        return f"Stages/{at}"
    return "Stages"


@contextmanager
def _action_named(resource: Resource) -> Iterator[None]:
    """Tell which property holds what the sandbox's CodePipeline does not have."""
    try:
        yield
    except CallError as error:
        if error.code != "NotImplementedInSandbox" or "of a pipeline" not in error.said:
            raise
        place = _place(resource.properties["Stages"], error.said)
        raise ResourceError(f"{resource.where}: property {place}: {error.message}") from error


class Pipeline(Translated):
    """AWS::CodePipeline::Pipeline."""

    def create(self, resource: Resource, aws: Aws) -> None:
        with _action_named(resource):
            super().create(resource, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        with _action_named(resource):
            super().update(resource, old, aws)
        if resource.properties.get("RestartExecutionOnUpdate"):
            aws.call("codepipeline:StartPipelineExecution", name=resource.physical_id)

    def said(self, resource: Resource, given: Mapping[str, Any], aws: Aws) -> dict[str, Any]:
        del resource, aws
        if "ArtifactStores" not in given:
            return dict(given)
        stores = {one["Region"]: one["ArtifactStore"] for one in given["ArtifactStores"]}
        return {**given, "ArtifactStores": stores}


class Repository(Generic):
    """AWS::CodeCommit::Repository; `Code` seeds the first commit and nothing later."""

    def create(self, resource: Resource, aws: Aws) -> None:
        code = resource.properties.get("Code")
        with resource.sent_as(without(resource.properties, "Code")):
            super().create(resource, aws)
        if code is not None:
            self._seed(resource, code, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new = resource.properties
        if new["RepositoryName"] != old["RepositoryName"]:
            aws.call(
                "codecommit:UpdateRepositoryName", oldName=old["RepositoryName"],
                newName=new["RepositoryName"],
            )  # fmt: skip
        before = {**without(old, "Code"), "RepositoryName": new["RepositoryName"]}
        with resource.sent_as(without(new, "Code")):
            super().update(resource, before, aws)

    def _seed(self, resource: Resource, code: Mapping[str, Any], aws: Aws) -> None:
        place = {key: item for key, item in code["S3"].items() if key != "ObjectVersion"}
        version = (
            {"VersionId": code["S3"]["ObjectVersion"]} if "ObjectVersion" in code["S3"] else {}
        )
        packed = aws.call("s3:GetObject", **place, **version)["Body"].read()
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            files = [
                {"filePath": name, "fileContent": archive.read(name)}
                for name in archive.namelist()
                if not name.endswith("/")
            ]
        parent: dict[str, str] = {}
        for start in range(0, len(files), 100):  # CreateCommit takes a hundred files at once
            made = aws.call(
                "codecommit:CreateCommit", repositoryName=resource.properties["RepositoryName"],
                branchName=code.get("BranchName", "main"), putFiles=files[start : start + 100],
                commitMessage="Initial commit by AWS CloudFormation", **parent,
            )  # fmt: skip
            parent = {"parentCommitId": made["commitId"]}


class Secret(Generic):
    """AWS::SecretsManager::Secret."""

    def create(self, resource: Resource, aws: Aws) -> None:
        with resource.sent_as(self._generated(resource.properties, aws)):
            super().create(resource, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        given = resource.properties
        said = without(given, "GenerateSecretString")
        if given.get("GenerateSecretString") != old.get("GenerateSecretString"):
            said = self._generated(given, aws)
        with resource.sent_as(said):
            super().update(resource, without(old, "GenerateSecretString"), aws)

    def _generated(self, given: Mapping[str, Any], aws: Aws) -> dict[str, Any]:
        said = without(given, "GenerateSecretString")
        asked = given.get("GenerateSecretString")
        if asked is None:
            return said
        keys = ("SecretStringTemplate", "GenerateStringKey")
        shape = input_shape("secretsmanager:GetRandomPassword")
        params = {key: item for key, item in asked.items() if key not in keys}
        password = aws.call(
            "secretsmanager:GetRandomPassword",
            **convert(params, shape, "property GenerateSecretString"),
        )["RandomPassword"]
        if "GenerateStringKey" in asked:
            template = json.loads(asked.get("SecretStringTemplate", "{}"))
            password = json.dumps({**template, asked["GenerateStringKey"]: password})
        return {**said, "SecretString": password}


class Table(Translated):
    """AWS::DynamoDB::Table: some of its properties are named otherwise in the API."""

    def said(self, resource: Resource, given: Mapping[str, Any], aws: Aws) -> dict[str, Any]:
        del resource, aws
        said = dict(given)
        if "SSESpecification" in said:
            renamed = dict(said["SSESpecification"])
            renamed["Enabled"] = renamed.pop("SSEEnabled")
            said["SSESpecification"] = renamed
        if "StreamSpecification" in said:
            said["StreamSpecification"] = {"StreamEnabled": True, **said["StreamSpecification"]}
        if "ResourcePolicy" in said:
            said["ResourcePolicy"] = json.dumps(said["ResourcePolicy"]["PolicyDocument"])
        return said


class StateMachine(Translated):
    """AWS::StepFunctions::StateMachine."""

    ASIDE = ("Definition", "DefinitionString", "DefinitionS3Location", "DefinitionSubstitutions")

    def said(self, resource: Resource, given: Mapping[str, Any], aws: Aws) -> dict[str, Any]:
        said = without(given, *self.ASIDE)
        if "DefinitionS3Location" in given:
            place = given["DefinitionS3Location"]
            version = {"VersionId": place["Version"]} if "Version" in place else {}
            found = aws.call("s3:GetObject", Bucket=place["Bucket"], Key=place["Key"], **version)
            text = found["Body"].read().decode()
        elif "Definition" in given:
            text = json.dumps(given["Definition"])
        elif "DefinitionString" in given:
            text = given["DefinitionString"]
        else:
            raise ResourceError(f"{resource.where}: property Definition is required")
        for name, value in given.get("DefinitionSubstitutions", {}).items():
            text = text.replace(f"${{{name}}}", str(value))
        return {**said, "Definition": text}


class SecurityGroup(Generic):
    """AWS::EC2::SecurityGroup with its own rules."""

    SIDES = (("SecurityGroupIngress", "Ingress"), ("SecurityGroupEgress", "Egress"))

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        with resource.sent_as(without(given, *dict(self.SIDES))):
            super().create(resource, aws)
        if "SecurityGroupEgress" in given:
            everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            self._rules("ec2:RevokeSecurityGroupEgress", resource, [everything], aws)
        self._change(resource, set(), aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        self.retag(resource, old.get("Tags"), aws)
        self._rules_between(resource, old, aws)

    def _change(self, resource: Resource, changed: set[str], aws: Aws) -> None:
        del changed
        self._rules_between(resource, {}, aws)

    def _rules_between(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        for key, side in self.SIDES:
            before = [permission(rule) for rule in old.get(key, [])]
            after = [permission(rule) for rule in resource.properties.get(key, [])]
            for verb, rules in (
                ("Revoke", [one for one in before if one not in after]),
                ("Authorize", [one for one in after if one not in before]),
            ):
                if rules:
                    self._rules(f"ec2:{verb}SecurityGroup{side}", resource, rules, aws)

    def _rules(
        self, operation: str, resource: Resource, rules: list[dict[str, Any]], aws: Aws
    ) -> None:
        aws.call(operation, GroupId=resource.physical_id, IpPermissions=rules)


class SecurityGroupRule:
    """AWS::EC2::SecurityGroupIngress and ...Egress."""

    def __init__(self, side: str) -> None:
        self.side = side

    def create(self, resource: Resource, aws: Aws) -> None:
        made = aws.call(
            f"ec2:AuthorizeSecurityGroup{self.side}", GroupId=resource.properties["GroupId"],
            IpPermissions=[permission(resource.properties)],
        )  # fmt: skip
        rules = made.get("SecurityGroupRules") or [{}]
        found = rules[0].get("SecurityGroupRuleId") or resource.unique(64)
        resource.physical_id = resource.attributes["Id"] = found

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        del old, aws
        raise ResourceError(f"{resource.where}: changing property Description is not emulated")

    def delete(self, resource: Resource, aws: Aws) -> None:
        call_unless_gone(
            aws, f"ec2:RevokeSecurityGroup{self.side}", GroupId=resource.properties["GroupId"],
            IpPermissions=[permission(resource.properties)],
        )  # fmt: skip


def permission(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a security group's rule in the form of the API."""
    made: dict[str, Any] = {"IpProtocol": str(rule["IpProtocol"])}
    made |= {key: int(rule[key]) for key in ("FromPort", "ToPort") if key in rule}
    said = {"Description": rule["Description"]} if "Description" in rule else {}
    sources = (
        ("CidrIp", "IpRanges", "CidrIp"),
        ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
        ("SourceSecurityGroupId", "UserIdGroupPairs", "GroupId"),
        ("DestinationSecurityGroupId", "UserIdGroupPairs", "GroupId"),
        ("SourcePrefixListId", "PrefixListIds", "PrefixListId"),
        ("DestinationPrefixListId", "PrefixListIds", "PrefixListId"),
    )
    for name, listed, inner in sources:
        if name in rule:
            made[listed] = [{inner: rule[name], **said}]
    return made


class AclEntry(Generic):
    """AWS::EC2::NetworkAclEntry: known by its list, its number and its direction."""

    def create(self, resource: Resource, aws: Aws) -> None:
        resource.attributes["Id"] = resource.unique()
        with resource.sent_as(self._said(resource.properties)):
            super().create(resource, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        with resource.sent_as(self._said(resource.properties)):
            super().update(resource, self._said(old), aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        with resource.sent_as(self._said(resource.properties)):
            super().delete(resource, aws)

    def _said(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"Egress": False, **given}


class Vpc(Generic):
    """AWS::EC2::VPC: its default group is found by asking."""

    def describe(self, resource: Resource, answer: Mapping[str, Any], aws: Aws) -> None:
        super().describe(resource, answer, aws)
        name = resource.physical_id
        only = [
            {"Name": "vpc-id", "Values": [name]}, {"Name": "group-name", "Values": ["default"]},
        ]  # fmt: skip
        groups = aws.call("ec2:DescribeSecurityGroups", Filters=only)["SecurityGroups"]
        if groups:
            resource.attributes["DefaultSecurityGroup"] = groups[0]["GroupId"]
