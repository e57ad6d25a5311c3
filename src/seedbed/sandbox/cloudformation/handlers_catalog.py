"""AWS::ServiceCatalog::CloudFormationProvisionedProduct: a product that a stack launches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.cloudformation.aws import Aws, convert, input_shape
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.resources import Resource, call_unless_gone, without

PASSING = ("CREATED", "IN_PROGRESS", "IN_PROGRESS_IN_ERROR")
STACK = "CloudformationStackARN"  # the output of every record that tells the stack


class ProvisionedProduct:
    """Provisioned, updated and terminated through Service Catalog; each ends with its record."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = dict(resource.properties)
        given.setdefault("ProvisionedProductName", resource.unique(128))
        answer = self._call("ProvisionProduct", resource, given, aws)
        self._end(resource, answer, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        given = without(resource.properties, "ProvisionedProductName", "NotificationArns")
        if given.get("Tags") == old.get("Tags"):  # new ones need a constraint that allows them
            given.pop("Tags", None)
        given["ProvisionedProductId"] = resource.physical_id
        answer = self._call("UpdateProvisionedProduct", resource, given, aws)
        self._end(resource, answer, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        answer = call_unless_gone(
            aws, "servicecatalog:TerminateProvisionedProduct",
            ProvisionedProductId=resource.physical_id,
        )  # fmt: skip
        if answer:
            self._ended(resource, answer["RecordDetail"]["RecordId"], aws)

    def _call(
        self, name: str, resource: Resource, given: Mapping[str, Any], aws: Aws
    ) -> dict[str, Any]:
        operation = f"servicecatalog:{name}"
        said = convert(given, input_shape(operation), f"{resource.where}: property")
        return aws.call(operation, **said)

    def _end(self, resource: Resource, answer: Mapping[str, Any], aws: Aws) -> None:
        detail = answer["RecordDetail"]
        resource.physical_id = detail["ProvisionedProductId"]
        told = self._ended(resource, detail["RecordId"], aws)
        outputs = {one["OutputKey"]: one["OutputValue"] for one in told["RecordOutputs"]}
        resource.attributes = {
            "ProvisionedProductId": resource.physical_id,
            "RecordId": detail["RecordId"],
            "CloudformationStackArn": outputs.pop(STACK, ""),
            **{f"Outputs.{key}": value for key, value in outputs.items()},
        }

    def _ended(self, resource: Resource, record: str, aws: Aws) -> dict[str, Any]:
        for _ in range(12_000):  # ten minutes: the longest that a handler may take here
            told = aws.call("servicecatalog:DescribeRecord", Id=record)
            detail = told["RecordDetail"]
            if detail["Status"] == "SUCCEEDED":
                return told
            if detail["Status"] not in PASSING:
                why = [one.get("Description", "") for one in detail.get("RecordErrors", [])]
                raise ResourceError(f"{resource.where}: {detail['Status']}: {' '.join(why)}")
            aws.pause(0.05)
        raise ResourceError(f"{resource.where}: did not stabilize: it is still {detail['Status']}")
