"""How a resource is made, changed and removed: schema and a row of a table to API calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import jmespath

from seedbed.sandbox.cloudformation.aws import Aws, CallError, convert, input_shape, member
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.kinds import Extra, Kind
from seedbed.sandbox.cloudformation.schemas import Schema

# Parts of the names of passing states.
PASSING = ("pending", "progress", "creating", "updating", "stopping")
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass
class Resource:
    """One resource as a handler sees it: what is asked for, and what came of it."""

    logical_id: str
    kind: str
    stack_name: str
    stack_id: str
    properties: dict[str, Any]  # in the schema's types, references resolved, stack tags included
    token: Callable[[int, str], str]  # random text of a length and alphabet
    physical_id: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.logical_id} ({self.kind})"

    @contextmanager
    def sent_as(self, properties: dict[str, Any]) -> Iterator[None]:
        """Have the calls within say other properties than those that were given."""
        given, self.properties = self.properties, properties
        try:
            yield
        finally:
            self.properties = given

    def get(self, name: str) -> Any:
        """Look up an attribute, the physical id (`Ref`) or a property."""
        if name == "Ref":
            return self.physical_id
        return self.attributes.get(name, self.properties.get(name))

    def unique(self, limit: int = 64, *, lower: bool = False) -> str:
        """Return a name of CloudFormation's form: stack, logical id, random."""
        random = self.token(12, UPPER)
        room = limit - len(random) - 2
        logical = self.logical_id[: max(room // 2, room - len(self.stack_name))]
        name = f"{self.stack_name[: room - len(logical)]}-{logical}-{random}"
        return name.lower() if lower else name


class Handler(Protocol):
    """Makes, changes and removes resources of one type."""

    def create(self, resource: Resource, aws: Aws) -> None:
        """Make it: set `physical_id` as soon as it exists, and `attributes`."""

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        """Bring it from the `old` properties to `resource.properties`."""

    def delete(self, resource: Resource, aws: Aws) -> None:
        """Remove it; that it is gone already is no error."""


class NothingMade:
    """A type that stands for no resource: AWS::CDK::Metadata counts what the CDK is used for."""

    def create(self, resource: Resource, aws: Aws) -> None:
        del aws
        resource.physical_id = resource.attributes["Id"] = resource.unique()

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        """Keep the properties, which the stack's record has."""

    def delete(self, resource: Resource, aws: Aws) -> None:
        """Remove nothing."""


class Generic:
    """A handler that a row of the table drives."""

    def __init__(self, schema: Schema, kind: Kind) -> None:
        self.schema = schema
        self.kind = kind

    def create(self, resource: Resource, aws: Aws) -> None:
        kind = self.kind
        generated = bool(kind.name) and kind.name not in resource.properties
        if generated:
            resource.attributes[kind.name] = resource.unique(kind.limit, lower=kind.lower)
        try:
            answer = aws.call(kind.create, **self.request(resource, kind.create, aws))
        except ResourceError as error:
            # A name of our own making is nobody else's: what may exist is removed on rollback.
            if error.ambiguous and generated:
                self.identify(resource, {}, aws)
            raise
        self.identify(resource, answer, aws)
        for extra in kind.extras:
            if not extra.later and any(name in resource.properties for name in extra.properties):
                self.beside(resource, extra, aws)
        if not kind.creates_tags and resource.properties.get(kind.tags_property):
            self._tag(resource, resource.properties[kind.tags_property], aws)
        self.describe(resource, answer, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        kind = self.kind
        new = resource.properties
        changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
        changed -= set(kind.ignored)
        if kind.tags_property in changed and kind.tag:
            self.retag(resource, old.get(kind.tags_property), aws)
            changed.discard(kind.tags_property)
        for extra in kind.extras:
            if changed & set(extra.properties):
                changed -= set(extra.properties)
                self.beside(resource, extra, aws)
        if changed:
            self._change(resource, changed, aws)
        self.describe(resource, {}, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        if self.kind.delete:
            params = self.identity(resource, self.kind.delete, aws)
            call_unless_gone(aws, self.kind.delete, **params, **self.kind.delete_fixed)

    def _change(self, resource: Resource, changed: set[str], aws: Aws) -> None:
        kind = self.kind
        if not kind.update:
            raise ResourceError(
                f"{resource.where}: changing property {_names(changed)} is not emulated"
            )
        gone = changed - set(resource.properties)
        if kind.update != kind.create and gone - set(kind.resets):
            raise ResourceError(
                f"{resource.where}: taking away property {_names(gone - set(kind.resets))} "
                "in an update is not emulated"
            )
        given = {**{name: kind.resets[name] for name in gone if name in kind.resets}}
        given |= resource.properties
        params = self.request(resource, kind.update, aws, given=given, changed=changed)
        aws.call(kind.update, **{**params, **kind.update_fixed})

    def request(
        self,
        resource: Resource,
        operation: str,
        aws: Aws,
        *,
        given: Mapping[str, Any] | None = None,
        changed: set[str] | None = None,
    ) -> dict[str, Any]:
        """Return the parameters of a create or update call.

        Raises:
            ResourceError: Names a property that the call has no member for.
        """
        kind = self.kind
        shape = input_shape(operation)
        params: dict[str, Any] = dict(kind.fixed)
        aside = self._aside(updating=changed is not None)
        properties = {**kind.defaults, **(resource.properties if given is None else given)}
        if kind.name in resource.attributes:
            properties[kind.name] = resource.attributes[kind.name]
        renames = {**kind.rename, **(kind.update_rename if changed is not None else {})}
        for name, value in properties.items():
            if name in aside:
                continue
            path = _path(shape, name, renames, kind)
            if changed is not None and name not in changed and path and self._stays(name, path):
                continue
            if path is None:
                if changed is None or name in changed:
                    verb = "is" if changed is None else "cannot be changed:"
                    raise ResourceError(
                        f"{resource.where}: property {name} {verb} not emulated: "
                        f"{operation} has no such parameter"
                    )
                continue
            _put(params, shape, path, value, f"{resource.where}: property {name}")
        if changed is not None:
            params |= self.identity(resource, operation, aws)
        return params

    def _aside(self, *, updating: bool) -> set[str]:
        """Return the properties that the main call does not take."""
        kind = self.kind
        aside = {*kind.ignored, *(() if updating else kind.update_only)}
        for extra in kind.extras:
            if updating or not extra.later:
                aside |= set(extra.properties)
        if not kind.creates_tags or (updating and kind.tag):
            aside.add(kind.tags_property)
        return aside

    def _stays(self, name: str, path: str) -> bool:
        """Whether an update must leave a property out: it names the resource, or cannot change."""
        fixed = {self.kind.name, *self.schema.identifier, *self.schema.create_only}
        return name in fixed and bool(self.kind.rest) and path.startswith(f"{self.kind.rest}.")

    def identity(self, resource: Resource, operation: str, aws: Aws) -> dict[str, Any]:
        """Return the members of a request that say which resource is meant."""
        shape = input_shape(operation)
        said = {
            name: look_up(resource, source, aws)
            for name, source in self.kind.ident.items()
            if name in shape.members
        }
        said = {
            name: convert(value, shape.members[name], name)
            for name, value in said.items()
            if value is not None
        }
        for name in shape.required_members:
            if name in said or (self.kind.body and name == self.kind.body):
                continue
            found = next(
                (resource.get(known) for known in _known(resource) if same_name(known, name)), None
            )
            if found is not None and isinstance(found, str):
                said[name] = found
        return said

    def identify(self, resource: Resource, answer: Mapping[str, Any], aws: Aws) -> None:
        """Set the physical id from what is known once the resource exists."""
        for name in {*self.schema.identifier, *self.schema.read_only}:
            if resource.get(name) is not None and name not in self.schema.read_only:
                continue  # given, or generated
            expression = self.kind.attributes.get(name, "")
            found = None
            if expression and not expression.startswith("="):
                found = jmespath.search(expression, answer) if answer else None
            elif not expression and "." not in name:
                found = _search(answer, name)
            if found is not None:
                resource.attributes[name] = _plain(found)
        for name, expression in self.kind.keep.items():
            found = jmespath.search(expression, answer) if answer else None
            if found is not None:
                resource.attributes[name] = found
        if self.kind.ref:
            parts = [look_up(resource, self.kind.ref, aws)]
        else:
            parts = [resource.get(name) for name in self.schema.identifier]
        if not parts or any(part is None for part in parts):
            raise ResourceError(
                f"{resource.where}: {self.kind.create} tells no {self.schema.identifier}"
            )
        resource.physical_id = "|".join(map(str, parts))

    def describe(self, resource: Resource, answer: Mapping[str, Any], aws: Aws) -> None:
        """Fill in the attributes that `Fn::GetAtt` can ask for."""
        read = self._settled(resource, aws) if self.kind.read else dict(answer)
        for name in self.schema.read_only:
            expression = self.kind.attributes.get(name, "")
            if expression.startswith("="):
                resource.attributes[name] = look_up(resource, expression, aws)
                continue
            found = jmespath.search(expression, read) if expression else _search(read, name)
            if found is not None:
                resource.attributes[name] = _plain(found)

    def _settled(self, resource: Resource, aws: Aws) -> dict[str, Any]:
        """Read the resource, again and again until it has left its passing states."""
        kind = self.kind
        params = {**self.identity(resource, kind.read, aws), **kind.read_fixed}
        for _ in range(12_000):  # ten minutes: the longest that a handler may take here
            read = aws.call(kind.read, **params)
            state = str(jmespath.search(kind.status, read)) if kind.status else ""
            if "fail" in state.lower():
                raise ResourceError(f"{resource.where}: {state}: {_search(read, 'FailureReason')}")
            if not any(word in state.lower() for word in PASSING):
                return read
            aws.pause(0.05)
        raise ResourceError(f"{resource.where}: did not stabilize: it is still {state}")

    def beside(self, resource: Resource, extra: Extra, aws: Aws) -> None:
        """Make one of the calls beside the main one, or its opposite."""
        given = {
            name: resource.properties[name]
            for name in extra.properties
            if name in resource.properties
        }
        if not given:
            if not extra.remove:
                raise ResourceError(
                    f"{resource.where}: taking away property {_names(extra.properties)} "
                    "in an update is not emulated"
                )
            call_unless_gone(aws, extra.remove, **self.identity(resource, extra.remove, aws))
            return
        shape = input_shape(extra.operation)
        params = {**self.identity(resource, extra.operation, aws), **extra.fixed}
        for name, value in given.items():
            path = extra.members.get(name) or member(shape, name)
            if path == ".":  # the property's own members are the call's
                params |= convert(value, shape, f"{resource.where}: property {name}")
                continue
            if path is None:
                raise ResourceError(
                    f"{resource.where}: property {name} is not emulated: "
                    f"{extra.operation} has no such parameter"
                )
            _put(params, shape, path, value, f"{resource.where}: property {name}")
        aws.call(extra.operation, **params)

    def _tag(self, resource: Resource, tags: Any, aws: Aws) -> None:
        if not self.kind.tag:
            raise ResourceError(f"{resource.where}: property Tags is not emulated")
        shape = input_shape(self.kind.tag)
        params = self.identity(resource, self.kind.tag, aws)
        taken = ("tags", "addtags", "tagstoadd")
        name = next(known for known in shape.members if known.lower() in taken)
        _put(params, shape, name, tags, f"{resource.where}: property Tags")
        aws.call(self.kind.tag, **params)

    def retag(self, resource: Resource, old: Any, aws: Aws) -> None:
        """Bring the tags from the old ones to those of the properties."""
        new = resource.properties.get(self.kind.tags_property) or []
        before, after = tag_map(old or []), tag_map(new)
        gone = sorted(set(before) - set(after))
        if gone:
            shape = input_shape(self.kind.untag)
            params = self.identity(resource, self.kind.untag, aws)
            name = next(
                known
                for known in shape.members
                if known.lower() in ("tagkeys", "removetags", "tagstoremove", "tags")
            )
            keys = gone if name.lower() != "tags" else [{"Key": key} for key in gone]
            aws.call(self.kind.untag, **params, **{name: keys})
        if any(before.get(key) != value for key, value in after.items()):
            self._tag(resource, new, aws)


def tag_map(tags: Any) -> dict[str, str]:
    """Return tags as a mapping, whether a type has them as pairs or as a mapping."""
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags}


def _plain(value: Any) -> Any:
    """Return an attribute as templates see it: a time is text."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def look_up(resource: Resource, source: str, aws: Aws) -> Any:
    """Evaluate a value of the table: a name, or `=text with {names}`."""
    if not source.startswith("="):
        return resource.get(source)
    places = {"account": aws.account, "region": aws.region, "partition": aws.partition}
    return re.sub(
        r"\{(\w+)\}", lambda match: str(places.get(match[1]) or resource.get(match[1])), source[1:]
    )


def call_unless_gone(aws: Aws, operation: str, **params: Any) -> dict[str, Any]:
    """Make a call that removes something; that it is gone already is no error."""
    try:
        return aws.call(operation, **params)
    except CallError as error:
        if error.is_gone:
            return {}
        raise


class Translated(Generic):
    """A handler whose type says its properties otherwise than the API."""

    def said(self, resource: Resource, given: Mapping[str, Any], aws: Aws) -> dict[str, Any]:
        """Return properties, now or as they were, in the API's words."""
        raise NotImplementedError

    def create(self, resource: Resource, aws: Aws) -> None:
        with resource.sent_as(self.said(resource, resource.properties, aws)):
            super().create(resource, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        with resource.sent_as(self.said(resource, resource.properties, aws)):
            super().update(resource, self.said(resource, old, aws), aws)


def without(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the properties but for some."""
    return {key: item for key, item in given.items() if key not in names}


def _path(shape: Any, name: str, renames: Mapping[str, str], kind: Kind) -> str | None:
    if name in renames:
        head = renames[name].split(".", 1)[0]
        return renames[name] if head in shape.members else None
    if kind.body and kind.body in shape.members:
        inner = member(shape.members[kind.body], name)
        if inner is not None:
            return f"{kind.body}.{inner}"
    found = member(shape, name)
    if found is None and kind.rest and kind.rest in shape.members:
        return f"{kind.rest}.{name}"
    return found


def _put(params: dict[str, Any], shape: Any, path: str, value: Any, where: str) -> None:
    """Set a parameter by its path, converted to the shape that stands there."""
    *heads, last = path.split(".")
    for head in heads:
        params = params.setdefault(head, {})
        shape = shape.members[head]
    inner = shape.value if shape.type_name == "map" else shape.members[last]
    params[last] = convert(value, inner, where)


def _search(tree: Any, name: str, depth: int = 3) -> Any:
    """Find a member by name, whatever its case, nearest the root."""
    if not isinstance(tree, Mapping) or depth == 0:
        return None
    for key, value in tree.items():
        if key != "ResponseMetadata" and same_name(key, name):
            return value
    found = (_search(value, name, depth - 1) for value in tree.values())
    return next((value for value in found if value is not None), None)


def same_name(left: str, right: str) -> bool:
    return left.replace("_", "").lower() == right.replace("_", "").lower()


def _known(resource: Resource) -> list[str]:
    return [*resource.attributes, *resource.properties]


def _names(names: Any) -> str:
    return ", ".join(sorted(names))
