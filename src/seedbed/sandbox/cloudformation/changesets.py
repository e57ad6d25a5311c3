"""The operations on change sets, and what they share with those on stacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.cloudformation.base import again, on_failure, tags_of
from seedbed.sandbox.cloudformation.changeset import Plan
from seedbed.sandbox.cloudformation.desired import Asked, Desired, check_capabilities
from seedbed.sandbox.cloudformation.engine import Run
from seedbed.sandbox.cloudformation.errors import ResourceError, StackError
from seedbed.sandbox.cloudformation.reading import Reading
from seedbed.sandbox.cloudformation.records import SYSTEM_TAGS, ChangeSet, Stack, Stacks, Version
from seedbed.sandbox.world import Context

NOTHING = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)


class ChangeSets(Reading):
    """Create, describe, execute, delete and list."""

    def create_change_set(
        self, ctx: Context, StackName: str, ChangeSetName: str, **params: Any
    ) -> dict[str, Any]:
        kind = params.get("ChangeSetType", "UPDATE")
        if kind == "IMPORT":
            raise StackError("ChangeSetType IMPORT is not emulated", "NotImplementedInSandbox")
        stacks: Stacks = self.state(ctx)
        stack = self._target(ctx, stacks, StackName, kind, params)
        self._check_unused(stacks, stack, ChangeSetName)
        role = params.get("RoleARN") or stack.role_arn
        aws = self.aws(ctx, role)
        body = self.body(params, self.aws(ctx), stack.version.body)
        tags = tags_of(params["Tags"]) if "Tags" in params else stack.version.tags
        capabilities = params.get("Capabilities", [])
        asked = Asked(body, params.get("Parameters", []), tags, stack.version.parameters)
        desired = self.desired(ctx, stack, asked, aws)
        check_capabilities(desired, capabilities, direct=False)
        identifier = (
            f"arn:aws:cloudformation:{ctx.region}:{ctx.account}:changeSet/{ChangeSetName}/"
            f"{self.world.uuid()}"
        )
        made = ChangeSet(
            ChangeSetName, identifier, stack, kind, self.version(body, desired, capabilities),
            self.world.now(), [], params.get("Description", ""), role_arn=role,
            on_failure=params.get("OnStackFailure", ""),
            notify=params.get("NotificationARNs", stack.notify),
        )  # fmt: skip
        self._plan(made, desired)
        with self.lock:
            self._check_unused(stacks, stack, ChangeSetName)
            if stack.id not in stacks.by_id:
                if stacks.find(stack.name) is not None:  # another request was faster
                    said = f"Stack [{stack.name}] already exists"
                    raise StackError(said, "AlreadyExistsException")
                stacks.by_id[stack.id] = stack
                stack.done.set()
                self.run(ctx, stack, aws).state("REVIEW_IN_PROGRESS", "User Initiated")
            stacks.change_sets[made.id] = made
        return {"Id": made.id, "StackId": stack.id}

    def describe_change_set(
        self, ctx: Context, ChangeSetName: str, StackName: str | None = None, **_: Any
    ) -> dict[str, Any]:
        one = self.change_set(ctx, ChangeSetName, StackName)
        version = one.version
        return {
            **_summary(one),
            "NotificationARNs": one.notify,
            "Capabilities": version.capabilities,
            "Parameters": [value.wire(key) for key, value in version.parameters.items()],
            "Tags": [{"Key": key, "Value": value} for key, value in version.tags.items()],
            "Changes": one.changes,
        }

    def list_change_sets(self, ctx: Context, StackName: str, **_: Any) -> dict[str, Any]:
        stack = self.stack(ctx, StackName)
        with self.lock:
            listed = list(self.state(ctx).change_sets.values())
        return {"Summaries": [_summary(one) for one in listed if one.stack is stack]}

    def delete_change_set(
        self, ctx: Context, ChangeSetName: str, StackName: str | None = None
    ) -> dict[str, Any]:
        one = self.change_set(ctx, ChangeSetName, StackName)
        with self.lock:
            self.state(ctx).change_sets.pop(one.id, None)
        return {}

    def execute_change_set(
        self, ctx: Context, ChangeSetName: str, StackName: str | None = None, **params: Any
    ) -> dict[str, Any]:
        one = self.change_set(ctx, ChangeSetName, StackName)
        stack = one.stack
        if one.execution != "AVAILABLE":
            raise StackError(
                f"ChangeSet [{one.id}] cannot be executed in its current status of [{one.status}]",
                "InvalidChangeSetStatus",
            )
        self.check_topics(ctx, one.notify)
        aws = self.aws(ctx, one.role_arn)
        version = one.version
        desired = self.desired(ctx, stack, again(version), aws)
        run = self.run(ctx, stack, aws, desired)
        wanted = one.on_failure or on_failure(params)
        with self.lock:  # the others were made against what the stack is no more
            sets = self.state(ctx).change_sets
            if one.id not in sets:  # another request was faster
                raise StackError(f"ChangeSet [{one.id}] does not exist", "ChangeSetNotFound")
            if one.kind == "UPDATE":
                self._check_idle(stack)
            for key in [key for key, other in sets.items() if other.stack is stack]:
                del sets[key]
            settings = {
                "token": params.get("ClientRequestToken", ""),
                "role_arn": one.role_arn,
                "notify": one.notify,
                "change_set_id": one.id,
                "disable_rollback": bool(params.get("DisableRollback")),
            }
        run.delete_fresh = bool(params.get("RetainExceptOnCreate"))
        if one.kind == "CREATE":
            _set(stack, {**settings, "version": version})
            run.state("CREATE_IN_PROGRESS", "User Initiated")
            self.start(stack, run, lambda: run.create(wanted), "CREATE_FAILED")
        else:
            self.begin_update(stack, version, run, **settings)
        return {}

    def change_set(self, ctx: Context, name: str, stack: str | None) -> ChangeSet:
        """Return a change set by its id, or by its name and its stack.

        Raises:
            StackError: There is none.
        """
        stacks: Stacks = self.state(ctx)
        with self.lock:
            found = stacks.change_sets.get(name)
            if found is None and stack is not None:
                owner = stacks.find(stack)
                of_stack = (one for one in stacks.change_sets.values() if one.stack is owner)
                found = next((one for one in of_stack if one.name == name), None)
        if found is None:
            raise StackError(f"ChangeSet [{name}] does not exist", "ChangeSetNotFound")
        return found

    # Shared with the operations on stacks

    def new_stack(self, ctx: Context, name: str, params: Any) -> Stack:
        """Return a stack that nothing knows of yet."""
        token = params.get("ClientRequestToken", "")
        parent = self.parents.pop(token, None)
        identifier = (
            f"arn:aws:cloudformation:{ctx.region}:{ctx.account}:stack/{name}/{self.world.uuid()}"
        )
        empty = Version("", {}, {}, [])
        stack = Stack(
            name, identifier, ctx.account, ctx.region, self.world.now(), empty,
            role_arn=params.get("RoleARN", ""), notify=params.get("NotificationARNs", []),
            disable_rollback=on_failure(params) == "DO_NOTHING", token=token,
            protected=bool(params.get("EnableTerminationProtection")),
            timeout_minutes=params.get("TimeoutInMinutes"),
            system_tags=self.world.store(SYSTEM_TAGS, ctx.account, ctx.region).get(name, {}),
        )  # fmt: skip
        if parent is not None:
            stack.parent_id = parent.stack.id
            stack.root_id = parent.stack.root_id or parent.stack.id
            stack.role_arn = parent.stack.role_arn
        return stack

    def version(self, body: str, desired: Desired, capabilities: list[str]) -> Version:
        description = str(desired.template.tree.get("Description") or "")
        return Version(
            body, desired.values, desired.tags, capabilities, description, desired.template.tree,
            imports=frozenset(desired.imports),
        )  # fmt: skip

    def begin_update(self, stack: Stack, version: Version, run: Run, **settings: Any) -> None:
        """Start an update; `settings` are members of the stack that it changes.

        Raises:
            StackError: Another operation is under way.
        """
        with self.lock:
            self._check_idle(stack)  # another request may have been faster
            _set(stack, settings)
            stack.previous = stack.version
            version.outputs = stack.version.outputs
            stack.version = version
            stack.updated = self.world.now()
            stack.status = "UPDATE_IN_PROGRESS"
        run.state("UPDATE_IN_PROGRESS", "User Initiated")
        self.start(stack, run, run.update, "UPDATE_FAILED")

    def _check_idle(self, stack: Stack) -> None:
        if stack.is_busy:
            raise StackError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")

    def _target(self, ctx: Context, stacks: Stacks, name: str, kind: str, params: Any) -> Stack:
        with self.lock:
            stack = stacks.find(name)
        if kind == "UPDATE":
            if stack is None:
                raise StackError(f"Stack [{name}] does not exist")
            if stack.is_busy or stack.status in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE"):
                raise StackError(
                    f"Stack:{stack.id} is in {stack.status} state and can not be updated."
                )
            return stack
        if stack is not None and stack.status != "REVIEW_IN_PROGRESS":
            raise StackError(
                f"Stack [{name}] already exists and cannot be created again with CREATE"
            )
        return stack or self.new_stack(ctx, name, params)

    def _check_unused(self, stacks: Stacks, stack: Stack, name: str) -> None:
        with self.lock:
            every = list(stacks.change_sets.values())
        if any(one.stack is stack and one.name == name for one in every):
            raise StackError(f"ChangeSet {name} already exists", "AlreadyExistsException")

    def _plan(self, made: ChangeSet, desired: Desired) -> None:
        stack = made.stack
        try:
            made.changes = Plan(stack, desired).changes()
            same = made.version.tags == stack.version.tags and made.kind == "UPDATE"
            if not made.changes and same and desired.output_values() == stack.version.outputs:
                made.status, made.execution, made.reason = "FAILED", "UNAVAILABLE", NOTHING
        except (ResourceError, StackError) as error:
            made.status, made.execution, made.reason = "FAILED", "UNAVAILABLE", error.message


def _set(stack: Stack, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(stack, name, value)


def _summary(one: ChangeSet) -> dict[str, Any]:
    said = {
        "ChangeSetName": one.name, "ChangeSetId": one.id, "StackId": one.stack.id,
        "StackName": one.stack.name, "CreationTime": one.created, "Status": one.status,
        "ExecutionStatus": one.execution,
    }  # fmt: skip
    optional = {"Description": one.description, "StatusReason": one.reason}
    return {**said, **{key: value for key, value in optional.items() if value}}
