"""CodeConnections under both of its names, and the git host behind its connections.

The repositories "at GitHub" are bare repositories in the sandbox's folder; a connection that is
AVAILABLE reaches all of them. Both names share one store; an ARN keeps the name it was made with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from seedbed.sandbox.identity import Principal
from seedbed.sandbox.service import Service, ServiceError
from seedbed.sandbox.services.git import http, store
from seedbed.sandbox.services.git.store import Change, Push
from seedbed.sandbox.services.permission import judge
from seedbed.sandbox.world import Context, World

STORE = "codeconnections"
ADMIN = "/_sandbox/git/"
URL = re.compile(
    r"(?:/_git/[a-z-]+/[a-z0-9-]+\.amazonaws\.com)?"
    r"/git-http/(?P<account>\d{12})/(?P<region>[a-z0-9-]+)/(?P<id>[0-9a-f-]+)/(?P<repository>.+)"
)
WRITES = frozenset({"GitPush"})
PROVIDERS = {
    "AzureDevOps": "dev.azure.com",
    "Bitbucket": "bitbucket.org",
    "GitHub": "github.com",
    "GitLab": "gitlab.com",
}
HOSTED = frozenset({"GitHubEnterpriseServer", "GitLabSelfManaged"})


@dataclass
class Connection:
    """A connection's record."""

    arn: str
    name: str
    provider: str
    host: str | None
    status: str = "PENDING"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Host:
    """A host's record: where an own GitHub Enterprise Server or GitLab stands."""

    arn: str
    name: str
    provider: str
    endpoint: str
    network: dict[str, Any] | None
    status: str = "PENDING"
    tags: dict[str, str] = field(default_factory=dict)


