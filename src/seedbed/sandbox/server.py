"""The one HTTP front: who calls what, then chaos, IAM, our service or moto, and the log."""

from __future__ import annotations

import io
import socket
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from moto.core.request import Request
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from seedbed.sandbox import (
    admin,
    chaos,
    deliveries,
    gaps,
    kept,
    moto_hooks,
    moto_state,
    policies,
    principals,
    protocol,
    validation,
)
from seedbed.sandbox.authorizer import Authorizer
from seedbed.sandbox.gate import Gate
from seedbed.sandbox.identity import Principal
from seedbed.sandbox.protocol import Operation, Reply
from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services import Registry, is_refused
from seedbed.sandbox.world import Call, Context, World

ADMIN = "/_sandbox/"
PATIENCE = 10  # seconds that a reset waits for requests under way
FAILED = 400
MISSING = 404


class Front:
    """The WSGI application."""

    def __init__(self, world: World, shutdown: Callable[[], None] = lambda: None) -> None:
        self.world = world
        self.shutdown = shutdown
        self.services = Registry(world)
        self.authorizer = Authorizer(world, self.services)
        self.chaos = chaos.Chaos()
        self.gate = Gate()
        self._moto = DomainDispatcherApplication(create_backend_app)
        moto_hooks.reset(world)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        service = self.services.at(path)
        if service is None and path.startswith(ADMIN):
            _buffer(environ)
            body = environ["wsgi.input"].read()
            reply = admin.answer(self, environ["REQUEST_METHOD"], path[len(ADMIN) :], body)
            return _send(reply, start_response)
        with self.gate.passing() as is_open:
            if not is_open:
                error = ServiceError("ServiceUnavailable", "the sandbox is being reset", 503)
                return _send(protocol.unrouted(error), start_response)
            if service is not None:
                return service.serve(environ, start_response)
            _buffer(environ)
            return _send(self._answer(environ), start_response)

    def reset(self) -> None:
        self.world.stop()
        with self.gate.closed(PATIENCE):
            self.world.reset()
            self.services.forget()
            self.chaos = chaos.Chaos()
            moto_hooks.reset(self.world)

    def _answer(self, environ: dict[str, Any]) -> Reply:
        request = Request(environ)
        signed = protocol.signature(request)
        if signed is None or signed.service is None:
            error = ServiceError("MissingAuthenticationToken", "the request is not signed", 403)
            return protocol.unrouted(error)
        operation = protocol.route(request, signed.service)
        request_id = self.world.uuid()
        if operation is None:
            what = f"{signed.service}: {request.method} {request.path}"
            return protocol.unrouted(unsupported(f"a request that no service's model has, {what}"))
        try:
            principal = self._principal(signed)
        except ServiceError as error:
            return protocol.failure(operation, error, request_id)
        ctx = Context(
            self.world,
            operation.service,
            operation.name,
            principal.account,
            signed.region or self.world.region,
            principal,
            request_id,
            principal.account,
        )
        if principal.kind == "sandbox":
            return self._guarded(ctx, operation, lambda: self._forward(ctx, operation, environ))
        return self._logged(ctx, operation, environ)

    def _logged(self, ctx: Context, operation: Operation, environ: dict[str, Any]) -> Reply:
        who = ctx.principal
        call = Call(
            time=self.world.now(),
            account=who.account,
            principal=who.arn,
            session=who.session_arn,
            service=operation.service,
            operation=operation.name,
            region=ctx.region,
            params=protocol.summary(operation.params),
            via=who.via,
        )
        self.world.calls.append(call)
        return self._guarded(
            ctx, operation, lambda: self._judged(ctx, operation, environ, call), call
        )

    def _guarded(
        self,
        ctx: Context,
        operation: Operation,
        work: Callable[[], Reply],
        call: Call | None = None,
    ) -> Reply:
        """Turn whatever goes wrong into the service's own wire format."""
        try:
            reply, error = work(), None
        except ServiceError as failed:
            reply, error = protocol.failure(operation, failed, ctx.request_id), failed.code
        except ConnectionError:
            if call is not None:
                call.error = "ConnectionClosed"
            raise
        except Exception as defect:  # noqa: BLE001 (a defect of ours or moto's is told, not hidden)
            traceback.print_exc()
            message = f"{operation.full_name}: {type(defect).__name__}: {defect}"
            told = ServiceError("SandboxDefect", message, 501)
            reply, error = protocol.failure(operation, told, ctx.request_id), told.code
        if call is not None:
            call.status = reply.status
            call.error = error or reply.headers.get("x-amzn-errortype")
        return reply

    def _judged(
        self, ctx: Context, operation: Operation, environ: dict[str, Any], call: Call
    ) -> Reply:
        struck = self.chaos.strike(operation.full_name, ctx.principal)
        if struck is not None:
            call.chaos = struck.kind
            if struck.kind == "timeout":
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                raise ConnectionAbortedError("chaos: timeout")
            if struck.kind in {"throttle", "fail"}:
                raise chaos.error(struck, operation.service, operation.protocol)
        validation.check(operation, environ["wsgi.input"].getvalue())
        owner = self.authorizer.authorize(ctx.principal, operation, ctx.region, call)
        ctx = replace(ctx, owner=owner)
        reply = self._carried_out(ctx, operation, environ, call)
        if struck is not None and struck.kind == "twice":
            self._guarded(ctx, operation, lambda: self._carried_out(ctx, operation, environ, call))
        if struck is not None and struck.kind == "after":
            raise chaos.error(struck, operation.service, operation.protocol)
        return reply

    def _principal(self, signed: protocol.Signature) -> Principal:
        session = self.world.session(signed.access_key)
        if session is None:
            user = moto_state.user_of_key(signed.access_key)
            if user is not None:
                return Principal(user.account_id, user.arn, "user")
        if session is None or session.token != signed.token:
            message = "The security token included in the request is invalid."
            raise ServiceError("InvalidClientTokenId", message, 403)
        if session.expires is not None and session.expires < self.world.now():
            message = "The security token included in the request is expired"
            raise ServiceError("ExpiredTokenException", message, 403)
        return session.principal

    def _carried_out(
        self, ctx: Context, operation: Operation, environ: dict[str, Any], call: Call
    ) -> Reply:
        policies.check(self.world, operation)
        ours = self.services.get(operation.service)
        if ours is not None and ours.has(operation.name):
            value = ours.call(ctx, operation.name, operation.params)
            return protocol.result(operation, value, ctx.request_id)
        moto_hooks.prepare(operation.service, ctx.owner, operation.params)
        if is_refused(operation.service, operation.name):
            raise unsupported(operation.full_name)
        if ours is not None:
            ours.amend(ctx, operation.name, operation.params, environ)
        leaving = principals.deleted_by(operation, ctx.owner)
        reply = self._forward(ctx, operation, environ)
        if leaving is not None and reply.status < FAILED:
            principals.outlive(*leaving)
        if reply.status == MISSING and operation.full_name in {"s3:GetObject", "s3:HeadObject"}:
            self.authorizer.authorize_absence(ctx.principal, operation, ctx.region, call)
        return reply

    def _forward(self, ctx: Context, operation: Operation, environ: dict[str, Any]) -> Reply:
        """Let moto answer, as the account that owns the resource."""
        missing = unsupported(operation.full_name)
        if not moto_hooks.has_service(operation.service):
            raise missing
        lost = gaps.unread(operation.service, operation.model, operation.params)
        for name in lost:
            if not kept.can_keep(operation, name):
                raise unsupported(f"the parameter {name} of {operation.full_name}")
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = ctx.owner
        environ["wsgi.input"].seek(0)
        asking = deliveries.ASKING.set(ctx)
        try:
            code, headers, body = _run(self._moto, environ)
        except NotImplementedError as error:
            raise missing from error
        finally:
            deliveries.ASKING.reset(asking)
        if code >= FAILED and body.lstrip()[:9].lower() == b"<!doctype":
            raise missing  # Flask's own page: moto has no such path
        if operation.model.http.get("method") != "HEAD":
            headers.pop("content-length", None)  # told anew from the body
        asked = environ["wsgi.input"].getvalue()
        return kept.carry(ctx, operation, asked, lost, Reply(code, headers, body))


