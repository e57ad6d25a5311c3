"""Service Catalog: provisioning, updating and terminating products, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.servicecatalog.base import atomic, chosen, invalid
from seedbed.sandbox.services.servicecatalog.launch import Launches, Wanted
from seedbed.sandbox.services.servicecatalog.records import Launch, Provisioned, Record
from seedbed.sandbox.services.servicecatalog.stacks import Stacks
from seedbed.sandbox.world import Context

BUSY = ("UNDER_CHANGE", "PLAN_IN_PROGRESS")


class Provisioning(Launches, Stacks):
    @atomic
    def provision_product(
        self,
        ctx: Context,
        *,
        ProvisionedProductName: str,
        ProvisionToken: str,
        ProvisioningParameters: Sequence[Mapping[str, Any]] = (),
        Tags: list[dict[str, str]] | None = None,
        NotificationArns: Sequence[str] = (),
        **given: str,
    ) -> dict[str, Any]:
        launch = self.launch(
            ctx,
            Wanted.of(ctx, given),
            parameters=ProvisioningParameters,
            tags=Tags or [],
            notify=NotificationArns,
        )
        made = self.enter(ctx, ProvisionedProductName, launch, ProvisionToken)
        return self.start(
            made,
            self.record(ctx, made, "PROVISION_PRODUCT", launch),
            lambda record: self.create(ctx, made, record, launch),
        )

    @atomic
    def update_provisioned_product(
        self,
        ctx: Context,
        *,
        UpdateToken: str,
        ProvisionedProductName: str | None = None,
        ProvisionedProductId: str | None = None,
        ProvisioningParameters: Sequence[Mapping[str, Any]] = (),
        Tags: list[dict[str, str]] | None = None,
        **given: str,
    ) -> dict[str, Any]:
        del UpdateToken
        made = self.provisioned(ctx, ProvisionedProductId, ProvisionedProductName)
        self.check_idle(made)
        wanted = Wanted.of(ctx, given)
        if not (wanted.product_id or wanted.product_name):
            wanted = replace(wanted, product_id=made.product_id)
        if not (wanted.artifact_id or wanted.artifact_name):
            wanted = replace(wanted, artifact_id=made.artifact_id)
        launch = self.launch(
            ctx, wanted, parameters=ProvisioningParameters, tags=Tags, existing=made
        )
        return self.start(
            made,
            self.record(ctx, made, "UPDATE_PROVISIONED_PRODUCT", launch),
            lambda record: self.update(ctx, made, record, launch),
        )

    @atomic
    def terminate_provisioned_product(
        self,
        ctx: Context,
        *,
        TerminateToken: str,
        ProvisionedProductName: str | None = None,
        ProvisionedProductId: str | None = None,
        IgnoreErrors: bool = False,
        RetainPhysicalResources: bool = False,
    ) -> dict[str, Any]:
        del TerminateToken
        made = self.provisioned(ctx, ProvisionedProductId, ProvisionedProductName)
        self.check_idle(made)

        def work(record: Record) -> None:
            if not RetainPhysicalResources:
                self.delete(ctx, made, record)

        def gone() -> None:
            if IgnoreErrors or record.status == "SUCCEEDED":
                del self.catalog(ctx).provisioned[made.id]
                self.forget(ctx, made.id)

        record = self.record(ctx, made, "TERMINATE_PROVISIONED_PRODUCT", None)
        return self.start(made, record, work, gone)

    @atomic
    def update_provisioned_product_properties(
        self,
        ctx: Context,
        ProvisionedProductId: str,
        ProvisionedProductProperties: Mapping[str, str],
        IdempotencyToken: str,
    ) -> dict[str, Any]:
        del IdempotencyToken
        made = self.provisioned(ctx, ProvisionedProductId, None)
        self.check_idle(made)
        for key, arn in ProvisionedProductProperties.items():
            _check_property(key, arn, ctx.account)
        if role := ProvisionedProductProperties.get("LAUNCH_ROLE"):
            made.role_arn = role
        if owner := ProvisionedProductProperties.get("OWNER"):
            made.user, made.session = _role_of(owner), owner
        record = self.record(ctx, made, "UPDATE_PROVISIONED_PRODUCT_PROPERTIES", None)
        record.status = "SUCCEEDED"
        return {
            "ProvisionedProductId": made.id,
            "ProvisionedProductProperties": dict(ProvisionedProductProperties),
            "RecordId": record.id,
            "Status": record.status,
        }

    # Shared with plans

    def provisioned(self, ctx: Context, one_id: str | None, name: str | None) -> Provisioned:
        return chosen(self.catalog(ctx).provisioned, one_id, name, "provisioned product")

    def check_idle(self, made: Provisioned) -> None:
        if made.status in BUSY:
            raise invalid(f"Provisioned product {made.name} is {made.status}: wait for its end.")

    def enter(self, ctx: Context, name: str, launch: Launch, token: str) -> Provisioned:
        """Note a new provisioned product.

        Raises:
            ServiceError: Its name is taken.
        """
        known = self.catalog(ctx).provisioned
        if any(one.name == name for one in known.values()):
            message = f"A provisioned product named {name} exists already."
            raise ServiceError("DuplicateResourceException", message)
        made = Provisioned(
            self.new_id("pp"),
            name,
            ctx.account,
            ctx.region,
            self.world.now(),
            token,
            launch.path.product.id,
            launch.path.product.name,
            launch.artifact.id,
            launch.artifact.name,
            launch.path.id,
            ctx.principal.arn,
            ctx.principal.session_arn,
            launch.role_arn,
            dict(launch.tags),
        )
        known[made.id] = made
        return made

    def record(self, ctx: Context, made: Provisioned, kind: str, launch: Launch | None) -> Record:
        """Note a request on a provisioned product."""
        record = Record(
            self.new_id("rec"),
            kind,
            self.world.now(),
            made.id,
            made.name,
            launch.path.product.id if launch else made.product_id,
            launch.artifact.id if launch else made.artifact_id,
            launch.path.id if launch else made.path_id,
            dict(launch.tags if launch else made.tags),
            launch.role_arn if launch else made.role_arn,
            ctx.principal.arn,
            ctx.principal.session_arn,
        )
        self.catalog(ctx).records[record.id] = record
        made.last_record = record.id
        return record

    def start(
        self,
        made: Provisioned,
        record: Record,
        work: Callable[[Record], None],
        finish: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Carry out a request in the background; answer with its record as it is before."""
        answer = {"RecordDetail": record.wire()}
        made.status, made.message = "UNDER_CHANGE", ""

        self.world.spawn(
            f"provision-{made.id}", self.carry_out, made, record, lambda: work(record), finish
        )
        return answer


def _check_property(key: str, arn: str, account: str) -> None:
    if key not in ("LAUNCH_ROLE", "OWNER"):
        raise invalid(f"{key} is no property; use LAUNCH_ROLE or OWNER.")
    kinds = (":role/",) if key == "LAUNCH_ROLE" else (":role/", ":user/", ":assumed-role/")
    if f"::{account}:" not in arn or not any(kind in arn for kind in kinds):
        raise invalid(f"{arn} is not valid for {key}.")


def _role_of(arn: str) -> str:
    """Return the IAM ARN behind a session's."""
    if ":assumed-role/" not in arn:
        return arn
    account, resource = arn.split(":")[4:6]
    return f"arn:aws:iam::{account}:role/{resource.split('/')[1]}"
