"""Git's smart HTTP protocol before bare repositories, and what makes git speak it to us."""

from __future__ import annotations

import base64
import gzip
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

from seedbed.sandbox import moto_state
from seedbed.sandbox.identity import Principal
from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.git import store
from seedbed.sandbox.services.git.store import Change
from seedbed.sandbox.world import Leashed, World

SHIM = Path(__file__).parents[2] / "shims" / "aws.py"
RECEIVE = "git-receive-pack"
ENDINGS = ("/info/refs", "/git-upload-pack", f"/{RECEIVE}")
CHUNK = 1 << 16
SERVICES = ("git-codecommit", "codeconnections", "codestar-connections")

# Judges a request and finds its repository: principal, path, "is it a push", the refs it changes.
Find = Callable[[Principal, str, bool, tuple[str, ...]], Path]
Pushed = Callable[[Principal, str, list[Change]], None]


def serve(
    world: World,
    environ: dict[str, Any],
    start_response: Callable[..., Any],
    find: Find,
    pushed: Pushed,
) -> Iterable[bytes]:
    """Answer one request of a git client, once its caller may make it."""
    path = environ["PATH_INFO"]
    ending = next((one for one in ENDINGS if path.endswith(one)), None)
    query = parse_qs(environ.get("QUERY_STRING", ""))
    asked = query.get("service", [""])[0] if ending == "/info/refs" else (ending or "/")[1:]
    if ending is None or asked not in {"git-upload-pack", RECEIVE}:
        return _plain(start_response, "404 Not Found", "only git's smart HTTP protocol is served")
    repository = path[: -len(ending)].removesuffix(".git")
    write = asked == RECEIVE
    try:
        principal = caller(world, environ.get("HTTP_AUTHORIZATION", ""))
        body = _body(world, environ)
        changing = _refs(body) if ending == f"/{RECEIVE}" else ()
        body.seek(0)
        folder = find(principal, repository, write, changing)
    except ServiceError as error:
        return _refused(start_response, error)
    if ending == f"/{RECEIVE}":
        with store.changing(world, folder) as changes:
            process, status, headers = _backend(world, environ, folder, ending, body)
            answer = b"".join(_rest(process))
        if changes:
            pushed(principal, repository, changes)
        start_response(status, headers)
        return [answer]
    process, status, headers = _backend(world, environ, folder, ending, body)
    start_response(status, headers)
    return _rest(process)


def caller(world: World, authorization: str) -> Principal:
    """Return who makes a request: the user name is an access key id [% session token].

    Raises:
        ServiceError: 401 without credentials, 403 with unknown or expired ones.
    """
    kind, _, packed = authorization.partition(" ")
    if kind.lower() != "basic":
        raise ServiceError("Unauthorized", "credentials are needed", 401)
    try:
        name = base64.b64decode(packed).decode().rpartition(":")[0]
    except ValueError:
        raise ServiceError("Unauthorized", "the credentials cannot be read", 401) from None
    key, _, token = name.partition("%")
    session = world.session(key)
    if session is None:
        user = moto_state.user_of_key(key)
        if user is not None:
            return Principal(user.account_id, user.arn, "user")
    if session is None or (session.token or "") != token:
        raise ServiceError("InvalidClientTokenId", "the security token is invalid", 403)
    if session.expires is not None and session.expires < world.now():
        raise ServiceError("ExpiredTokenException", "the security token is expired", 403)
    return session.principal


def _body(world: World, environ: Mapping[str, Any]) -> IO[bytes]:
    """Return the request's body as a file, which a subprocess can read."""
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    left = int(length) if length else None
    if left is None and not environ.get("wsgi.input_terminated"):
        left = 0
    body = tempfile.TemporaryFile(dir=world.path("tmp"))  # noqa: SIM115 (closed with the process)
    while left is None or left > 0:
        chunk = stream.read(CHUNK if left is None else min(CHUNK, left))
        if not chunk:
            break
        body.write(chunk)
        left = None if left is None else left - len(chunk)
    if environ.get("HTTP_CONTENT_ENCODING") in {"gzip", "x-gzip"}:
        body.seek(0)
        plain = gzip.decompress(body.read())
        body.seek(0)
        body.truncate()
        body.write(plain)
    body.seek(0)
    return body


