"""SageMaker pipelines and projects, Service Catalog products and constraints, Lake Formation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jmespath

from seedbed.sandbox.cloudformation.aws import Aws, CallError, convert, input_shape
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.resources import (
    Generic,
    Resource,
    Translated,
    call_unless_gone,
    without,
)

# Why a project failed, by the route that it took.
FAILURE = (
    "TemplateProviderDetails[0].CfnTemplateProviderDetail.StackDetail.StatusMessage || "
    "ServiceCatalogProvisionedProductDetails.ProvisionedProductStatusMessage"
)


class MlPipeline(Translated):
    """AWS::SageMaker::Pipeline: the definition is text or a place in S3."""

    def said(self, resource: Resource, given: Mapping[str, Any], aws: Aws) -> dict[str, Any]:
        del resource, aws
        said = without(given, "PipelineDefinition")
        definition = given["PipelineDefinition"]
        if "PipelineDefinitionBody" in definition:
            body = definition["PipelineDefinitionBody"]
            said["PipelineDefinition"] = body if isinstance(body, str) else json.dumps(body)
        else:
            place = definition["PipelineDefinitionS3Location"]
            names = {"Bucket": "Bucket", "Key": "ObjectKey", "Version": "VersionId"}
            said["PipelineDefinitionS3Location"] = {
                names[key]: item for key, item in place.items() if key in names
            }
        return said


class Domain(Generic):
    """AWS::SageMaker::Domain: moto's CreateDomain tells the ARN alone."""

    def identify(self, resource: Resource, answer: Mapping[str, Any], aws: Aws) -> None:
        arn = str(answer.get("DomainArn", ""))
        super().identify(resource, {"DomainId": arn.rpartition("/")[2], **answer}, aws)


