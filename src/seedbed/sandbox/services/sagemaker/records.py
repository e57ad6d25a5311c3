"""What SageMaker keeps and does not run: records, by the shapes of botocore's model.

A kind of record is one row: its noun gives the operations (CreateNoun, DescribeNoun, ...), and what
Describe can tell is what is kept.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, ClassVar

from moto.core.utils import get_service_model

from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.world import Context

PAGE = 100
LISTED = 10  # what most List operations document as the default of MaxResults
VERBS = ("Create", "Describe", "Update", "Delete", "List")


@dataclass
class Record:
    """One resource."""

    arn: str
    said: dict[str, Any]  # what Describe tells
    tags: dict[str, str] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)  # what it does not tell


@dataclass(frozen=True)
class Kind:
    """A row of the table."""

    noun: str
    key: tuple[str, ...]  # the members that name it
    arn: str  # its ARN's resource, with places for members
    plural: str = ""
    status: tuple[str, str] = ("", "")  # the member, and its value once made
    renamed: Mapping[str, str] = field(default_factory=dict)  # a call's member -> Describe's
    merges: bool = True  # an update changes structures member by member
    descending: bool = False  # a list's order where none is asked for

    @property
    def list_operation(self) -> str:
        return f"List{self.plural or self.noun + 's'}"


Table = dict[tuple[str, ...], Record]


@dataclass
class Store:
    """What one account has in one region."""

    tables: dict[str, Table] = field(default_factory=lambda: defaultdict(dict))
    portfolio: bool = False  # SageMaker's own Service Catalog portfolio is enabled


def input_members(operation: str) -> frozenset[str]:
    shape = get_service_model("sagemaker").operation_model(operation).input_shape
    return frozenset(shape.members) if shape else frozenset()


def output_members(operation: str) -> Mapping[str, Any]:
    shape = get_service_model("sagemaker").operation_model(operation).output_shape
    return shape.members if shape else {}


def code(operation: str, *wanted: str) -> str:
    """Return the first of these error codes that an operation declares, else ValidationException.

    SageMaker's older operations declare none and say ValidationException for all.
    """
    shapes = get_service_model("sagemaker").operation_model(operation).error_shapes
    declared = {shape.name for shape in shapes}
    return next((one for one in wanted if one in declared), "ValidationException")


def tag_map(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def paged(
    found: list[Any], params: Mapping[str, Any], member: str, default: int = PAGE
) -> dict[str, Any]:
    """Return one page of a list; the token says where the next one begins."""
    try:
        start = int(params.get("NextToken") or 0)
    except ValueError:
        raise ServiceError("ValidationException", "Invalid NextToken") from None
    end = start + int(params.get("MaxResults") or default)
    rest = {"NextToken": str(end)} if end < len(found) else {}
    return {member: found[start:end], **rest}


class Records(Service):
    """The table's operations; a mixin lists its rows, and has a method where a row is not enough.

    `make`, `find`, `tell`, `change`, `remove` and `listed` are what such a method calls.
    """

    name: ClassVar[str] = "sagemaker"
    store = Store
    kinds: ClassVar[tuple[Kind, ...]] = ()

    @classmethod
    @cache
    def rows(cls) -> dict[str, tuple[str, Kind]]:
        """Return the operations of all mixins' rows, as (verb, kind)."""
        kinds = [kind for base in cls.__mro__ for kind in vars(base).get("kinds", ())]
        rows = {f"{verb}{kind.noun}": (verb, kind) for kind in kinds for verb in VERBS[:-1]}
        rows |= {kind.list_operation: ("List", kind) for kind in kinds}
        known = set(get_service_model(cls.name).operation_names)
        return {operation: row for operation, row in rows.items() if operation in known}

    def has(self, operation: str) -> bool:
        return super().has(operation) or operation in self.rows()

    def call(self, ctx: Context, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if super().has(operation):
            return super().call(ctx, operation, params)
        verb, kind = self.rows()[operation]
        work: dict[str, Callable[[Context, Kind, Mapping[str, Any]], dict[str, Any]]] = {
            "Create": self.make,
            "Describe": self.tell,
            "Update": self.change,
            "Delete": self.remove,
            "List": self.listed,
        }
        return work[verb](ctx, kind, params)

    def now(self) -> datetime:
        """Return the time in milliseconds, which is what clients are told and filter by."""
        now = self.world.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def table(self, ctx: Context, noun: str) -> Table:
        """Return the records of one kind that the owner of what is addressed has."""
        store: Store = self.state(ctx)
        return store.tables[noun]

    def find(
        self, ctx: Context, kind: Kind, params: Mapping[str, Any], operation: str = ""
    ) -> Record:
        """Return the record that a request names; a name may be an ARN.

        Raises:
            ServiceError: There is none.
        """
        key = tuple(str(params[name]).rsplit("/", 1)[-1] for name in kind.key)
        with self.lock:
            found = self.table(ctx, kind.noun).get(key)
        if found is None:
            says = code(operation or ctx.operation, "ResourceNotFound")
            raise ServiceError(says, f"{kind.noun} {'/'.join(key)} does not exist.")
        return found

    def make(
        self, ctx: Context, kind: Kind, params: Mapping[str, Any], **more: Any
    ) -> dict[str, Any]:
        """Keep a new record; `more` is what Describe tells beside what is given.

        Raises:
            ServiceError: It exists, or a parameter is of no use here.
        """
        told = output_members(f"Describe{kind.noun}")
        unknown = sorted(set(params) - set(told) - {"Tags"})
        if unknown:
            raise unsupported(f"the parameter {unknown[0]} of sagemaker:Create{kind.noun}")
        given = {name: copy.deepcopy(value) for name, value in params.items() if name != "Tags"}
        record = self.fresh(ctx, kind, {**given, **more}, params.get("Tags", []))
        key = tuple(str(record.said[name]) for name in kind.key)
        with self.lock:
            table = self.table(ctx, kind.noun)
            if key in table:
                says = code(f"Create{kind.noun}", "ResourceInUse", "ConflictException")
                raise ServiceError(says, f"{kind.noun} {'/'.join(key)} already exists.")
            table[key] = record
        answers = output_members(f"Create{kind.noun}")
        return {name: record.said[name] for name in answers if name in record.said}

    def fresh(
        self,
        ctx: Context,
        kind: Kind,
        said: dict[str, Any],
        tags: Iterable[Mapping[str, str]],
    ) -> Record:
        """Return a record that is not kept yet: with its ARN, times, state and maker."""
        told, now = output_members(f"Describe{kind.noun}"), self.now()
        resource = kind.arn.format(**said)
        arn = f"arn:aws:sagemaker:{ctx.region}:{ctx.owner}:{resource}"
        own = next(name for name in told if name in (f"{kind.noun}Arn", "JobDefinitionArn"))
        member, made = kind.status
        extra = {
            own: arn,
            "CreationTime": now,
            "LastModifiedTime": now,
            "CreatedBy": who(ctx),
            "LastModifiedBy": who(ctx),
            member: made,
        }
        filled = {name: value for name, value in extra.items() if name in told}
        return Record(arn, {**filled, **said}, tag_map(tags))

    def tell(self, ctx: Context, kind: Kind, params: Mapping[str, Any]) -> dict[str, Any]:
        found = self.find(ctx, kind, params)
        with self.lock:
            return copy.deepcopy(found.said)

    def change(self, ctx: Context, kind: Kind, params: Mapping[str, Any]) -> dict[str, Any]:
        found = self.find(ctx, kind, params)
        told = output_members(f"Describe{kind.noun}")
        with self.lock:
            for name, value in params.items():
                target = kind.renamed.get(name, name)
                if target not in told:
                    raise unsupported(f"the parameter {name} of sagemaker:Update{kind.noun}")
                if target not in kind.key:
                    old = found.said.get(target)
                    found.said[target] = merged(old, value) if kind.merges else value
            for name, value in (
                ("LastModifiedTime", self.now()),
                ("LastModifiedBy", who(ctx)),
            ):
                if name in told:
                    found.said[name] = value
            answers = output_members(f"Update{kind.noun}")
            return {name: found.said[name] for name in answers if name in found.said}

    def remove(self, ctx: Context, kind: Kind, params: Mapping[str, Any]) -> dict[str, Any]:
        found = self.find(ctx, kind, params)
        with self.lock:
            table = self.table(ctx, kind.noun)
            for key in [key for key, record in table.items() if record is found]:
                del table[key]
        return {}

    def listed(
        self,
        ctx: Context,
        kind: Kind,
        params: Mapping[str, Any],
        records: list[Record] | None = None,
    ) -> dict[str, Any]:
        """List records, or those given, as the request filters, sorts and pages them."""
        with self.lock:
            every = list(self.table(ctx, kind.noun).values()) if records is None else records
            found = [one for one in every if _matches(kind, one, params)]
            by = {"Name": kind.key[-1], "Status": kind.status[0]}
            wanted = str(params.get("SortBy") or "CreationTime")
            found.sort(key=lambda one: one.said.get(by.get(wanted, wanted)) or 0)
            order = params.get("SortOrder") or ("Descending" if kind.descending else "Ascending")
            if order == "Descending":
                found.reverse()
            member, shape = next(
                (name, shape)
                for name, shape in output_members(kind.list_operation).items()
                if shape.type_name == "list"
            )
            summaries = [_summary(kind, one, shape.member.members) for one in found]
        return paged(summaries, params, member, LISTED)


def _matches(kind: Kind, record: Record, params: Mapping[str, Any]) -> bool:
    return all(
        _passes(kind, record, name, value)
        for name, value in params.items()
        if name not in {"NextToken", "MaxResults", "SortBy", "SortOrder"}
    )


def _passes(kind: Kind, record: Record, name: str, value: Any) -> bool:
    for ending in ("Contains", "Equals", "After", "Before"):
        if name.endswith(ending):
            break
    else:
        ending = "Equals"
    member = name.removesuffix(ending)
    if member == "Name":
        member = kind.key[-1]
    elif member == "Status":
        member = kind.status[0]
    elif member == "ModifiedTime":
        member = "LastModifiedTime"
    known = _look(kind, record, member)
    match ending:
        case "Contains":
            return str(value).lower() in str(known).lower()
        case "After":
            return bool(known > value)
        case "Before":
            return bool(known < value)
    return bool(known == value)


def _look(kind: Kind, record: Record, member: str) -> Any:
    name = kind.renamed.get(member, member)
    return record.said.get(name, record.beside.get(name))


def _summary(kind: Kind, record: Record, members: Iterable[str]) -> dict[str, Any]:
    found = {name: _look(kind, record, name) for name in members}
    return {name: copy.deepcopy(value) for name, value in found.items() if value is not None}


def merged(old: Any, new: Any) -> Any:
    """Return a structure with the members of another in place of its own."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    return {**old, **{name: merged(old.get(name), value) for name, value in new.items()}}


def who(ctx: Context) -> dict[str, Any]:
    """Return the caller as CreatedBy tells it."""
    principal = ctx.principal
    return {"IamIdentity": {"Arn": principal.session_arn, "PrincipalId": principal.name}}
