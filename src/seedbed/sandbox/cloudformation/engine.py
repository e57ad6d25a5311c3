"""Carrying out a stack's operation: create, update, delete, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from seedbed.sandbox.cloudformation import dynamic, registry, schemas
from seedbed.sandbox.cloudformation.aws import Aws
from seedbed.sandbox.cloudformation.desired import STACK, Declared, Desired, sort
from seedbed.sandbox.cloudformation.errors import ResourceError, StackError
from seedbed.sandbox.cloudformation.journal import Journal
from seedbed.sandbox.cloudformation.records import Made, Stack
from seedbed.sandbox.cloudformation.resources import Handler, Resource
from seedbed.sandbox.cloudformation.schemas import Schema

SERVICE_TOKEN = "ServiceToken"  # noqa: S105 (a property's name)

REPLACING = "Requested update requires the creation of a new physical resource; hence creating one."


@dataclass
class Step:
    """One thing that an update did, so that it can be undone."""

    verb: str  # created, updated, replaced, kept (nothing was called, or one call was refused)
    new: Made
    old: Made | None = None


@dataclass
class Tools:
    """What the engine needs of its surroundings."""

    aws: Aws
    now: Callable[[], datetime]
    token: Callable[[int, str], str]
    special: Callable[[Run, str], Handler]  # nested stacks and custom resources
    notify: Callable[[Stack, Mapping[str, Any]], None]
    check_exports: Callable[[Stack, list[dict[str, Any]]], None]


class Run(Journal):
    """One operation on one stack."""

    def __init__(self, stack: Stack, tools: Tools, desired: Desired | None = None) -> None:
        super().__init__(stack, tools.now, tools.notify)
        self.tools = tools
        self.aws = tools.aws
        self.desired = desired
        self.steps: list[Step] = []
        self.doomed: list[Made] = []  # what a rollback has still to delete
        self.failed: list[str] = []
        self.rolling_back = False
        self.delete_fresh = False  # a rollback deletes what it made, whatever the policy
        if desired is not None:
            desired.evaluator.ref = self.ref
            desired.evaluator.get_att = self.get_att

    # Operations

    def create(self, on_failure: str = "ROLLBACK") -> None:
        """Make all resources; when one fails, take them all away again."""
        try:
            self._apply()
            self._finish("CREATE_COMPLETE")
        except (ResourceError, StackError) as error:
            if on_failure == "DO_NOTHING":
                self.state("CREATE_FAILED", self._told(error, "create"))
                return
            self.state("ROLLBACK_IN_PROGRESS", self._told(error, "create"))
            self.roll_back_creation()
            if on_failure == "DELETE" and self.stack.status == "ROLLBACK_COMPLETE":
                self.delete()

    def roll_back_creation(self) -> None:
        """Take away all that a failed creation has made."""
        self.rolling_back = True
        remains = self._remove_all(list(self.stack.live.values()), rollback=True)
        ended = "ROLLBACK_FAILED" if remains else "ROLLBACK_COMPLETE"
        self.state(ended, _named(remains, "delete"))

    def update(self) -> None:
        """Bring the resources to the new template; when one fails, bring all back."""
        for made in self.stack.resources.values():
            made.fresh = False
        try:
            self._apply()
            self._outputs()
            self._drop()
        except (ResourceError, StackError) as error:
            if self.stack.disable_rollback:
                self._keep_failed()
                self.state("UPDATE_FAILED", self._told(error, "update"))
                return
            self.state("UPDATE_ROLLBACK_IN_PROGRESS", self._told(error, "update"))
            self.roll_back()
            return
        self.state("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._clean_up()
        self.state("UPDATE_COMPLETE")

    def roll_back(self, skip: frozenset[str] = frozenset()) -> None:
        """Undo the steps of a failed update, last first; a step that is undone is forgotten."""
        self.rolling_back = True
        self.stack.leftovers = []  # what was replaced comes back
        remains = []
        for step in reversed(list(self.steps)):
            if self._undo(step, skip):
                self.steps.remove(step)
            else:
                remains.append(step.new.logical_id)
        if self.stack.previous is not None:
            self.stack.version = self.stack.previous
        self.failed = []
        if remains:
            self.state("UPDATE_ROLLBACK_FAILED", _named(remains, "update"))
            return
        self.state("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        doomed = [*self.doomed, *self.stack.leftovers]
        self.doomed, self.stack.leftovers = [], []
        self._remove_all(doomed, rollback=True)
        self.state("UPDATE_ROLLBACK_COMPLETE")

    def _keep_failed(self) -> None:
        """Record failed updates with the old properties, so that the next update tries again."""
        for step in self.steps:
            if step.new.status == "UPDATE_FAILED" and step.old is not None:
                step.new.properties = step.old.properties

    def _undo(self, step: Step, skip: frozenset[str]) -> bool:
        name = step.new.logical_id
        if step.old is None:
            self.stack.resources.pop(name, None)
            self.doomed.append(step.new)
            return True
        self.stack.resources[name] = step.old
        if step.verb == "replaced":
            self.doomed.append(step.new)
        elif name in skip:
            self.event(step.old, "UPDATE_COMPLETE", "Skipped as requested.")
        elif step.verb == "kept":
            if step.new.status == "UPDATE_FAILED":
                self.event(step.old, "UPDATE_COMPLETE")
        else:
            return self._revert(step.new, step.old)
        return True

    def delete(self, retain: frozenset[str] = frozenset()) -> None:
        """Remove all resources that no policy keeps."""
        self.state("DELETE_IN_PROGRESS", "User Initiated")
        doomed = [*self.stack.live.values(), *self.stack.leftovers]
        remains = self._remove_all(doomed, retain=retain)
        if remains:
            self.state("DELETE_FAILED", _named(remains, "delete"))
            return
        self.stack.leftovers = []
        self.stack.deleted = self.tools.now()
        self.state("DELETE_COMPLETE")

    # Steps

    def _apply(self) -> None:
        desired = self._wanted()
        started = self.tools.now()
        for name in desired.order:
            limit = self.stack.timeout_minutes
            if limit and self.tools.now() - started > timedelta(minutes=limit):
                raise StackError("Stack creation timed out.")
            self._bring(desired.resources[name])

    def _bring(self, declared: Declared) -> None:
        """Create, change or replace one resource, or leave it be."""
        old = self.stack.live.get(declared.logical_id)
        if old is not None and old.status == "CREATE_FAILED":  # left by a creation kept as it was
            self.stack.leftovers.append(old)
            old = None
        new = Made(
            declared.logical_id, declared.kind, depends=declared.depends,
            deletion_policy=declared.deletion_policy, replace_policy=declared.replace_policy,
            metadata=declared.metadata,
        )  # fmt: skip
        try:
            new.properties = self._wanted().properties(declared)
        except ResourceError as error:
            self._fail(new, "CREATE_FAILED" if old is None else "UPDATE_FAILED", error)
            raise
        if old is None:
            self._create(new, None)
            return
        new.physical_id, new.attributes = old.physical_id, dict(old.attributes)
        new.fresh = False
        changed = differences(old.properties, new.properties)
        if not changed and declared.kind != STACK:
            new.status, new.time = old.status, old.time
            self.stack.resources[new.logical_id] = new
            if old.metadata != new.metadata or _policies(old) != _policies(new):
                self.steps.append(Step("kept", new, old))
            return
        if replaces(declared.schema, old.properties, new.properties, changed):
            self._check_named(declared.schema, old, new, changed)
            self._create(new, old)
            return
        self._update(new, old)

    def _create(self, new: Made, old: Made | None) -> None:
        new.physical_id, new.attributes, new.fresh = "", {}, True
        verb = "CREATE" if old is None else "UPDATE"
        self.stack.resources[new.logical_id] = new
        step = Step("created" if old is None else "replaced", new, old)
        self.steps.append(step)
        self.event(new, f"{verb}_IN_PROGRESS", "" if old is None else REPLACING)
        resource = self._resource(new)
        try:
            resource.properties = dynamic.resolve(new.properties, new.kind, self.aws)
            self._handler(new.kind).create(resource, self.aws)
        except ResourceError as error:
            new.physical_id, new.attributes = resource.physical_id, resource.attributes
            self._fail(new, f"{verb}_FAILED", error)
            raise
        new.physical_id, new.attributes = resource.physical_id, resource.attributes
        self.event(new, f"{verb}_IN_PROGRESS", "Resource creation Initiated")
        self.event(new, f"{verb}_COMPLETE")
        if old is not None:
            self.stack.leftovers.append(old)

    def _update(self, new: Made, old: Made) -> None:
        self.stack.resources[new.logical_id] = new
        self.event(new, "UPDATE_IN_PROGRESS")
        before = self.aws.made
        try:
            self._change(new, old)
        except ResourceError as error:
            # One call that was refused outright changed nothing: there is nothing to undo.
            untouched = self.aws.made - before <= 1 and not error.ambiguous
            verb = "kept" if untouched and not _is_special(new.kind) else "updated"
            self.steps.append(Step(verb, new, old))
            self._fail(new, "UPDATE_FAILED", error)
            raise
        verb = "updated"
        if new.physical_id != old.physical_id:  # a custom resource that gave itself a new id
            verb = "replaced" if not _is_special(new.kind) else "updated"
            self.stack.leftovers.append(old)
        self.steps.append(Step(verb, new, old))
        self.event(new, "UPDATE_COMPLETE")

    def _change(self, new: Made, old: Made) -> None:
        resource = self._resource(new)
        resource.properties = dynamic.resolve(new.properties, new.kind, self.aws)
        before = dynamic.resolve(old.properties, old.kind, self.aws)
        self._handler(new.kind).update(resource, before, self.aws)
        new.physical_id, new.attributes = resource.physical_id, resource.attributes

    def _revert(self, new: Made, old: Made) -> bool:
        """Bring one resource back to its old properties; tell whether that went well."""
        self.event(old, "UPDATE_IN_PROGRESS")
        if new.properties != old.properties or new.kind == STACK:
            back = replace(old, physical_id=new.physical_id, attributes=dict(new.attributes))
            try:
                self._change(back, replace(new))
            except ResourceError as error:
                self._fail(old, "UPDATE_FAILED", error)
                return False
            if back.physical_id != new.physical_id:
                self.stack.leftovers.append(replace(new))
            old.physical_id, old.attributes = back.physical_id, back.attributes
        self.event(old, "UPDATE_COMPLETE")
        return True

    def _drop(self) -> None:
        """Set aside what the new template has no more."""
        wanted = self._wanted().resources
        for name, made in list(self.stack.live.items()):
            if name not in wanted:
                self.stack.leftovers.append(made)
                del self.stack.resources[name]

    def _clean_up(self) -> None:
        doomed, self.stack.leftovers = self.stack.leftovers, []
        for made in doomed:
            current = self.stack.resources.get(made.logical_id)
            if current is not None:  # replaced: another policy than for what was dropped
                made.deletion_policy = current.replace_policy
        # What cannot be removed stays behind, as in AWS: the event tells, the update is complete.
        self._remove_all(doomed)

    def _remove_all(
        self,
        doomed: list[Made],
        *,
        rollback: bool = False,
        retain: frozenset[str] = frozenset(),
    ) -> list[str]:
        """Delete resources, dependents first; return the logical ids of those that remain."""
        remains: list[Made] = []
        groups: dict[str, list[Made]] = {}
        for made in doomed:
            groups.setdefault(made.logical_id, []).append(made)
        try:
            order = sort({name: ones[-1].depends for name, ones in groups.items()})
        except StackError:  # the old and the new template depend the other way round
            order = list(groups)
        for made in (one for name in reversed(order) for one in groups[name]):
            needed = any(made.logical_id in other.depends for other in remains)
            fresh = rollback and made.fresh
            keeps = (made.deletion_policy == "Retain" and not (fresh and self.delete_fresh)) or (
                made.deletion_policy == "RetainExceptOnCreate" and not fresh
            )
            if made.logical_id in retain or keeps:
                self.event(made, "DELETE_SKIPPED")
            elif needed or not self._remove(made):
                remains.append(made)
        return sorted({made.logical_id for made in remains})

    def _remove(self, made: Made) -> bool:
        if not made.physical_id:  # it never came to be
            made.status = "DELETE_COMPLETE"
            return True
        self.event(made, "DELETE_IN_PROGRESS")
        resource = self._resource(made)
        # What a reference points to may be gone before the resource: its id is enough for most.
        with suppress(ResourceError):
            resource.properties = dynamic.resolve(made.properties, made.kind, self.aws)
        try:
            self._handler(made.kind).delete(resource, self.aws)
        except ResourceError as error:
            self._fail(made, "DELETE_FAILED", error)
            return False
        self.event(made, "DELETE_COMPLETE")
        return True

    def _check_named(self, schema: Schema, old: Made, new: Made, changed: set[str]) -> None:
        """A resource with a name of its own cannot be replaced by one of the same name."""
        names = [name for name in schema.identifier if name in new.properties]
        own = [name for name in names if name not in schema.read_only]
        kind = registry.KINDS.get(new.kind) or registry.DRIVEN.get(new.kind, (None, None))[1]
        if kind is not None and kind.name in new.properties:
            own.append(kind.name)
        if own and len(own) >= len(schema.identifier) and not set(own) & changed:
            error = ResourceError(
                "CloudFormation cannot update a stack when a custom-named resource requires "
                f"replacing. Rename {old.physical_id} and update the stack again."
            )
            self._fail(new, "UPDATE_FAILED", error)
            raise error

    def _outputs(self) -> None:
        desired = self._wanted()
        outputs = desired.output_values()
        self.tools.check_exports(self.stack, outputs)
        self.stack.version.outputs = outputs
        self.stack.version.imports = frozenset(desired.imports)

    def _finish(self, status: str) -> None:
        self._outputs()
        self.state(status)

    # Handlers, events

    def _wanted(self) -> Desired:
        if self.desired is None:
            raise StackError("the operation has no template")
        return self.desired

    def _handler(self, kind: str) -> Handler:
        if _is_special(kind):
            return self.tools.special(self, kind)
        schema = schemas.find(kind, self.stack.region)
        if schema is None:
            raise ResourceError(f"type {kind} is unknown")
        return registry.handler(schema)

    def _resource(self, made: Made) -> Resource:
        return Resource(
            made.logical_id, made.kind, self.stack.name, self.stack.id, dict(made.properties),
            self.tools.token, made.physical_id, dict(made.attributes),
        )  # fmt: skip

    def _fail(self, made: Made, status: str, error: ResourceError) -> None:
        self.failed.append(made.logical_id)
        self.stack.resources.setdefault(made.logical_id, made)
        self.event(made, status, error.message)

    def _told(self, error: Exception, verb: str) -> str:
        if self.failed:
            return _named(sorted(set(self.failed)), verb)
        return getattr(error, "message", str(error)) + "."


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """Return the names of the properties in which two sets differ."""
    return {name for name in {*old, *new} if old.get(name) != new.get(name)}


def replaces(
    schema: Schema, old: Mapping[str, Any], new: Mapping[str, Any], changed: set[str]
) -> bool:
    """Tell whether a change needs a new physical resource."""
    if schema.is_open:
        if SERVICE_TOKEN in changed:
            raise ResourceError("Modifying service token is not allowed.")
        return False
    return any(
        schema.needs_replacement(name, old.get(name), new.get(name)) == "Always" for name in changed
    )


def _is_special(kind: str) -> bool:
    return kind in (STACK, schemas.CUSTOM) or kind.startswith("Custom::")


def _policies(made: Made) -> tuple[str, str]:
    return made.deletion_policy, made.replace_policy


def _named(names: list[str], verb: str) -> str:
    if not names:
        return ""
    return f"The following resource(s) failed to {verb}: [{', '.join(names)}]."