class Project(Generic):
    """AWS::SageMaker::Project: what describes a template provider is what creates it."""

    def create(self, resource: Resource, aws: Aws) -> None:
        said = without(resource.properties, "TemplateProviderDetails")
        providers = resource.properties.get("TemplateProviderDetails")
        if providers is not None:
            said["TemplateProviders"] = [
                {"CfnTemplateProvider": one["CfnTemplateProviderDetail"]} for one in providers
            ]
        with resource.sent_as(said):
            super().create(resource, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        super().delete(resource, aws)
        self._settled(resource, aws)

    def _settled(self, resource: Resource, aws: Aws) -> dict[str, Any]:
        try:
            return super()._settled(resource, aws)
        except CallError:
            raise
        except ResourceError as error:
            told = aws.call("sagemaker:DescribeProject", ProjectName=resource.get("ProjectName"))
            said = jmespath.search(FAILURE, told)
            raise ResourceError(f"{resource.where}: {told['ProjectStatus']}: {said}") from error


class Notebook(Generic):
    """AWS::SageMaker::NotebookInstance: stopped before it is deleted."""

    def delete(self, resource: Resource, aws: Aws) -> None:
        named = {"NotebookInstanceName": resource.get("NotebookInstanceName")}
        read = call_unless_gone(aws, self.kind.read, **named)
        if read.get("NotebookInstanceStatus") == "InService":
            aws.call("sagemaker:StopNotebookInstance", **named)
            self._settled(resource, aws)
        super().delete(resource, aws)


class CodeRepository(Generic):
    """AWS::SageMaker::CodeRepository: only the secret of its git configuration can change."""

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        before, after = _secret_only(old), _secret_only(resource.properties)
        if "GitConfig" in before and "GitConfig" not in after:
            raise ResourceError(
                f"{resource.where}: taking away property GitConfig/SecretArn is not emulated"
            )
        with resource.sent_as(after):
            super().update(resource, before, aws)


def _secret_only(given: Mapping[str, Any]) -> dict[str, Any]:
    said = without(given, "GitConfig")
    secret = given["GitConfig"].get("SecretArn")
    return {**said, "GitConfig": {"SecretArn": secret}} if secret else said


class Product(Generic):
    """AWS::ServiceCatalog::CloudFormationProduct with its versions."""

    VERSIONS = "ProvisioningArtifactParameters"

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        first, *others = given.get(self.VERSIONS) or [None]
        said = without(given, "ReplaceProvisioningArtifacts")
        said.setdefault("ProductType", "CLOUD_FORMATION_TEMPLATE")
        if first is not None:
            said[self.VERSIONS] = {"Type": "CLOUD_FORMATION_TEMPLATE", **first}
        with resource.sent_as(said):
            super().create(resource, aws)
        resource.attributes["ProductName"] = given["Name"]
        if first is not None:
            made = [resource.attributes.pop("Artifact")]
            made += [self._add(resource, one, aws) for one in others]
            self._list(resource, made)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        given = resource.properties
        aside = (self.VERSIONS, "ReplaceProvisioningArtifacts")
        attributes = dict(resource.attributes)
        with resource.sent_as(without(given, *aside)):
            super().update(resource, without(old, *aside), aws)
        resource.attributes |= {**attributes, "ProductName": given["Name"]}
        was, now = old.get(self.VERSIONS, []), given.get(self.VERSIONS, [])
        if was != now:
            self._versions(resource, was, now, aws)

    def _versions(self, resource: Resource, was: list[Any], now: list[Any], aws: Aws) -> None:
        """Keep a version whose template stays, add the new ones, then remove what is left."""
        ids = dict(enumerate(resource.attributes["ProvisioningArtifactIds"].split(",")))
        kept: dict[int, str] = {}
        for at, one in enumerate(now):
            same = next(
                (k for k in ids if k not in kept and was[k].get("Info") == one.get("Info")), None
            )
            if same is None:
                continue
            kept[same] = ids[same]
            changed = {
                k: one.get(k, "") for k in ("Name", "Description") if one.get(k) != was[same].get(k)
            }
            if changed:
                aws.call(
                    "servicecatalog:UpdateProvisioningArtifact", ProductId=resource.physical_id,
                    ProvisioningArtifactId=ids[same], **changed,
                )  # fmt: skip
            now = [*now[:at], {**one, "=id": ids[same]}, *now[at + 1 :]]
        made = [one["=id"] if "=id" in one else self._add(resource, one, aws) for one in now]
        for at, gone in ids.items():
            if at not in kept:
                call_unless_gone(
                    aws, "servicecatalog:DeleteProvisioningArtifact",
                    ProductId=resource.physical_id, ProvisioningArtifactId=gone,
                )  # fmt: skip
        self._list(resource, made)

    def _add(self, resource: Resource, version: Mapping[str, Any], aws: Aws) -> str:
        shape = input_shape("servicecatalog:CreateProvisioningArtifact").members["Parameters"]
        said = {"Type": "CLOUD_FORMATION_TEMPLATE", **version}
        made = aws.call(
            "servicecatalog:CreateProvisioningArtifact", ProductId=resource.physical_id,
            Parameters=convert(said, shape, f"{resource.where}: property {self.VERSIONS}"),
        )  # fmt: skip
        return str(made["ProvisioningArtifactDetail"]["Id"])

    def _list(self, resource: Resource, ids: list[str]) -> None:
        versions = resource.properties.get(self.VERSIONS, [])
        resource.attributes["ProvisioningArtifactIds"] = ",".join(ids)
        names = [one.get("Name", one_id) for one, one_id in zip(versions, ids, strict=True)]
        resource.attributes["ProvisioningArtifactNames"] = ",".join(names)


def _launch(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: given[key] for key in ("RoleArn", "LocalRoleName") if key in given}


# type -> the constraint's type and its parameters
CONSTRAINTS: dict[str, tuple[str, Any]] = {
    "LaunchRoleConstraint": ("LAUNCH", _launch),
    "LaunchNotificationConstraint": (
        "NOTIFICATION", lambda given: {"NotificationArns": given["NotificationArns"]},
    ),
    "LaunchTemplateConstraint": ("TEMPLATE", lambda given: {"Rules": json.loads(given["Rules"])}),
    "ResourceUpdateConstraint": (
        "RESOURCE_UPDATE",
        lambda given: {
            "Version": "2.0",
            "Properties": {"TagUpdateOnProvisionedProduct": given["TagUpdateOnProvisionedProduct"]},
        },
    ),
}  # fmt: skip


class Constraint:
    """The constraints of Service Catalog: one API for all."""

    def __init__(self, noun: str) -> None:
        self.type, self.build = CONSTRAINTS[noun]

    def create(self, resource: Resource, aws: Aws) -> None:
        said = self._said(resource)
        keys = ("PortfolioId", "ProductId")
        said |= {key: resource.properties[key] for key in keys}
        made = aws.call("servicecatalog:CreateConstraint", Type=self.type, **said)
        resource.physical_id = made["ConstraintDetail"]["ConstraintId"]
        resource.attributes["Id"] = resource.physical_id

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        del old
        said = {"Description": "", **self._said(resource)}
        aws.call("servicecatalog:UpdateConstraint", Id=resource.physical_id, **said)

    def delete(self, resource: Resource, aws: Aws) -> None:
        call_unless_gone(aws, "servicecatalog:DeleteConstraint", Id=resource.physical_id)

    def _said(self, resource: Resource) -> dict[str, Any]:
        given = resource.properties
        keys: tuple[str, ...] = ("AcceptLanguage", "Description")
        said = {key: given[key] for key in keys if key in given}
        return {**said, "Parameters": json.dumps(self.build(given))}


LEGACY = {
    "DatabaseResource": "Database", "TableResource": "Table", "S3Resource": "ResourceArn",
    "DataLocationResource": "DataLocation", "TableWithColumnsResource": "TableWithColumns",
}  # fmt: skip


class Grant:
    """AWS::LakeFormation::PrincipalPermissions, and Permissions as it was before."""

    def create(self, resource: Resource, aws: Aws) -> None:
        self._call("Grant", resource, resource.properties, aws)
        if resource.kind.endswith("::Permissions"):
            resource.physical_id = resource.attributes["Id"] = resource.unique(64)
            return
        for name in ("Principal", "Resource"):
            said = json.dumps(resource.properties[name], sort_keys=True)
            resource.attributes[f"{name}Identifier"] = said
        attributes = resource.attributes
        parts = (attributes["PrincipalIdentifier"], attributes["ResourceIdentifier"])
        resource.physical_id = "|".join(parts)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        self._call("Revoke", resource, old, aws)
        self._call("Grant", resource, resource.properties, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        self._call("Revoke", resource, resource.properties, aws)

    def _call(self, verb: str, resource: Resource, given: Mapping[str, Any], aws: Aws) -> None:
        names = {"DataLakePrincipal": "Principal", "Catalog": "CatalogId"}
        said = {names.get(key, key): _modern(item) for key, item in given.items()}
        operation = f"lakeformation:{verb}Permissions"
        params = convert(said, input_shape(operation), f"{resource.where}: property")
        (aws.call if verb == "Grant" else _forgiving(aws))(operation, **params)


def _forgiving(aws: Aws) -> Any:
    return lambda operation, **params: call_unless_gone(aws, operation, **params)


def _modern(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {LEGACY.get(key, key): _modern(item) for key, item in value.items()}
    return value


class DataLakeSettings:
    """AWS::LakeFormation::DataLakeSettings."""

    def create(self, resource: Resource, aws: Aws) -> None:
        self._put(resource, resource.properties, aws)
        resource.physical_id = resource.attributes["Id"] = f"DataLakeSettings-{aws.account}"

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        del old
        self._put(resource, resource.properties, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        self._put(resource, {"Admins": []}, aws)

    def _put(self, resource: Resource, given: Mapping[str, Any], aws: Aws) -> None:
        mutation = given.get("MutationType", "REPLACE")
        if mutation != "REPLACE":
            raise ResourceError(f"{resource.where}: MutationType {mutation} is not emulated")
        names = {"Admins": "DataLakeAdmins"}
        said = {names.get(key, key): item for key, item in given.items() if key != "MutationType"}
        shape = input_shape("lakeformation:PutDataLakeSettings").members["DataLakeSettings"]
        settings = convert(said, shape, f"{resource.where}: property")
        aws.call("lakeformation:PutDataLakeSettings", DataLakeSettings=settings)


class GlueDatabase(Generic):
    """AWS::Glue::Database: named outside of its input or within."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        name = given.get("DatabaseName") or given["DatabaseInput"].get("Name")
        with resource.sent_as({**given, "DatabaseName": name} if name else given):
            super().create(resource, aws)
        resource.attributes["DatabaseName"] = resource.physical_id


class GlueTable(Generic):
    """AWS::Glue::Table: named within its input."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        name = given.get("Name") or given.get("TableInput", {}).get("Name")
        if name is None:
            name = resource.unique(255, lower=True)
        resource.attributes["Name"] = name
        with resource.sent_as(self._named(given, name)):
            super().create(resource, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        with resource.sent_as(self._named(resource.properties, resource.physical_id)):
            super().update(resource, without(old, "Name"), aws)

    def _named(self, given: Mapping[str, Any], name: str) -> dict[str, Any]:
        return {
            **without(given, "Name"),
            "TableInput": {**given.get("TableInput", {}), "Name": name},
        }
