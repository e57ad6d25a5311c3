"""CloudFormation: the operations that change stacks. The engine is in sandbox/cloudformation/."""

from __future__ import annotations

import re
from typing import Any

from seedbed.sandbox.cloudformation.base import again, on_failure, tags_of
from seedbed.sandbox.cloudformation.changeset import Plan
from seedbed.sandbox.cloudformation.changesets import ChangeSets
from seedbed.sandbox.cloudformation.desired import Asked, Desired, check_capabilities
from seedbed.sandbox.cloudformation.engine import Run
from seedbed.sandbox.cloudformation.errors import ResourceError, StackError
from seedbed.sandbox.cloudformation.records import Stack, Stacks
from seedbed.sandbox.world import Context

NO_UPDATES = "No updates are to be performed."


class CloudFormation(ChangeSets):
    """Stacks."""

    def create_stack(self, ctx: Context, StackName: str, **params: Any) -> dict[str, Any]:
        token = params.get("ClientRequestToken", "")
        existing = self._check_name(ctx, StackName)
        if existing is not None:
            if token and existing.token == token:
                return {"StackId": existing.id}
            raise StackError(f"Stack [{StackName}] already exists", "AlreadyExistsException")
        wanted = on_failure(params)
        self.check_topics(ctx, params.get("NotificationARNs", []))
        aws = self.aws(ctx, params.get("RoleARN", ""))
        body = self.body(params, self.aws(ctx))
        stack = self.new_stack(ctx, StackName, params)
        tags = tags_of(params.get("Tags", []))
        desired = self.desired(ctx, stack, Asked(body, params.get("Parameters", []), tags), aws)
        check_capabilities(desired, params.get("Capabilities", []))
        stack.version = self.version(body, desired, params.get("Capabilities", []))
        with self.lock:
            stacks: Stacks = self.state(ctx)
            if (other := stacks.find(StackName)) is not None:  # another request was faster
                if token and other.token == token:
                    return {"StackId": other.id}
                raise StackError(f"Stack [{StackName}] already exists", "AlreadyExistsException")
            stacks.by_id[stack.id] = stack
        run = self.run(ctx, stack, aws, desired)
        run.state("CREATE_IN_PROGRESS", "User Initiated")
        run.delete_fresh = bool(params.get("RetainExceptOnCreate"))
        self.start(stack, run, lambda: run.create(wanted), "CREATE_FAILED")
        return {"StackId": stack.id}

    def update_stack(self, ctx: Context, StackName: str, **params: Any) -> dict[str, Any]:
        stack = self.stack(ctx, StackName)
        token = params.get("ClientRequestToken", "")
        parent = self.parents.pop(token, None)
        if parent is not None and parent.restore and stack.previous is not None:
            return self._restore(ctx, stack)
        self._check_updatable(stack)
        self.check_topics(ctx, params.get("NotificationARNs", []))
        role = params.get("RoleARN") or stack.role_arn
        aws = self.aws(ctx, role)
        body = self.body(params, self.aws(ctx), stack.version.body)
        tags = tags_of(params["Tags"]) if "Tags" in params else stack.version.tags
        asked = Asked(body, params.get("Parameters", []), tags, stack.version.parameters)
        desired = self.desired(ctx, stack, asked, aws)
        check_capabilities(desired, params.get("Capabilities", []))
        self._check_changes(stack, desired, params)
        version = self.version(body, desired, params.get("Capabilities", []))
        run = self.run(ctx, stack, aws, desired)
        run.delete_fresh = bool(params.get("RetainExceptOnCreate"))
        self.begin_update(
            stack,
            version,
            run,
            role_arn=role,
            token=token,
            notify=params.get("NotificationARNs", stack.notify),
            disable_rollback=bool(params.get("DisableRollback")),
        )
        return {"StackId": stack.id}

    def delete_stack(self, ctx: Context, StackName: str, **params: Any) -> dict[str, Any]:
        stacks: Stacks = self.state(ctx)
        with self.lock:
            stack = stacks.find(StackName)
        if stack is None or stack.status in ("DELETE_COMPLETE", "DELETE_IN_PROGRESS"):
            return {}
        if stack.protected:
            raise StackError(
                f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )
        if stack.is_busy:
            stack.done.wait(60)
        retain = frozenset(params.get("RetainResources", []))
        failed = {one.logical_id for one in stack.live.values() if one.status == "DELETE_FAILED"}
        if retain and stack.status != "DELETE_FAILED":
            raise StackError("Invalid operation on stack: RetainResources needs DELETE_FAILED")
        if params.get("DeletionMode") == "FORCE_DELETE_STACK":
            retain |= failed
        aws = self.aws(ctx, params.get("RoleARN") or stack.role_arn)
        run = self.run(ctx, stack, aws)
        if said := self._in_use(stacks, stack):
            run.state(stack.status, said)
            return {}
        stack.token = params.get("ClientRequestToken", "")
        with self.lock:
            gone = [key for key, one in stacks.change_sets.items() if one.stack is stack]
            for key in gone:
                del stacks.change_sets[key]
            if stack.status == "DELETE_IN_PROGRESS":
                return {}
            if stack.is_busy:
                raise StackError(f"Stack:{stack.id} is in {stack.status} state: delete it later.")
            stack.status = "DELETE_IN_PROGRESS"
        self.start(stack, run, lambda: run.delete(retain), "DELETE_FAILED")
        return {}

    def continue_update_rollback(
        self, ctx: Context, StackName: str, **params: Any
    ) -> dict[str, Any]:
        stack = self.stack(ctx, StackName)
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise StackError(
                f"Stack:{stack.id} is in {stack.status} state and can not continue its rollback."
            )
        run = self._resumed(ctx, stack, params)
        skip = frozenset(params.get("ResourcesToSkip", []))
        run.state("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        self.start(stack, run, lambda: run.roll_back(skip), "UPDATE_ROLLBACK_FAILED")
        return {}

    def rollback_stack(self, ctx: Context, StackName: str, **params: Any) -> dict[str, Any]:
        stack = self.stack(ctx, StackName)
        if stack.status not in ("CREATE_FAILED", "UPDATE_FAILED"):
            raise StackError(
                f"Stack:{stack.id} is in {stack.status} state and can not be rolled back."
            )
        run = self._resumed(ctx, stack, params)
        if stack.status == "UPDATE_FAILED":
            run.state("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
            self.start(stack, run, run.roll_back, "UPDATE_ROLLBACK_FAILED")
        else:
            run.state("ROLLBACK_IN_PROGRESS", "User Initiated")
            self.start(stack, run, run.roll_back_creation, "ROLLBACK_FAILED")
        return {"StackId": stack.id}

    def update_termination_protection(
        self, ctx: Context, EnableTerminationProtection: bool, StackName: str
    ) -> dict[str, Any]:
        stack = self.stack(ctx, StackName)
        if stack.parent_id:
            raise StackError("Termination protection cannot be set on a nested stack: set the root")
        stack.protected = EnableTerminationProtection
        return {"StackId": stack.id}

    def _in_use(self, stacks: Stacks, stack: Stack) -> str:
        """Return why a stack's exports keep it, or nothing."""
        with self.lock:
            for name in stack.exports:
                users = [one.name for one in stacks.importers(name) if one is not stack]
                if users:
                    said = f"Cannot delete export {name} as it is in use by {users[0]}."
                    return f"Delete canceled. {said}"
        return ""

    def _check_name(self, ctx: Context, name: str) -> Stack | None:
        if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", name):
            raise StackError(
                f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy "
                "constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
            )
        with self.lock:
            found: Stack | None = self.state(ctx).find(name)
        return found

    def _check_updatable(self, stack: Stack) -> None:
        allowed = (
            "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "CREATE_FAILED",
            "UPDATE_FAILED",
        )  # fmt: skip
        if stack.is_busy:
            stack.done.wait(1)
        if stack.status not in allowed:
            raise StackError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")

    def _check_changes(self, stack: Stack, desired: Desired, params: Any) -> None:
        """Refuse an update that changes nothing, or that changes a resource's type."""
        retyped = [
            name
            for name, made in stack.live.items()
            if name in desired.resources and desired.resources[name].kind != made.kind
        ]
        if retyped:
            raise StackError(
                "Update of resource type is not permitted. The new template modifies resource "
                f"type of the following resources: [{', '.join(sorted(retyped))}]"
            )
        if stack.status.endswith("_FAILED"):
            return
        same = not params.get("RoleARN") or params["RoleARN"] == stack.role_arn
        same = same and params.get("NotificationARNs", stack.notify) == stack.notify
        same = same and desired.tags == stack.version.tags
        try:
            if (
                same
                and not Plan(stack, desired).changes()
                and (desired.output_values() == stack.version.outputs)
            ):
                raise StackError(NO_UPDATES)
        except ResourceError:
            return  # it is the update that fails, with an event that names the resource

    def _restore(self, ctx: Context, stack: Stack) -> dict[str, Any]:
        """Bring a nested stack back to what it was before its parent's update."""
        was = stack.previous
        if was is None:
            raise StackError(NO_UPDATES)
        aws = self.aws(ctx)
        desired = self.desired(ctx, stack, again(was), aws)
        version = self.version(was.body, desired, was.capabilities)
        self.begin_update(stack, version, self.run(ctx, stack, aws, desired))
        return {"StackId": stack.id}

    def _resumed(self, ctx: Context, stack: Stack, params: Any) -> Run:
        run = self.runs[stack.id]
        run.aws = run.tools.aws = self.aws(ctx, params.get("RoleARN") or stack.role_arn)
        run.delete_fresh |= bool(params.get("RetainExceptOnCreate"))
        return run
