"""The rows of the table of types: which calls make, change and remove a resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Extra:
    """A call for some of a type's properties, made beside the main one."""

    properties: tuple[str, ...]
    operation: str
    members: Mapping[str, str] = field(default_factory=dict)  # property -> API member
    remove: str = ""  # the call when none of the properties is given any more
    later: bool = False  # the create call takes the properties: this is for updates alone
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A row of the table.

    Values in `ident`, `ref` and `attributes` are names that `Resource.get` looks up, or
    `=text with {names}` to format.
    """

    create: str
    delete: str
    update: str = ""
    read: str = ""
    ref: str = ""
    name: str = ""  # the property that gets a generated name
    limit: int = 64
    lower: bool = False
    body: str = ""  # the structure of the request that holds the properties
    rest: str = ""  # the map that takes the properties without a member of their own
    rename: Mapping[str, str] = field(default_factory=dict)  # property -> member, dots for depth
    update_rename: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)  # properties, where not given
    ident: Mapping[str, str] = field(default_factory=dict)  # API member -> value
    attributes: Mapping[str, str] = field(default_factory=dict)  # attribute -> jmespath or =text
    extras: tuple[Extra, ...] = ()
    resets: Mapping[str, Any] = field(default_factory=dict)  # value of a property taken away
    ignored: tuple[str, ...] = ()  # properties that steer CloudFormation itself
    tag: str = ""  # call that sets tags after creation, and its opposite
    untag: str = ""
    tags_property: str = "Tags"
    creates_tags: bool = True  # the create call takes the tags
    keep: Mapping[str, str] = field(default_factory=dict)  # further attributes: jmespath
    status: str = ""  # jmespath of the state that a creation waits for
    read_fixed: Mapping[str, Any] = field(default_factory=dict)
    update_fixed: Mapping[str, Any] = field(default_factory=dict)
    delete_fixed: Mapping[str, Any] = field(default_factory=dict)
    update_only: tuple[str, ...] = ()  # properties that say how to update
