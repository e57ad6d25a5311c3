"""What all operations of Service Catalog share: finding, refusing, repeating."""

from __future__ import annotations

import copy
import functools
import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, cast

from seedbed.sandbox import protocol
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.services.servicecatalog.access import Access
from seedbed.sandbox.services.servicecatalog.records import Catalog, Portfolio, Product
from seedbed.sandbox.world import Context, World

TOKENS = ("IdempotencyToken", "ProvisionToken", "UpdateToken", "TerminateToken")

F = TypeVar("F", bound=Callable[..., Any])


def atomic(method: F) -> F:
    """Run a method under the service's lock: it must not call a client."""

    @functools.wraps(method)
    def locked(self: Base, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return method(self, *args, **kwargs)

    return cast("F", locked)


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParametersException", message)


def missing(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message)


def in_use(message: str) -> ServiceError:
    return ServiceError("ResourceInUseException", message)


def too_many(message: str) -> ServiceError:
    return ServiceError("LimitExceededException", message)


def tags_of(given: list[dict[str, str]] | None) -> dict[str, str]:
    """Return a list of tags as a mapping.

    Raises:
        ServiceError: A key is given twice.
    """
    found = {tag["Key"]: tag["Value"] for tag in given or []}
    if len(found) < len(given or []):
        raise invalid("Duplicate tag keys are not allowed.")
    return found


def listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


class Base(Access, Service):
    """Catalogues of all accounts and regions; moto's are never asked."""

    name: ClassVar[str] = "servicecatalog"
    store = Catalog

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._repeats: dict[Any, threading.Lock] = {}

    def has(self, operation: str) -> bool:
        """Claim every operation: moto's Service Catalog would split the state."""
        del operation
        return True

    def call(self, ctx: Context, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if not Service.has(self, operation):
            raise unsupported(f"servicecatalog:{operation}")
        given = self._checked(operation, params)
        name = next((one for one in TOKENS if one in given), None)
        if name is None:
            return super().call(ctx, operation, given)
        key = (operation, given[name])
        with self.lock:
            turn = self._repeats.setdefault((ctx.account, ctx.region, key), threading.Lock())
        with turn:  # two requests with one token take effect once
            known = self.catalog(ctx).tokens.get(key)
            if known is not None:
                return self._repeated(ctx, given, known)
            answer = super().call(ctx, operation, given)
            with self.lock:
                self.catalog(ctx).tokens[key] = (given, copy.deepcopy(answer))
            return answer

    def _repeated(
        self, ctx: Context, given: dict[str, Any], known: tuple[dict[str, Any], dict[str, Any]]
    ) -> dict[str, Any]:
        if given != known[0]:
            raise invalid("The idempotency token was used with other parameters.")
        answer = copy.deepcopy(known[1])
        if "RecordDetail" in answer:
            with self.lock:
                record = self.catalog(ctx).records[answer["RecordDetail"]["RecordId"]]
                answer["RecordDetail"] = record.wire()
        return answer

    def forget(self, ctx: Context, resource_id: str) -> None:
        """Let the tokens that made a resource make another: it is gone."""
        tokens = self.catalog(ctx).tokens
        for key in [key for key, (_, said) in tokens.items() if resource_id in str(said)]:
            del tokens[key]

    def _checked(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that matter, checked against the model's constraints.

        Raises:
            ServiceError: One breaks its constraint, or asks for a second page.
        """
        given = dict(params)
        model = protocol.model("servicecatalog")
        shape = model.operation_model(operation).input_shape if model else None
        if shape is not None:
            _check(given, shape, "")
        if given.pop("AcceptLanguage", "en") not in {"en", "jp", "zh"}:
            raise invalid("Unsupported language code; use en, jp or zh.")
        given.pop("PageSize", None)
        if given.pop("PageToken", None):
            raise invalid("Invalid page token: every list is one page.")
        return given

    # Finding

    def catalog(self, ctx: Context) -> Catalog:
        """Return the catalogue of the caller's account and region."""
        found: Catalog = self.world.store(self.name, ctx.account, ctx.region, Catalog)
        return found

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{self.world.token(13)}"

    def own_portfolio(self, ctx: Context, portfolio_id: str) -> Portfolio:
        """Return a portfolio of the caller's own account.

        Raises:
            ServiceError: There is none, or it is another account's.
        """
        found = self.catalog(ctx).portfolios.get(portfolio_id)
        if found is None:
            raise missing(f"Portfolio {portfolio_id} not found.")
        return found

    def portfolio(self, ctx: Context, portfolio_id: str) -> Portfolio:
        """Return a portfolio that the account has, its own or an imported one."""
        found = self.portfolios_of(ctx.account, ctx.region).get(portfolio_id)
        if found is None:
            raise missing(f"Portfolio {portfolio_id} not found.")
        return found

    def own_product(self, ctx: Context, product_id: str) -> Product:
        found = self.catalog(ctx).products.get(product_id)
        if found is None:
            raise missing(f"Product {product_id} not found.")
        return found

    def product(self, ctx: Context, product_id: str | None, name: str | None = None) -> Product:
        """Return a product that the account has, by id or by name.

        Raises:
            ServiceError: There is none, or several of that name.
        """
        return chosen(self.products_of(ctx.account, ctx.region), product_id, name, "product")

    # What the IAM evaluator asks

    def resource_tags(self, arn: str) -> Mapping[str, str] | None:
        """Return the tags of a portfolio or product, whatever account its ARN names."""
        found = re.fullmatch(r"arn:aws:catalog:([^:]*):\d*:(portfolio|product)/(.+)", arn)
        if found is None:
            return {}
        for (_, region), catalog in self.world.stores(self.name).items():
            if region == found[1]:
                held = catalog.portfolios if found[2] == "portfolio" else catalog.products
                if found[3] in held:
                    return dict(held[found[3]].tags)
        return {}


T = TypeVar("T", bound=Any)


def chosen(known: Mapping[str, T], one_id: str | None, name: str | None, noun: str) -> T:
    """Return what is meant by an id or by a name: one of them must be given.

    Raises:
        ServiceError: Neither or both are given, or it names none or several.
    """
    if (one_id is None) == (name is None):
        raise invalid(f"Provide the {noun} id or the {noun} name, but not both.")
    if one_id is not None:
        found = [known[one_id]] if one_id in known else []
    else:
        found = [one for one in known.values() if one.name == name]
    if len(found) > 1:
        raise invalid(f"More than one {noun} is named {name}: provide its id.")
    if not found:
        raise missing(f"The {noun} {one_id or name} was not found.")
    return found[0]


def parsed(text: str, what: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ServiceError: It is none.
    """
    try:
        said = json.loads(text)
    except ValueError as error:
        raise invalid(f"{what} is not valid JSON: {error}") from error
    if not isinstance(said, dict):
        raise invalid(f"{what} must be a JSON object.")
    return said


def _check(value: Any, shape: Any, where: str) -> None:
    """Hold a request to the model: enumerations, patterns and lengths, which clients do not."""
    match shape.type_name:
        case "structure":
            for name, one in value.items():
                _check(one, shape.members[name], f"{where}.{name}" if where else name)
        case "list":
            most = shape.metadata.get("max", len(value))
            if len(value) > most:
                raise _violation(len(value), where, f"have at most {most} members")
            for one in value:
                _check(one, shape.member, where)
        case "map":
            for one in value.values():
                _check(one, shape.value, where)
        case "string":
            _check_text(value, shape, where)


def _check_text(value: str, shape: Any, where: str) -> None:
    limits = shape.metadata
    rules = []
    if (allowed := limits.get("enum")) and value not in allowed:
        rules.append(f"satisfy enum value set: [{', '.join(allowed)}]")
    if not limits.get("min", 0) <= len(value) <= limits.get("max", len(value)):
        rules.append(f"have length between {limits.get('min', 0)} and {limits.get('max')}")
    pattern = limits.get("pattern")
    if pattern and "\\p{" not in pattern and not re.fullmatch(pattern, value):
        rules.append(f"satisfy regular expression pattern: {pattern}")
    if rules:
        raise _violation(value, where, rules[0])


def _violation(value: object, where: str, rule: str) -> ServiceError:
    message = (
        f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy "
        f"constraint: Member must {rule}"
    )
    return ServiceError("ValidationException", message)