def _send(reply: Reply, start_response: Callable[..., Any]) -> list[bytes]:
    headers = {"content-length": str(len(reply.body)), **reply.headers}
    status = f"{reply.status} {'OK' if reply.status < FAILED else 'Error'}"
    start_response(status, list(headers.items()))
    return [reply.body]


def _run(app: Any, environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Call a WSGI application; header names come back in lower case."""
    said: list[tuple[str, dict[str, str]]] = []

    def start(status: str, headers: list[tuple[str, str]], _: object = None) -> Callable[..., Any]:
        said.append((status, {name.lower(): value for name, value in headers}))
        return list  # the old way to write; nobody takes it

    chunks = app(environ, start)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    status, headers = said[-1]
    return int(status.split(" ", 1)[0]), headers, body


def _buffer(environ: dict[str, Any]) -> None:
    """Hold the body in memory: routing, IAM and the answer all read it."""
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    if length:
        body = stream.read(int(length))
    else:
        body = stream.read() if environ.get("wsgi.input_terminated") else b""
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["wsgi.input"] = io.BytesIO(body)


class Handler(MotoRequestHandler):
    """No access log: the call log tells more."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 (werkzeug's name)
        pass


class Server:
    """A world behind a port of the loopback address."""

    def __init__(
        self, world: World, port: int = 0, shutdown: Callable[[], None] = lambda: None
    ) -> None:
        self.world = world
        self.front = Front(world, shutdown)
        self._http: BaseWSGIServer = make_server(
            "127.0.0.1", port, self.front, threaded=True, request_handler=Handler
        )
        world.endpoint = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def start(self) -> Server:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._http.shutdown()
        self.world.stop()
        self._http.server_close()