def _refs(body: IO[bytes]) -> tuple[str, ...]:
    """Return the refs that a push wants to change: its pkt-lines up to the flush."""
    found = []
    while (size := body.read(4)) not in {b"", b"0000"}:
        line = body.read(int(size, 16) - 4).partition(b"\0")[0].decode().strip()
        parts = line.split(" ", 2)
        if len(parts) == 3:  # noqa: PLR2004 (old, new, ref)
            found.append(parts[2])
    return tuple(found)


def _backend(
    world: World, environ: Mapping[str, Any], folder: Path, ending: str, body: IO[bytes]
) -> tuple[Leashed, str, list[tuple[str, str]]]:
    """Start `git http-backend` and return it with the head of its answer read."""
    size = os.fstat(body.fileno()).st_size
    said = {
        "CONTENT_LENGTH": str(size),
        "CONTENT_TYPE": environ.get("CONTENT_TYPE", ""),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROJECT_ROOT": str(folder.parent),
        "GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", ""),
        "PATH_INFO": f"/{folder.name}{ending}",
        "QUERY_STRING": environ.get("QUERY_STRING", ""),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_USER": "sandbox",
        "REQUEST_METHOD": environ["REQUEST_METHOD"],
    }
    process = world.popen(
        ["git", "http-backend"],
        env={**store.ENVIRONMENT, **said},
        stdin=body,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    body.close()
    status, headers = "200 OK", []
    while line := process.stdout.readline().decode().strip():  # type: ignore[union-attr]
        name, _, value = line.partition(": ")
        if name == "Status":
            status = value
        else:
            headers.append((name, value))
    return process, status, headers


def _rest(process: Leashed) -> Iterator[bytes]:
    try:
        while chunk := process.stdout.read(CHUNK):  # type: ignore[union-attr]
            yield chunk
    finally:
        process.kill()  # it has ended, unless the client has gone
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def _plain(start_response: Callable[..., Any], status: str, text: str) -> list[bytes]:
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    if status.startswith("401"):
        headers.append(("WWW-Authenticate", 'Basic realm="sandbox"'))
    start_response(status, headers)
    return [body]


def _refused(start_response: Callable[..., Any], error: ServiceError) -> list[bytes]:
    words = {401: "401 Unauthorized", 404: "404 Not Found", 501: "501 Not Implemented"}
    status = words.get(error.status or 403, "403 Forbidden")
    return _plain(start_response, status, f"{error.code}: {error.message}")


# What a subprocess needs


def git_environment(
    world: World, session_environment: Mapping[str, str], *, credential_helper: bool = True
) -> dict[str, str]:
    """Return an environment in which git, and our shim of `aws`, reach this sandbox.

    `session_environment` is what `ctx.environment` returns. URLs of CodeCommit and of connections
    in AWS lead here. `credential_helper=False` leaves out the helper, as CodeBuild does unless
    the buildspec asks for it.
    """
    here = world.endpoint
    settings = [
        (f"url.{here}/_git/{service}/.insteadOf", f"https://{service}.") for service in SERVICES
    ]
    if credential_helper:
        # By its path: another `aws` may come first on the PATH of who calls git.
        helper = f"!{shlex.quote(str(shims(world) / 'aws'))} codecommit credential-helper $@"
        settings += [(f"credential.{here}.helper", said) for said in ("", helper)]
        settings.append((f"credential.{here}.useHttpPath", "true"))
    said = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_TERMINAL_PROMPT": "0"}
    for number, (key, value) in enumerate(settings):
        said |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    path = session_environment.get("PATH") or os.environ.get("PATH", os.defpath)
    return {**session_environment, **said, "PATH": f"{shims(world)}{os.pathsep}{path}"}


def shims(world: World) -> Path:
    """Return the folder, for PATH, of stand-ins for tools that a laptop may lack."""
    folder = world.path("shims")
    script = folder / "aws"
    with world.lock:
        if not script.exists():
            words = shlex.join([sys.executable, "-I", str(SHIM)])
            script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            script.chmod(0o755)
    return folder