class CodeConnections(Service):
    name: ClassVar[str] = "codeconnections"

    # Connections

    def create_connection(
        self,
        ctx: Context,
        ConnectionName: str,
        ProviderType: str | None = None,
        Tags: list[dict[str, str]] | None = None,
        HostArn: str | None = None,
    ) -> dict[str, Any]:
        """Make a connection, which waits for a person to complete it (see `complete`)."""
        if (ProviderType is None) == (HostArn is None):
            message = "Exactly one of ProviderType and HostArn is needed"
            raise ServiceError("ValidationException", message, 400)
        provider = ProviderType or self._host(ctx, str(HostArn)).provider
        if ProviderType in HOSTED:
            raise ServiceError("ValidationException", f"{ProviderType} needs a HostArn", 400)
        arn = f"arn:aws:{self.name}:{ctx.region}:{ctx.owner}:connection/{self.world.uuid()}"
        made = Connection(arn, ConnectionName, provider, HostArn, tags=_pairs(Tags))
        self._all(ctx)[arn] = made
        return {"ConnectionArn": arn, **({"Tags": Tags} if Tags else {})}

    def get_connection(self, ctx: Context, ConnectionArn: str) -> dict[str, Any]:
        return {"Connection": _told(self._connection(ctx, ConnectionArn))}

    def list_connections(
        self, ctx: Context, ProviderTypeFilter: str | None = None, HostArnFilter: str | None = None
    ) -> dict[str, Any]:
        found = [one for one in self._all(ctx).values() if isinstance(one, Connection)]
        return {
            "Connections": [
                _told(one)
                for one in found
                if ProviderTypeFilter in {None, one.provider} and HostArnFilter in {None, one.host}
            ]
        }

    def delete_connection(self, ctx: Context, ConnectionArn: str) -> dict[str, Any]:
        self._connection(ctx, ConnectionArn)
        del self._all(ctx)[ConnectionArn]
        return {}

    # Hosts

    def create_host(
        self,
        ctx: Context,
        *,
        Name: str,
        ProviderType: str,
        ProviderEndpoint: str,
        VpcConfiguration: dict[str, Any] | None = None,
        Tags: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        if ProviderType not in HOSTED:
            message = f"{ProviderType} has no hosts"
            raise ServiceError("ValidationException", message, 400)
        number = self.world.token(8)
        arn = f"arn:aws:{self.name}:{ctx.region}:{ctx.owner}:host/{Name}-{number}"
        tags = _pairs(Tags)
        self._all(ctx)[arn] = Host(
            arn, Name, ProviderType, ProviderEndpoint, VpcConfiguration, tags=tags
        )
        return {"HostArn": arn, **({"Tags": Tags} if Tags else {})}

    def get_host(self, ctx: Context, HostArn: str) -> dict[str, Any]:
        told = _told_host(self._host(ctx, HostArn))
        del told["HostArn"]
        return told

    def list_hosts(self, ctx: Context) -> dict[str, Any]:
        return {"Hosts": [_told_host(x) for x in self._all(ctx).values() if isinstance(x, Host)]}

    def update_host(
        self,
        ctx: Context,
        HostArn: str,
        ProviderEndpoint: str | None = None,
        VpcConfiguration: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        found = self._host(ctx, HostArn)
        found.endpoint = ProviderEndpoint or found.endpoint
        found.network = VpcConfiguration or found.network
        return {}

    def delete_host(self, ctx: Context, HostArn: str) -> dict[str, Any]:
        self._host(ctx, HostArn)
        for one in self._all(ctx).values():
            if isinstance(one, Connection) and one.host == HostArn:
                message = f"{HostArn} has connections: delete them first"
                raise ServiceError("ResourceUnavailableException", message)
        del self._all(ctx)[HostArn]
        return {}

    # Tags

    def tag_resource(
        self, ctx: Context, ResourceArn: str, Tags: list[dict[str, str]]
    ) -> dict[str, Any]:
        self._any(ctx, ResourceArn).tags.update(_pairs(Tags))
        return {}

    def untag_resource(self, ctx: Context, ResourceArn: str, TagKeys: list[str]) -> dict[str, Any]:
        for key in TagKeys:
            self._any(ctx, ResourceArn).tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, ctx: Context, ResourceArn: str) -> dict[str, Any]:
        tags = self._any(ctx, ResourceArn).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def resource_tags(self, arn: str) -> Mapping[str, str] | None:
        found = _by_arn(self.world, arn)
        return None if found is None else dict(found.tags)

    # Records

    def _all(self, ctx: Context) -> dict[str, Connection | Host]:
        found: dict[str, Connection | Host] = self.world.store(STORE, ctx.owner, ctx.region)
        return found

    def _any(self, ctx: Context, arn: str) -> Connection | Host:
        found = self._all(ctx).get(arn)
        if found is None:
            raise ServiceError("ResourceNotFoundException", f"{arn} does not exist")
        return found

    def _connection(self, ctx: Context, arn: str) -> Connection:
        found = self._any(ctx, arn)
        if not isinstance(found, Connection):
            raise ServiceError("ResourceNotFoundException", f"{arn} is no connection")
        return found

    def _host(self, ctx: Context, arn: str) -> Host:
        found = self._any(ctx, arn)
        if not isinstance(found, Host):
            raise ServiceError("ResourceNotFoundException", f"{arn} is no host")
        return found

    # Git over HTTP, and what a person does in the console

    def serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(ADMIN):
            return _admin(self.world, environ, start_response)
        return http.serve(self.world, environ, start_response, self._reach, self._pushed)

    def _reach(self, principal: Principal, path: str, write: bool, _: tuple[str, ...]) -> Path:
        arn, repository = self._addressed(path)
        return use(self.world, principal, arn, repository, "GitPush" if write else "GitPull")

    def _addressed(self, path: str) -> tuple[str, str]:
        found = URL.fullmatch(path)
        if found is None:
            raise ServiceError("ResourceNotFoundException", f"no connection at {path}", 404)
        known = self.world.stores(STORE).get((found["account"], found["region"]), {})
        for arn in known:
            if arn.endswith(f":connection/{found['id']}"):
                return arn, found["repository"]
        raise ServiceError("ResourceNotFoundException", f"no connection {found['id']}", 404)

    def _pushed(self, _: Principal, path: str, changes: list[Change]) -> None:
        repository = self._addressed(path)[1]
        folder = store.host_folder(self.world, repository)
        store.tell(self.world, Push(repository, folder, tuple(changes)))


class CodeStarConnections(CodeConnections):
    """The same service under its older name."""

    name: ClassVar[str] = "codestar-connections"


def complete(world: World, arn: str) -> None:
    """Do what a person does in the console: a pending connection or host becomes AVAILABLE.

    Raises:
        LookupError: There is no such connection or host.
    """
    found = _by_arn(world, arn)
    if found is None:
        raise LookupError(f"there is no connection or host {arn}")
    found.status = "AVAILABLE"


def use(world: World, principal: Principal, arn: str, repository: str, action: str) -> Path:
    """Judge UseConnection for one of the provider's actions; return the bare repository.

    `action` is a value of the condition key ProviderAction: GitPull, GitPush, GetBranch ...

    Raises:
        ServiceError: IAM denies it, the connection is not AVAILABLE, there is no such repository.
    """
    service, region = arn.split(":")[2:4]
    context = {
        f"{service}:fullrepositoryid": (repository,),
        f"{service}:provideraction": (action,),
        f"{service}:providerpermissionsrequired": (
            "read_write" if action in WRITES else "read_only",
        ),
    }
    asked = {"ConnectionArn": arn, "FullRepositoryId": repository, "ProviderAction": action}
    action = f"{service}:UseConnection"
    judge(world, principal, action, arn, region, context=context, params=asked)
    found = _by_arn(world, arn)
    if not isinstance(found, Connection):
        raise ServiceError("ResourceNotFoundException", f"{arn} does not exist", 404)
    if found.status != "AVAILABLE":
        message = f"{arn} is {found.status}, not AVAILABLE: a person has to complete it"
        raise ServiceError("ResourceUnavailableException", message, 403)
    try:
        folder = store.host_folder(world, repository)
    except ValueError as error:
        raise ServiceError("ResourceNotFoundException", str(error), 404) from error
    if not folder.exists():
        message = f"no repository {repository} at {found.provider}"
        raise ServiceError("ResourceNotFoundException", message, 404)
    return folder


def host_name(world: World, arn: str) -> str:
    """Return the host behind a connection, as its web addresses begin."""
    found = _by_arn(world, arn)
    if not isinstance(found, Connection):
        raise ServiceError("ResourceNotFoundException", f"{arn} does not exist", 404)
    host = _by_arn(world, found.host) if found.host else None
    if isinstance(host, Host):
        return host.endpoint.partition("://")[2].rstrip("/")
    return PROVIDERS[found.provider]


def _by_arn(world: World, arn: str) -> Connection | Host | None:
    region, account = arn.split(":")[3:5]
    found: Connection | Host | None = world.stores(STORE).get((account, region), {}).get(arn)
    return found


def _told(one: Connection) -> dict[str, Any]:
    return {
        "ConnectionName": one.name,
        "ConnectionArn": one.arn,
        "ProviderType": one.provider,
        "OwnerAccountId": one.arn.split(":")[4],
        "ConnectionStatus": one.status,
        **({"HostArn": one.host} if one.host else {}),
    }


def _told_host(one: Host) -> dict[str, Any]:
    return {
        "Name": one.name,
        "HostArn": one.arn,
        "ProviderType": one.provider,
        "ProviderEndpoint": one.endpoint,
        "Status": one.status,
        **({"VpcConfiguration": one.network} if one.network else {}),
    }


def _pairs(tags: list[dict[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or []}


# What the handle asks: boto3 has no words for it


def _admin(
    world: World, environ: Mapping[str, Any], start_response: Callable[..., Any]
) -> list[bytes]:
    asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}")
    try:
        status, answer = "200 OK", HANDLERS[environ["PATH_INFO"][len(ADMIN) :]](world, asked)
    except (LookupError, ValueError) as error:
        status, answer = "400 Bad Request", {"error": str(error)}
    body = json.dumps(answer).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(status, headers)
    return [body]


def _complete(world: World, asked: Mapping[str, str]) -> object:
    complete(world, asked["arn"])
    return {"completed": asked["arn"]}


def _repository(world: World, asked: Mapping[str, str]) -> object:
    return {"path": str(store.create_host_repository(world, asked["repository"]))}


def _environment(world: World, asked: Mapping[str, str]) -> object:
    return http.git_environment(world, asked)


HANDLERS: dict[str, Callable[[World, Mapping[str, str]], object]] = {
    "complete": _complete,
    "environment": _environment,
    "repository": _repository,
}
