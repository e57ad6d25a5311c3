"""The stacks behind provisioned products: made, changed and deleted as the launch role."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from seedbed.sandbox.cloudformation.records import SYSTEM_TAGS
from seedbed.sandbox.services.servicecatalog.base import Base, listed
from seedbed.sandbox.services.servicecatalog.records import Launch, Provisioned, Record
from seedbed.sandbox.services.servicecatalog.templates import copy_of
from seedbed.sandbox.world import Context

# Service Catalog acknowledges all of them for the user.
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
MADE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
NO_UPDATES = "No updates are to be performed"
PAUSE = 0.1


class LaunchError(Exception):
    """A stack that is not what was asked for; `remains` says that one is there and runs."""

    def __init__(self, code: str, message: str, *, remains: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remains = remains


class Stacks(Base):
    """Work in the background; every call is the launch role's, or the caller's without one."""

    def carry_out(
        self,
        made: Provisioned,
        record: Record,
        work: Callable[[], None],
        finish: Callable[[], None],
    ) -> None:
        """Run `work` for a record, leave product and record in a final state, and `finish`."""
        with self.lock:
            record.status = "IN_PROGRESS"
        try:
            work()
        except LaunchError as error:
            failure: LaunchError | None = error
        except ClientError as error:
            said = error.response["Error"]
            told = f"{said['Message']} (Error Code: {said['Code']})"
            failure = LaunchError(said["Code"], told, remains=bool(made.last_successful))
        except BotoCoreError as error:
            name, remains = type(error).__name__, bool(made.last_successful)
            failure = LaunchError(name, str(error), remains=remains)
        except Exception as error:  # noqa: BLE001 (a product must never be left under change)
            traceback.print_exc()
            message = f"defect of the sandbox: {type(error).__name__}: {error}"
            failure = LaunchError("InternalFailure", message, remains=False)
        else:
            failure = None
        with self.lock:
            self._conclude(made, record, failure)
            finish()

    def _conclude(self, made: Provisioned, record: Record, failure: LaunchError | None) -> None:
        record.updated = self.world.now()
        if failure is None:
            record.status, record.outputs = "SUCCEEDED", made.outputs
            made.status, made.message = "AVAILABLE", ""
            made.last_successful = record.id
            return
        record.status = "FAILED"
        record.errors = [{"Code": failure.code, "Description": failure.message}]
        made.status = "TAINTED" if failure.remains else "ERROR"
        made.message = failure.message

    def cloudformation(self, ctx: Context, role_arn: str) -> Any:
        if role_arn:
            return ctx.client("cloudformation", role_arn=role_arn)
        return ctx.client("cloudformation")

    def create(self, ctx: Context, made: Provisioned, record: Record, launch: Launch) -> None:
        cfn = self.cloudformation(ctx, launch.role_arn)
        asked = self.request(ctx, made, launch)
        answer = cfn.create_stack(**asked, ClientRequestToken=record.id)
        with self.lock:
            made.stack_id = answer["StackId"]
        self.settle(cfn, made, record)

    def update(self, ctx: Context, made: Provisioned, record: Record, launch: Launch) -> None:
        cfn = self.cloudformation(ctx, launch.role_arn)
        try:
            cfn.update_stack(**self.request(ctx, made, launch))
        except ClientError as error:
            if NO_UPDATES not in error.response["Error"]["Message"]:
                raise
        self.settle(cfn, made, record)
        self.adopt(made, launch)

    def adopt(self, made: Provisioned, launch: Launch) -> None:
        """Note what a product has become by a successful update."""
        with self.lock:
            made.product_id, made.product_name = launch.path.product.id, launch.path.product.name
            made.artifact_id, made.artifact_name = launch.artifact.id, launch.artifact.name
            made.path_id, made.tags = launch.path.id, dict(launch.tags)
        self._mark(made, launch)

    def _mark(self, made: Provisioned, launch: Launch) -> None:
        """Have a product and its stack tell where they come from: AutoTags."""
        with self.lock:
            made.system_tags.update(launch.origin(made))
        held = self.world.store(SYSTEM_TAGS, made.account, made.region)
        held[made.stack_name] = made.system_tags

    def delete(self, ctx: Context, made: Provisioned, record: Record) -> None:
        if not made.stack_id:
            return
        cfn = self.cloudformation(ctx, made.role_arn)
        cfn.delete_stack(StackName=made.stack_id)
        stack = self._ended(cfn, made.stack_id, record)
        if stack["StackStatus"] != "DELETE_COMPLETE":
            raise self._failure(cfn, stack, remains=True)

    def request(self, ctx: Context, made: Provisioned, launch: Launch) -> dict[str, Any]:
        """Return what creating or updating a product's stack asks for."""
        if not made.stack_id:
            self._mark(made, launch)
        return {
            "StackName": made.stack_id or made.stack_name,
            "TemplateURL": copy_of(ctx, launch.body),
            "Parameters": list(launch.parameters),
            "Capabilities": CAPABILITIES,
            "Tags": listed(launch.tags),
            "NotificationARNs": list(launch.notify),
        }

    def settle(self, cfn: Any, made: Provisioned, record: Record) -> None:
        """Wait for a stack and take its outputs.

        Raises:
            LaunchError: The stack rolled back.
        """
        stack = self._ended(cfn, made.stack_id, record)
        if stack["StackStatus"] not in MADE:
            remains = stack["StackStatus"].startswith("UPDATE_")
            raise self._failure(cfn, stack, remains=remains)
        arn = {
            "OutputKey": "CloudformationStackARN",
            "OutputValue": made.stack_id,
            "Description": "The ARN of the launched Cloudformation Stack",
        }
        shown = ("OutputKey", "OutputValue", "Description")
        outputs = [
            {key: one[key] for key in shown if key in one} for one in stack.get("Outputs", [])
        ]
        with self.lock:
            made.outputs = [arn, *outputs]

    def _ended(self, cfn: Any, stack_id: str, record: Record) -> dict[str, Any]:
        while True:
            (stack,) = cfn.describe_stacks(StackName=stack_id)["Stacks"]
            status = stack["StackStatus"]
            if not status.endswith("_IN_PROGRESS"):
                return dict(stack)
            if "ROLLBACK" in status:
                with self.lock:
                    record.status = "IN_PROGRESS_IN_ERROR"
            if self.world.wait(PAUSE):
                raise LaunchError("Stopping", "the sandbox is stopping", remains=False)

    def _failure(self, cfn: Any, stack: dict[str, Any], *, remains: bool) -> LaunchError:
        try:
            events = cfn.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
        except ClientError:  # a launch role that may not read them
            events = []
        reasons = []
        for event in events:
            if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason"):
                reasons.append(f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}")
            if (
                event["PhysicalResourceId"] == stack["StackId"]
                and event.get("ResourceStatusReason") == "User Initiated"
            ):
                break  # where this operation began
        told = "; ".join(reversed(reasons)) or stack.get("StackStatusReason", "")
        message = f"The stack ended in {stack['StackStatus']}: {told}"
        return LaunchError("StackOperationFailed", message, remains=remains)
