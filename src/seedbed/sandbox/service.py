"""What a service of ours is: one class, one method per operation."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from botocore import xform_name
from botocore.exceptions import ClientError

from seedbed.sandbox import identity
from seedbed.sandbox.identity import Principal
from seedbed.sandbox.world import Context, World


class ServiceError(Exception):
    """An error on the wire: `code` as in the service's model, whose HTTP status is the default.

    `members` are further members of the error's shape.
    """

    def __init__(self, code: str, message: str, status: int | None = None, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        for name, value in members.items():
            setattr(self, name, value)


def unsupported(what: str) -> ServiceError:
    """Return the refusal of something that the sandbox does not emulate; `what` names it."""
    return ServiceError("NotImplementedInSandbox", f"the sandbox does not emulate {what}", 501)


class Service:
    """A service in front of moto: an operation that has no method here falls through to moto.

    `create_portfolio(self, ctx, **params)` serves CreatePortfolio: params have the API's member
    names, timestamps are aware datetimes, blobs are bytes; the returned dict has the API's output
    members (a member that the model lacks is an error). Methods run concurrently: guard state
    with `self.lock`, and never hold it while calling a client.
    """

    name: ClassVar[str]
    store: ClassVar[type] = dict

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.RLock()

    def has(self, operation: str) -> bool:
        """Tell whether this class serves the operation (the API's name: CreatePortfolio)."""
        name = xform_name(operation)
        return not hasattr(Service, name) and callable(getattr(self, name, None))

    def call(self, ctx: Context, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Serve one request.

        Raises:
            ServiceError: The method's own; an unsupported or missing parameter; an error of
                another service that the method called and did not handle.
        """
        method = getattr(self, xform_name(operation))
        _check_parameters(method, f"{self.name}:{operation}", params)
        try:
            return method(ctx, **params) or {}
        except ClientError as error:
            said = error.response["Error"]
            status = error.response["ResponseMetadata"].get("HTTPStatusCode")
            raise ServiceError(said["Code"], said["Message"], status) from error

    def forward(self, ctx: Context, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have moto answer an operation of this service, as the account that owns the resource."""
        session = self.world.session_of(identity.sandbox(ctx.owner))
        client = self.world.client(self.name, session, ctx.region)
        answer: dict[str, Any] = getattr(client, xform_name(operation))(**params)
        answer.pop("ResponseMetadata", None)
        return answer

    def amend(
        self, ctx: Context, operation: str, params: Mapping[str, Any], environ: dict[str, Any]
    ) -> None:
        """Change a request on its way to moto: its WSGI environment."""

    def state(self, ctx: Context) -> Any:
        """Return the store of the account that owns what the request addresses, in its region."""
        return self.world.store(self.name, ctx.owner, ctx.region, self.store)

    # What the IAM evaluator asks about resources that live here

    def resource_policy(self, arn: str) -> Mapping[str, Any] | None:
        """Return the policy attached to a resource, or None if it has none (or is not here)."""
        del arn
        return None

    def resource_tags(self, arn: str) -> Mapping[str, str] | None:
        """Return a resource's tags for aws:ResourceTag, or None if it is not here."""
        del arn
        return None

    def request_context(
        self, principal: Principal, region: str, operation: str, params: Mapping[str, Any]
    ) -> Mapping[str, str]:
        """Return the condition keys of this service that only its state tells of a request."""
        del principal, region, operation, params
        return {}

    # Plain HTTP below a path prefix that services/__init__.py lists: git, callbacks

    def serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer an HTTP request that is no AWS call."""
        del environ, start_response
        raise NotImplementedError


def _check_parameters(method: Callable[..., Any], name: str, params: Mapping[str, Any]) -> None:
    accepted = inspect.signature(method).parameters.values()
    if not any(one.kind is one.VAR_KEYWORD for one in accepted):
        for unknown in sorted(set(params) - {one.name for one in accepted}):
            raise unsupported(f"the parameter {unknown} of {name}")
    for one in list(accepted)[1:]:
        plain = one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}
        if plain and one.default is one.empty and one.name not in params:
            raise ServiceError("ValidationException", f"{name}: {one.name} is missing", 400)
