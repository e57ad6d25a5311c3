"""Service Catalog: plans, which are change sets of the launch role."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.servicecatalog.base import atomic, missing
from seedbed.sandbox.services.servicecatalog.history import level
from seedbed.sandbox.services.servicecatalog.launch import Wanted
from seedbed.sandbox.services.servicecatalog.provisioning import Provisioning
from seedbed.sandbox.services.servicecatalog.records import Launch, Plan, Provisioned, Record
from seedbed.sandbox.world import Context

PAUSE = 0.1
DETAIL = ("Attribute", "Name", "RequiresRecreation")


class Plans(Provisioning):
    @atomic
    def create_provisioned_product_plan(
        self,
        ctx: Context,
        *,
        PlanName: str,
        PlanType: str,
        ProductId: str,
        ProvisionedProductName: str,
        ProvisioningArtifactId: str,
        IdempotencyToken: str,
        PathId: str | None = None,
        ProvisioningParameters: Sequence[Mapping[str, Any]] = (),
        NotificationArns: Sequence[str] = (),
        Tags: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        del PlanType  # has but one value
        known = self.catalog(ctx).provisioned.values()
        existing = next((one for one in known if one.name == ProvisionedProductName), None)
        if existing is not None:
            self.check_idle(existing)
        launch = self.launch(
            ctx,
            Wanted(product_id=ProductId, artifact_id=ProvisioningArtifactId, path_id=PathId),
            parameters=ProvisioningParameters,
            tags=Tags if existing else Tags or [],
            notify=NotificationArns,
            existing=existing,
        )
        made = existing or self.enter(ctx, ProvisionedProductName, launch, IdempotencyToken)
        if existing is None:
            made.status = "PLAN_IN_PROGRESS"
        plan = Plan(
            self.new_id("plan"),
            PlanName,
            made,
            ProvisioningArtifactId,
            launch.path.id,
            ProductId,
            self.world.now(),
            ctx.principal.arn,
            ctx.principal.session_arn,
            launch,
            [dict(one) for one in ProvisioningParameters],
            list(Tags or []),
            list(NotificationArns),
            fresh=existing is None,
        )
        self.catalog(ctx).plans[plan.id] = plan
        self.world.spawn(plan.id, self._prepare, ctx, plan)
        said = plan.summary()
        said["ProvisionedProductName"] = said.pop("ProvisionProductName")
        del said["PlanType"]
        return said

    @atomic
    def describe_provisioned_product_plan(self, ctx: Context, PlanId: str) -> dict[str, Any]:
        plan = self._plan(ctx, PlanId)
        return {"ProvisionedProductPlanDetails": plan.wire(), "ResourceChanges": plan.changes}

    @atomic
    def list_provisioned_product_plans(
        self,
        ctx: Context,
        ProvisionProductId: str | None = None,
        AccessLevelFilter: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        seen = level(ctx, AccessLevelFilter, "User")
        return {
            "ProvisionedProductPlans": [
                one.summary()
                for one in self.catalog(ctx).plans.values()
                if seen(one) and ProvisionProductId in (None, one.provisioned.id)
            ]
        }

    @atomic
    def execute_provisioned_product_plan(
        self, ctx: Context, PlanId: str, IdempotencyToken: str
    ) -> dict[str, Any]:
        del IdempotencyToken
        plan = self._plan(ctx, PlanId)
        if plan.status != "CREATE_SUCCESS":
            message = f"Plan {PlanId} is {plan.status}: only CREATE_SUCCESS can be executed."
            raise ServiceError("InvalidStateException", message)
        made = plan.provisioned
        if not plan.fresh:
            self.check_idle(made)
        self._move(plan, "EXECUTE_IN_PROGRESS")
        kind = "PROVISION_PRODUCT" if plan.fresh else "UPDATE_PROVISIONED_PRODUCT"
        record = self.record(ctx, made, kind, plan.launch)

        def finish() -> None:
            done = record.status == "SUCCEEDED"
            self._move(plan, "EXECUTE_SUCCESS" if done else "EXECUTE_FAILED", made.message)

        return self.start(made, record, lambda record: self._execute(ctx, plan, record), finish)

    def delete_provisioned_product_plan(
        self, ctx: Context, PlanId: str, IgnoreErrors: bool = False
    ) -> dict[str, Any]:
        with self.lock:
            plan = self._plan(ctx, PlanId)
            unused = plan.fresh and plan.provisioned.status == "PLAN_IN_PROGRESS"
            role = plan.launch.role_arn
        try:
            cfn = self.cloudformation(ctx, role)
            if plan.made and plan.status in ("CREATE_SUCCESS", "CREATE_FAILED"):
                cfn.delete_change_set(**_named(plan))
            if unused and plan.provisioned.stack_id:
                cfn.delete_stack(StackName=plan.provisioned.stack_id)
        except ClientError:
            if not IgnoreErrors:
                raise
        with self.lock:
            self.catalog(ctx).plans.pop(PlanId, None)
            if unused:
                self.catalog(ctx).provisioned.pop(plan.provisioned.id, None)
            self.forget(ctx, PlanId)
        return {}

    def _plan(self, ctx: Context, plan_id: str) -> Plan:
        found = self.catalog(ctx).plans.get(plan_id)
        if found is None:
            raise missing(f"Plan {plan_id} not found.")
        return found

    def _move(self, plan: Plan, status: str, message: str = "") -> None:
        plan.status, plan.message, plan.updated = status, message, self.world.now()

    def _prepare(self, ctx: Context, plan: Plan) -> None:
        """Make a plan's change set, in the background."""
        try:
            found = self._change_set(ctx, plan, plan.launch, plan.provisioned)
            status = "CREATE_SUCCESS" if found["Status"] == "CREATE_COMPLETE" else "CREATE_FAILED"
            changes = [_change(one["ResourceChange"]) for one in found["Changes"]]
            message = found.get("StatusReason", "")
        except ClientError as error:
            said = error.response["Error"]
            status, changes = "CREATE_FAILED", []
            message = f"{said['Message']} (Error Code: {said['Code']})"
        except Exception as error:  # noqa: BLE001 (a plan must never be left in progress)
            traceback.print_exc()
            status, changes = "CREATE_FAILED", []
            message = f"defect of the sandbox: {type(error).__name__}: {error}"
        with self.lock:
            plan.changes = changes
            self._move(plan, status, message)

    def _change_set(
        self, ctx: Context, plan: Plan, launch: Launch, made: Provisioned
    ) -> dict[str, Any]:
        cfn = self.cloudformation(ctx, launch.role_arn)
        answer = cfn.create_change_set(
            **self.request(ctx, made, launch),
            ChangeSetName=plan.id,
            ChangeSetType="UPDATE" if made.stack_id else "CREATE",
        )
        with self.lock:
            plan.made, made.stack_id = True, answer["StackId"]
        while True:
            found: dict[str, Any] = cfn.describe_change_set(**_named(plan))
            if not found["Status"].endswith(("_IN_PROGRESS", "_PENDING")) or self.world.wait(PAUSE):
                return found

    def _execute(self, ctx: Context, plan: Plan, record: Record) -> None:
        cfn = self.cloudformation(ctx, plan.launch.role_arn)
        cfn.execute_change_set(**_named(plan))
        self.settle(cfn, plan.provisioned, record)
        self.adopt(plan.provisioned, plan.launch)


def _named(plan: Plan) -> dict[str, str]:
    # By its stack too: IAM judges a change set by its stack.
    return {"ChangeSetName": plan.id, "StackName": plan.provisioned.stack_id}


def _change(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a change as Service Catalog tells it: CloudFormation's, its words in capitals."""
    found = {
        "Action": said["Action"].upper(),
        "LogicalResourceId": said["LogicalResourceId"],
        "ResourceType": said["ResourceType"],
        "Scope": [one.upper() for one in said.get("Scope", [])],
        "Details": [_detail(one) for one in said.get("Details", [])],
    }
    if "PhysicalResourceId" in said:
        found["PhysicalResourceId"] = said["PhysicalResourceId"]
    if "Replacement" in said:
        found["Replacement"] = said["Replacement"].upper()
    return found


def _detail(said: Mapping[str, Any]) -> dict[str, Any]:
    target = {name: said["Target"][name] for name in DETAIL if name in said["Target"]}
    for name in ("Attribute", "RequiresRecreation"):
        if name in target:
            target[name] = target[name].upper()
    found = {"Target": target, "Evaluation": said["Evaluation"].upper()}
    if "CausingEntity" in said:
        found["CausingEntity"] = said["CausingEntity"]
    return found
