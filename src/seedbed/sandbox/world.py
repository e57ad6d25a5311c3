"""The state of one sandbox: accounts, credentials, stores, clock, folder and background work."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import string
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import boto3
import botocore.session
from botocore.config import Config

from seedbed.sandbox import iam, identity
from seedbed.sandbox.identity import Principal, Session
from seedbed.sandbox.organisation import Organisation

LEASH = Path(__file__).with_name("leash.py")
CONFIG = Config(
    # Host prefixes and virtual buckets cannot work on one loopback address.
    inject_host_prefix=False,
    s3={"addressing_style": "path"},
    # Services retry a throttled hop as AWS's own do; more would hide what chaos is for.
    retries={"mode": "standard", "total_max_attempts": 3},
    read_timeout=900,
)


@dataclass(frozen=True)
class Context:
    """One request (or background task) as a service sees it."""

    world: World
    service: str
    operation: str
    account: str
    region: str
    principal: Principal
    request_id: str
    # Whose resource is addressed: the caller's account, unless an ARN names another.
    owner: str

    @property
    def is_root(self) -> bool:
        return self.principal.is_root

    @property
    def session_name(self) -> str:
        return self.principal.session_name

    def client(
        self,
        service: str,
        *,
        role_arn: str | None = None,
        account: str | None = None,
        region: str | None = None,
        as_service: str | None = None,
        source_arn: str | None = None,
        session_name: str | None = None,
    ) -> Any:
        """Return a boto3 client against this very endpoint.

        - nothing given: the caller's own credentials, passed through this service;
        - `role_arn`: that role, which `as_service` (by default this service's principal) assumes;
        - `as_service` alone: that service principal itself, for resource policies that name it;
        - `account` alone: that account's administrator, for what AWS does behind the curtain.

        Raises:
            botocore.exceptions.ClientError: The role's trust policy denies the service.
        """
        session = self._session(role_arn, account, as_service, source_arn, session_name)
        return self.world.client(service, session, region or self.region)

    def environment(
        self,
        *,
        role_arn: str | None = None,
        as_service: str | None = None,
        source_arn: str | None = None,
        session_name: str | None = None,
    ) -> dict[str, str]:
        """Return the variables with which a subprocess reaches this endpoint, as `client` would."""
        session = self._session(role_arn, None, as_service, source_arn, session_name)
        return self.world.environment(session, self.region)

    def _session(
        self,
        role_arn: str | None,
        account: str | None,
        as_service: str | None,
        source_arn: str | None,
        session_name: str | None,
    ) -> Session:
        world = self.world
        here = as_service or f"{self.service}.amazonaws.com"
        if role_arn is not None:
            actor = identity.service_principal(account or self.account, here, source_arn)
            name = session_name or self.service
            return world.assume(actor, role_arn, name, self.region, self.request_id)
        if as_service is not None:
            actor = identity.service_principal(account or self.account, here, source_arn)
            return world.session_of(actor)
        if account is not None:
            return world.session_of(identity.root(account))
        return world.session_of(self.principal.through(here))


@dataclass
class Call:
    """One request as the log keeps it."""

    time: datetime
    account: str
    principal: str
    session: str
    service: str
    operation: str
    region: str
    params: dict[str, Any]
    actions: list[dict[str, Any]] = field(default_factory=list)
    decision: str = "undecided"
    reason: str = ""
    chaos: str | None = None
    status: int = 0
    error: str | None = None
    via: tuple[str, ...] = ()
    # What IAM was asked, as it was asked: replay.py judges it again.
    requests: list[iam.Request] = field(default_factory=list, repr=False)


class Leashed(subprocess.Popen[Any]):
    """A subprocess and whatever it starts: signals go to all of them."""

    lifeline: BinaryIO  # open as long as this object lives

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.killpg(self.pid, sig)


class World:
    """Everything that a reset forgets, and what it rebuilds it from."""

    def __init__(
        self, folder: Path, organisation: Organisation | None = None, seed: int = 0
    ) -> None:
        self.organisation = organisation or Organisation.load()
        self.folder = folder
        self.seed = seed
        self.endpoint = ""
        self.calls: list[Call] = []
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self._botocore = botocore.session.Session()
        self._clear()

    def _clear(self) -> None:
        self.calls = []
        self._stores: dict[tuple[str, str, str], Any] = {}
        self._sessions: dict[str, Session] = {}
        self._by_principal: dict[Any, Session] = {}
        self._assumed: dict[Any, Session] = {}
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._threads: set[threading.Thread] = set()
        self._processes: set[Leashed] = set()
        self._random = random.Random(self.seed)  # noqa: S311 (ids, not secrets)
        self._counter = itertools.count(1)
        self._offset = timedelta()
        for account in self.organisation.accounts.values():
            session = Session(account.access_key, "sandbox", None, identity.root(account.id))
            self._sessions[session.access_key] = session
            self._by_principal[_key(session.principal)] = session

    # Accounts and regions

    @property
    def region(self) -> str:
        return self.organisation.region

    @property
    def account_ids(self) -> list[str]:
        return [account.id for account in self.organisation.accounts.values()]

    def account_id(self, name_or_id: str) -> str:
        """Return the id of an account given by name or id."""
        if name_or_id in self.organisation.accounts:
            return self.organisation.accounts[name_or_id].id
        return name_or_id

    # Clock, ids, files

    def now(self) -> datetime:
        """Return the sandbox's time, UTC: the host's, moved on by `advance`."""
        return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += timedelta(seconds=seconds)

    def uuid(self) -> str:
        with self.lock:
            return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def token(self, length: int, alphabet: str = string.ascii_lowercase + string.digits) -> str:
        """Return a random id of that length, the same in every run with the same seed."""
        with self.lock:
            return "".join(self._random.choices(alphabet, k=length))

    def path(self, *parts: str) -> Path:
        """Return a folder of the sandbox, made if need be; nothing is written outside it."""
        wanted = self.folder.joinpath(*parts)
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted

    # State of our own services

    def store(
        self, service: str, account: str, region: str, factory: Callable[[], Any] = dict
    ) -> Any:
        """Return one service's state in one account and region, made on first use."""
        with self.lock:
            key = (service, account, region)
            if key not in self._stores:
                self._stores[key] = factory()
            return self._stores[key]

    def stores(self, service: str) -> dict[tuple[str, str], Any]:
        """Return all of one service's states by (account, region)."""
        with self.lock:
            found = self._stores.items()
            return {(a, r): state for (name, a, r), state in found if name == service}

    # Credentials and clients

    def session(self, access_key: str) -> Session | None:
        return self._sessions.get(access_key)

    def session_of(self, principal: Principal) -> Session:
        """Return credentials of a principal without asking anyone: for the sandbox itself."""
        with self.lock:
            if _key(principal) not in self._by_principal:
                self._by_principal[_key(principal)] = self.grant(principal)
            return self._by_principal[_key(principal)]

    def grant(self, principal: Principal, seconds: int | None = None) -> Session:
        """Mint credentials for a principal (STS does, once the trust policy has agreed)."""
        letters = string.ascii_uppercase + string.digits
        with self.lock:
            key = "ASIA" + self.token(16, letters)
            expires = None if seconds is None else self.now() + timedelta(seconds=seconds)
            session = Session(key, self.token(40), self.token(64), principal, expires)
            self._sessions[key] = session
            return session

    def assume(
        self, actor: Principal, role_arn: str, name: str, region: str, request_id: str = ""
    ) -> Session:
        """Have `actor` assume a role through STS, as any caller must; once for one request."""
        key = (request_id, _key(actor), role_arn, name)
        session = self._assumed.get(key) if request_id else None
        if session is not None and session.expires and session.expires > self.now():
            return session
        answer = self.client("sts", self.session_of(actor), region).assume_role(
            RoleArn=role_arn, RoleSessionName=name[:64].ljust(2, "-")
        )
        session = self._sessions[answer["Credentials"]["AccessKeyId"]]
        self._assumed[key] = session
        return session

    def client(self, service: str, session: Session, region: str | None = None) -> Any:
        """Return a boto3 client with these credentials, against this endpoint."""
        key = (service, session.access_key, region or self.region)
        with self.lock:
            if key not in self._clients:
                self._clients[key] = boto3.Session(
                    aws_access_key_id=session.access_key,
                    aws_secret_access_key=session.secret_key,
                    aws_session_token=session.token,
                    region_name=region or self.region,
                    botocore_session=self._fresh(),
                ).client(service, endpoint_url=self.endpoint, config=CONFIG)
            return self._clients[key]

    def _fresh(self) -> botocore.session.Session:
        # A session of its own for the credentials, with the model cache shared: loading is slow.
        fresh = botocore.session.Session()
        fresh.register_component("data_loader", self._botocore.get_component("data_loader"))
        return fresh

    def environment(self, session: Session, region: str | None = None) -> dict[str, str]:
        """Return the variables that point any AWS client at this sandbox as that session."""
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": session.access_key,
            "AWS_SECRET_ACCESS_KEY": session.secret_key,
            "AWS_REGION": region or self.region,
            "AWS_DEFAULT_REGION": region or self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if session.token:
            variables["AWS_SESSION_TOKEN"] = session.token
        return variables

    def context(
        self,
        service: str,
        account: str,
        region: str | None = None,
        *,
        principal: Principal | None = None,
        operation: str = "",
    ) -> Context:
        """Return a context without a request: for background work and tests."""
        who = principal or identity.root(account)
        return Context(
            self, service, operation, account, region or self.region, who, self.uuid(), account
        )

    # Background work

    def spawn(self, name: str, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run `work` in a thread that a reset or shutdown joins.

        Long work asks `stopping` (or waits with `wait`) and returns when it is set. What it raises
        is a defect: it is told on standard error.
        """
        future: Future[Any] = Future()
        stopping = self.stopping

        def run() -> None:
            try:
                if not stopping.is_set():
                    future.set_result(work(*args))
                else:
                    future.cancel()
            except BaseException as error:  # noqa: BLE001 (told to whoever asks the future)
                if not stopping.is_set():
                    traceback.print_exc()
                future.set_exception(error)
            finally:
                with self.lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=f"{name}-{next(self._counter)}", daemon=True)
        with self.lock:
            self._threads.add(thread)
        thread.start()
        return future

    def wait(self, seconds: float) -> bool:
        """Sleep; return True at once when the sandbox is stopping."""
        return self.stopping.wait(seconds)

    def popen(self, command: Sequence[str], *, env: Mapping[str, str], **options: Any) -> Leashed:
        """Start a subprocess that cannot outlive the sandbox, not even after kill -9.

        `env` is the whole environment; PATH is added, and a HOME and TMPDIR below our folder.
        It runs unsandboxed on the host.
        """
        lifeline, ours = os.pipe()
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.path("home")),  # else tools would look the user's up, and write there
            "TMPDIR": str(self.path("tmp")),
            **env,
        }
        leashed = [sys.executable, "-I", "-S", str(LEASH), str(lifeline), *command]
        try:
            process = Leashed(  # its purpose is to run what it is given
                leashed, env=environment, pass_fds=(lifeline,), start_new_session=True, **options
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(lifeline)
        process.lifeline = os.fdopen(ours, "wb")
        with self.lock:
            self._processes = {one for one in self._processes if one.poll() is None} | {process}
        return process

    # Ending

    def stop(self) -> None:
        """End the background work: tell it, cut the subprocesses' lifelines, join the threads."""
        self.stopping.set()
        with self.lock:
            threads, processes = list(self._threads), list(self._processes)
        for process in processes:
            process.lifeline.close()
        for process in processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout=10)

    def reset(self) -> None:
        """Forget everything: stores, credentials, log, files."""
        self.stop()
        with self.lock:
            self.stopping = threading.Event()
            self._clear()
            for entry in self.folder.glob("*"):
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)


def _key(principal: Principal) -> Any:
    plain = replace(principal, session_tags={}, source={})
    return plain.__class__, str(plain), tuple(sorted(principal.source.items()))
