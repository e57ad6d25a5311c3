"""Parameters that moto takes and never reads: told from its handlers' source, and refused by name.

moto's handlers ask for parameters by name, or hand all of them on. A name that stands neither in
the handler nor in what it calls is not read. Names that stand there for another reason count as
read: what is refused here is lost for certain, what is not may still be.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from moto.core.responses import BaseResponse
from moto.core.utils import camelcase_to_underscores

from seedbed.sandbox import moto_hooks

# A list that comes whole, and a request that is carried out each time it is sent: docs/sandbox.md.
PAGES = re.compile(
    "nexttoken|nextmarker|marker|token|limit|page(number|size|token)?"
    "|max(results|items|records|entries|buckets|datapoints)"
)
ONCE = re.compile("(client|clientrequest|idempotency|creation)token|callerreference|sequencetoken")
LISTS = ("List", "Describe", "Get", "Search", "BatchGet", "Query", "Scan", "Filter")
# Read by the front, a check that AWS would skip, or told in any case; service or * -> names.
ELSEWHERE: Mapping[str, frozenset[str]] = {
    "*": frozenset({"returnconsumedcapacity", "returnitemcollectionmetrics"}),
    "athena": frozenset({"recursivedeleteoption"}),
    "dynamodb": frozenset({"confirmremoveselfresourceaccess", "consistentread"}),
    "ecr": frozenset({"acceptedmediatypes", "force", "registryid"}),
    "events": frozenset({"force"}),
    "glue": frozenset({"catalogid"}),
    "iam": frozenset({"accountalias"}),
    "kms": frozenset({"bypasspolicylockoutsafetycheck", "granttokens"}),
    "lambda": frozenset({"revisionid"}),
    "ram": frozenset({"tags"}),  # moto_hooks keeps them
    "sns": frozenset({"returnsubscriptionarn"}),
    "sqs": frozenset({"queueowneraccountid", "queueownerawsaccountid"}),
}
# Read as the raw body, or as headers by patterns; services/s3.py judges S3.
UNJUDGED = frozenset({"lambda:AddPermission", "s3:*"})
# What AWS takes too where nothing is said: service -> name -> value.
DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "dynamodb": {"tableclass": "STANDARD"},
    "kms": {
        "destinationencryptionalgorithm": "SYMMETRIC_DEFAULT",
        "encryptionalgorithm": "SYMMETRIC_DEFAULT",
        "sourceencryptionalgorithm": "SYMMETRIC_DEFAULT",
    },
    "lambda": {"qualifier": "$LATEST"},
    "logs": {"distribution": "ByLogStream", "loggroupclass": "STANDARD"},
}
# How a handler hands all parameters on.
WHOLE = frozenset(
    {"_get_params", "body", "data", "json_body", "params", "querystring", "request_params"}
)


def unread(service: str, operation: Any, params: Mapping[str, Any]) -> list[str]:
    """Return the given parameters that moto's handler of an operation does not read.

    What is false or empty is taken as not given.
    """
    name = str(operation.name)
    defaults = DEFAULTS.get(service, {})
    suspects = [
        one
        for one, value in params.items()
        if value not in (False, None, "", [], {}, defaults.get(_plain(one)))
        and not _elsewhere(service, name, one)
    ]
    if not suspects or {f"{service}:*", f"{service}:{name}"} & UNJUDGED:
        return []
    words = _words(service, name)
    if words is None or operation.input_shape is None:
        return []
    members = operation.input_shape.members
    return [one for one in suspects if not _is_read(one, members[one], words)]


def _is_read(name: str, shape: Any, words: frozenset[str]) -> bool:
    where = shape.serialization
    if where.get("location") == "uri":
        return True  # moto takes the path apart by patterns of its own
    said = {name, where.get("name", name)}
    if shape.type_name == "list":
        said.add(shape.member.serialization.get("name", name))
    return any(_plain(one) in words for one in said)


def _elsewhere(service: str, operation: str, name: str) -> bool:
    plain = _plain(name)
    if plain in ELSEWHERE["*"] or plain in ELSEWHERE.get(service, ()):
        return True
    return bool(ONCE.fullmatch(plain) or (operation.startswith(LISTS) and PAGES.fullmatch(plain)))


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


@cache
def _words(service: str, operation: str) -> frozenset[str] | None:
    """Return every name that moto's handler of an operation knows; None if it has none."""
    package = moto_hooks.package(service)
    name = camelcase_to_underscores(operation)
    owners = [one for one in _responses(package) if callable(getattr(one, name, None))]
    if len(owners) != 1:
        return None
    reader = _Reader(package, owners[0])
    reader.method(name)
    return frozenset(reader.words)


def _modules(package: str) -> Iterator[ModuleType]:
    """Yield a service's own modules; below packages only the models, for parsers are large."""
    top = importlib.import_module(f"moto.{package}")
    for found in pkgutil.iter_modules(top.__path__, f"moto.{package}."):
        module = importlib.import_module(found.name)
        yield module
        if found.name.endswith((".models", "._models")) and found.ispkg:
            for one in pkgutil.iter_modules(module.__path__, f"{found.name}."):
                yield importlib.import_module(one.name)


@cache
def _responses(package: str) -> tuple[type, ...]:
    module = importlib.import_module(f"moto.{package}.responses")
    found = [one for one in vars(module).values() if inspect.isclass(one)]
    ours = [
        one for one in found if issubclass(one, BaseResponse) and one.__module__ == module.__name__
    ]
    return tuple(ours)


@cache
def _callables(package: str) -> Mapping[str, tuple[Any, ...]]:
    """Return every function, method and class of a service's package, by name."""
    found: dict[str, tuple[Any, ...]] = {}
    for module in _modules(package):
        for name, one in vars(module).items():
            if not str(getattr(one, "__module__", "")).startswith(f"moto.{package}"):
                continue
            found[name] = (*found.get(name, ()), one)
            for inner, method in vars(one).items() if inspect.isclass(one) else ():
                if inspect.isfunction(method):
                    found[inner] = (*found.get(inner, ()), method)
    return found


@cache
def _tree(function: Any) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return None


class _Reader:
    """Collects the names that a handler and what it calls know."""

    def __init__(self, package: str, owner: type) -> None:
        self.words: set[str] = set()
        self._package = package
        self._owner = owner
        self._seen: set[Any] = set()
        self._everything = False

    def method(self, name: str) -> None:
        """Read a method of the response class, and once it hands all on, what it calls."""
        found = inspect.getattr_static(self._owner, name, None)
        found = getattr(found, "fget", None) or getattr(found, "__func__", found)
        if inspect.isfunction(found) and found.__module__ != BaseResponse.__module__:
            self._function(found, inside=True)

    def _function(self, function: Any, *, inside: bool) -> None:
        function = inspect.unwrap(function)
        tree = _tree(function)
        if function in self._seen or tree is None:
            return
        self._seen.add(function)
        called: set[str] = set()
        for node in ast.walk(tree):
            self._learn(node)
            if isinstance(node, ast.Call):
                called.add(getattr(node.func, "attr", getattr(node.func, "id", "")))
            if isinstance(node, ast.Attribute) and inside and _is_self(node.value):
                self._everything |= node.attr in WHOLE
                self.method(node.attr)
        if self._everything:
            for name in called:
                for one in _callables(self._package).get(name, ()):
                    self._function(one.__init__ if inspect.isclass(one) else one, inside=False)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.words |= {_plain(part) for part in re.split(r"[.\[\]/?&= ]", node.value)}
        elif isinstance(node, ast.arg):
            self.words.add(_plain(node.arg))


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
