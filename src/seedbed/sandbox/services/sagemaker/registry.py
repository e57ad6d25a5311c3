"""The model registry: groups with their policies, and versions that keep all they were given.

moto's registry drops members, clears approvals, knows no policies and emits no events; model
packages and their groups are kept here altogether.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.sagemaker.records import (
    Kind,
    Record,
    Records,
    Store,
    merged,
    output_members,
    who,
)
from seedbed.sandbox.world import Context

PRINCIPAL = "sagemaker.amazonaws.com"
CHANGE = "SageMaker Model Package State Change"
PENDING = "PendingManualApproval"
GROUP = Kind(
    "ModelPackageGroup",
    ("ModelPackageGroupName",),
    "model-package-group/{ModelPackageGroupName}",
    status=("ModelPackageGroupStatus", "Completed"),
)
# A version is named by group and number, what stands alone by its own name.
PACKAGE = Kind(
    "ModelPackage",
    ("ModelPackageName",),
    "model-package/{ModelPackageName}",
    status=("ModelPackageStatus", "Completed"),
)
# What no event tells: who did it, and what only steers the call.
UNTOLD = frozenset({"CreatedBy", "LastModifiedBy", "SkipModelValidation"})
MOST_SPECIFICATIONS = 15


class Registry(Records):
    """Groups, versions, approvals, and the events that tell of them."""

    kinds: ClassVar[tuple[Kind, ...]] = (GROUP, PACKAGE)

    # Groups

    def describe_model_package_group(
        self, ctx: Context, ModelPackageGroupName: str
    ) -> dict[str, Any]:
        return copy.deepcopy(self._group(ctx, ModelPackageGroupName).said)

    def delete_model_package_group(self, ctx: Context, ModelPackageGroupName: str) -> None:
        """Remove an empty group.

        Raises:
            ServiceError: It has versions.
        """
        group = self._group(ctx, ModelPackageGroupName)
        with self.lock:
            if self._versions(ctx, group.said["ModelPackageGroupName"]):
                message = f"Cannot delete {group.arn}: the group still has model packages."
                raise ServiceError("ConflictException", message)
            del self.table(ctx, GROUP.noun)[(group.said["ModelPackageGroupName"],)]

    def list_model_package_groups(
        self, ctx: Context, CrossAccountFilterOption: str = "SameAccount", **params: Any
    ) -> dict[str, Any]:
        if CrossAccountFilterOption != "SameAccount":
            raise unsupported("CrossAccountFilterOption of sagemaker:ListModelPackageGroups")
        return self.listed(ctx, GROUP, params)

    def put_model_package_group_policy(
        self, ctx: Context, ModelPackageGroupName: str, ResourcePolicy: str
    ) -> dict[str, Any]:
        """Keep a group's policy: IAM judges by it who may use the group from other accounts.

        Raises:
            ServiceError: There is no such group, or the policy is no JSON document.
        """
        group = self._group(ctx, ModelPackageGroupName)
        try:
            statements = json.loads(ResourcePolicy)["Statement"]
        except (ValueError, KeyError, TypeError):
            statements = None
        if not statements:
            message = "Invalid resource policy: it must be a policy document with statements."
            raise ServiceError("ValidationException", message)
        group.beside["ResourcePolicy"] = ResourcePolicy
        return {"ModelPackageGroupArn": group.arn}

    def get_model_package_group_policy(
        self, ctx: Context, ModelPackageGroupName: str
    ) -> dict[str, Any]:
        return {"ResourcePolicy": self._policy(ctx, ModelPackageGroupName)}

    def delete_model_package_group_policy(self, ctx: Context, ModelPackageGroupName: str) -> None:
        self._policy(ctx, ModelPackageGroupName)
        del self._group(ctx, ModelPackageGroupName).beside["ResourcePolicy"]

    def resource_policy(self, arn: str) -> Mapping[str, Any] | None:
        """Return the policy of a group, which is that of its versions too."""
        region, account, resource = arn.split(":", 5)[3:]
        kind, _, name = resource.partition("/")
        store: Store | None = self.world.stores(self.name).get((account, region))
        if store is None or kind not in {"model-package-group", "model-package"}:
            return None
        with self.lock:
            group = store.tables[GROUP.noun].get((name.split("/")[0],))
        text = group.beside.get("ResourcePolicy") if group else None
        return None if text is None else dict(json.loads(text))

    # Packages

    def create_model_package(
        self, ctx: Context, *, ClientToken: str = "", **params: Any
    ) -> dict[str, Any]:
        """Keep a version of a group, or a package of its own name, with all that is given.

        Raises:
            ServiceError: It is neither, or its group does not exist.
        """
        if ("ModelPackageName" in params) == ("ModelPackageGroupName" in params):
            message = "Specify either ModelPackageName or ModelPackageGroupName."
            raise ServiceError("ValidationException", message)
        given = {name: copy.deepcopy(value) for name, value in params.items() if name != "Tags"}
        given |= {
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CertifyForMarketplace": params.get("CertifyForMarketplace", False),
        }
        tags = params.get("Tags", [])
        with self.lock:
            done = self._done(ctx, ClientToken)
            if done is not None:
                return {"ModelPackageArn": done.arn}
            if "ModelPackageName" in params:
                key: tuple[str, ...] = (params["ModelPackageName"],)
                record = self.fresh(ctx, PACKAGE, given, tags)
            else:
                key, record = self._version(ctx, given, tags)
            if key in self.table(ctx, PACKAGE.noun):
                message = f"Model Package already exists: {record.arn}"
                raise ServiceError("ConflictException", message)
            record.beside["ClientToken"] = ClientToken
            self.table(ctx, PACKAGE.noun)[key] = record
        self._announce(ctx, record)
        return {"ModelPackageArn": record.arn}

    def describe_model_package(
        self, ctx: Context, ModelPackageName: str, IncludedData: str = "AllData"
    ) -> dict[str, Any]:
        with self.lock:
            said = copy.deepcopy(self._package(ctx, ModelPackageName).said)
        if IncludedData == "MetadataOnly" and "ModelCard" in said:
            said["ModelCard"].pop("ModelCardContent", None)
        return said

    def batch_describe_model_package(
        self, ctx: Context, ModelPackageArnList: list[str]
    ) -> dict[str, Any]:
        found, missing = {}, {}
        shape = output_members("BatchDescribeModelPackage")["ModelPackageSummaries"]
        for arn in ModelPackageArnList:
            try:
                said = self._package(ctx, arn).said
            except ServiceError as error:
                missing[arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
            else:
                found[arn] = {name: said[name] for name in shape.value.members if name in said}
        return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": missing}

    def list_model_packages(
        self,
        ctx: Context,
        *,
        ModelPackageGroupName: str = "",
        ModelPackageType: str = "",
        **params: Any,
    ) -> dict[str, Any]:
        """List a group's versions, or packages without a group; oldest first unless asked."""
        kind = ModelPackageType or ("Versioned" if ModelPackageGroupName else "Unversioned")
        with self.lock:
            every = list(self.table(ctx, PACKAGE.noun).values())
        if ModelPackageGroupName:
            name = self._group(ctx, ModelPackageGroupName).said["ModelPackageGroupName"]
            every = [one for one in every if one.said.get("ModelPackageGroupName") == name]
        if kind != "Both":
            wanted = kind == "Versioned"
            every = [one for one in every if ("ModelPackageVersion" in one.said) is wanted]
        answer = self.listed(ctx, PACKAGE, params, every)
        for summary in answer["ModelPackageSummaryList"]:
            if "ModelPackageVersion" in summary:
                del summary["ModelPackageName"]
        return answer

    def update_model_package(
        self,
        ctx: Context,
        *,
        ModelPackageArn: str,
        CustomerMetadataProperties: Mapping[str, str] | None = None,
        CustomerMetadataPropertiesToRemove: list[str] | None = None,
        AdditionalInferenceSpecificationsToAdd: list[dict[str, Any]] | None = None,
        ModelCard: Mapping[str, Any] | None = None,
        ClientToken: str = "",
        **replaced: Any,
    ) -> dict[str, Any]:
        """Change what is given and leave the rest, the approval among it.

        Raises:
            ServiceError: There is no such package, or a list grows beyond its limit.
        """
        del ClientToken  # a second call changes nothing any more
        record = self._package(ctx, ModelPackageArn)
        with self.lock:
            said = copy.deepcopy(record.said)
            said |= copy.deepcopy(replaced)
            if CustomerMetadataProperties or CustomerMetadataPropertiesToRemove:
                gone = CustomerMetadataPropertiesToRemove or []
                kept = said.get("CustomerMetadataProperties", {})
                kept = {key: value for key, value in kept.items() if key not in gone}
                said["CustomerMetadataProperties"] = kept | dict(CustomerMetadataProperties or {})
            if AdditionalInferenceSpecificationsToAdd:
                listed = said.setdefault("AdditionalInferenceSpecifications", [])
                listed += copy.deepcopy(AdditionalInferenceSpecificationsToAdd)
                if len(listed) > MOST_SPECIFICATIONS:
                    message = f"At most {MOST_SPECIFICATIONS} AdditionalInferenceSpecifications."
                    raise ServiceError("ValidationException", message)
            if ModelCard is not None:
                said["ModelCard"] = merged(said.get("ModelCard"), ModelCard)
            changed = sorted(
                name for name in {*said, *record.said} if said.get(name) != record.said.get(name)
            )
            record.said = {
                **said,
                "LastModifiedTime": self.now(),
                "LastModifiedBy": who(ctx),
            }
        self._announce(ctx, record, changed)
        return {"ModelPackageArn": record.arn}

    def delete_model_package(self, ctx: Context, ModelPackageName: str) -> None:
        record = self._package(ctx, ModelPackageName)
        with self.lock:
            table = self.table(ctx, PACKAGE.noun)
            for key in [key for key, one in table.items() if one is record]:
                del table[key]

    # Finding

    def _group(self, ctx: Context, name: str) -> Record:
        """Return a group by name or ARN.

        Raises:
            ServiceError: There is none.
        """
        key = name.rsplit("/", 1)[-1]
        with self.lock:
            found = self.table(ctx, GROUP.noun).get((key,))
        if found is None:
            message = f"ModelPackageGroup {name} does not exist."
            raise ServiceError("ValidationException", message)
        return found

    def _policy(self, ctx: Context, name: str) -> str:
        policy = self._group(ctx, name).beside.get("ResourcePolicy")
        if policy is None:
            message = f"Cannot find a resource policy of the model package group {name}."
            raise ServiceError("ValidationException", message)
        return str(policy)

    def _package(self, ctx: Context, name: str) -> Record:
        """Return a package by name, by `group/version`, or by its ARN.

        Raises:
            ServiceError: There is none.
        """
        resource = name.split(":", 5)[5].partition("/")[2] if name.startswith("arn:") else name
        with self.lock:
            found = self.table(ctx, PACKAGE.noun).get(tuple(resource.split("/")))
        if found is None:
            raise ServiceError("ValidationException", f"ModelPackage {name} does not exist.")
        return found

    def _versions(self, ctx: Context, group: str) -> list[Record]:
        every = self.table(ctx, PACKAGE.noun).values()
        return [one for one in every if one.said.get("ModelPackageGroupName") == group]

    def _done(self, ctx: Context, token: str) -> Record | None:
        """Return the package that an earlier call with the same token made."""
        every = self.table(ctx, PACKAGE.noun).values()
        return next((one for one in every if token and one.beside["ClientToken"] == token), None)

    def _version(
        self, ctx: Context, given: dict[str, Any], tags: list[dict[str, str]]
    ) -> tuple[tuple[str, ...], Record]:
        """Return a group's next version; numbers are never used again."""
        group = self._group(ctx, given["ModelPackageGroupName"])
        name = group.said["ModelPackageGroupName"]
        number = group.beside["versions"] = group.beside.get("versions", 0) + 1
        said = {
            "ModelApprovalStatus": PENDING,
            **given,
            "ModelPackageGroupName": name,
            "ModelPackageName": f"{name}/{number}",
            "ModelPackageVersion": number,
        }
        record = self.fresh(ctx, PACKAGE, said, tags)
        record.said["ModelPackageName"] = name  # the API's pattern has no slash
        return (name, str(number)), record

    # Events

    def _announce(self, ctx: Context, record: Record, changed: list[str] | None = None) -> None:
        """Tell the default bus of the registry's account."""
        told = {name: value for name, value in record.said.items() if name not in UNTOLD}
        if "ModelPackageVersion" in told:
            del told["ModelPackageName"]
        if changed is not None:
            told["UpdatedModelPackageFields"] = changed
        entry = {
            "Source": "aws.sagemaker",
            "DetailType": CHANGE,
            "Detail": json.dumps(told, default=_time),
            "Resources": [record.arn],
        }
        events = ctx.client("events", as_service=PRINCIPAL, account=ctx.owner)
        with contextlib.suppress(ClientError):  # SageMaker's events are best effort
            events.put_events(Entries=[entry])


def _time(value: Any) -> str:
    return str(value.strftime("%Y-%m-%dT%H:%M:%SZ"))
