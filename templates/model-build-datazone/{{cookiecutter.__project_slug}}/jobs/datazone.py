"""Queries what a DataZone project subscribes to, with the credentials of its environment.

Database, workgroup and credentials are asked of DataZone at run time; each asset that the query
reads must come from an approved subscription that is granted to the environment.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import job
import query
from features import InputError, listing

ANSWERS = "datazone.json"  # in the local lake: what DataZone would answer, by operation
CONFIG = "config/data.yml"


@dataclass(frozen=True)
class Environment:
    """What DataZone says of an environment: where it is, and what its blueprint made."""

    domain: str
    project: str
    id: str
    account: str
    region: str
    database: str
    workgroup: str


@dataclass(frozen=True)
class Asset:
    """An asset that the project subscribes to; `state` is GRANTED when it can be queried."""

    name: str
    table: str  # in the environment's database
    state: str
    subscription: str
    owner: str


# What DataZone knows


def resolve(datazone: Any, wanted: Mapping[str, Any]) -> Environment:  # noqa: ANN401 (boto3)
    """Return the environment, ready to be queried. Source: GetEnvironment (botocore, datazone).

    Raises InputError where it is missing, not ACTIVE, another project's, in another region than
    the pipeline, or lacks what the query needs.
    """
    place = f"environment {wanted['environment']} of domain {wanted['domain']}"
    found = _call(
        datazone.get_environment,
        f"{place} does not exist: correct {CONFIG}",
        domainIdentifier=wanted["domain"],
        identifier=wanted["environment"],
    )
    if (status := found.get("status", "ACTIVE")) != "ACTIVE":
        reason = found.get("lastDeployment", {}).get("failureReason", {}).get("message", "")
        line = f"{place} is {status}{f' ({reason})' if reason else ''}"
        raise InputError(f"{line}: deploy it again in DataZone, or name another one")
    if found["projectId"] != wanted["project"]:
        line = f"{place} belongs to the project {found['projectId']}"
        raise InputError(f"{line}, not to {wanted['project']}: correct {CONFIG}")
    region = found.get("awsAccountRegion", wanted["region"])
    if region != wanted["region"]:
        line = f"{place} is in {region}, the pipeline in {wanted['region']}"
        raise InputError(f"{line}: name an environment of {wanted['region']}")
    made = {item["name"]: item["value"] for item in found.get("provisionedResources", [])}
    for what, name in wanted["resources"].items():
        if name not in made:
            line = f"{place} has no resource {name!r} for the {what}"
            remedy = f"resources in {CONFIG} may name {listing(sorted(made)) or 'none'}"
            raise InputError(f"{line}: {remedy}")
    return Environment(
        domain=wanted["domain"],
        project=found["projectId"],
        id=wanted["environment"],
        account=found.get("awsAccountId", ""),
        region=region,
        database=made[wanted["resources"]["database"]],
        workgroup=made[wanted["resources"]["workgroup"]],
    )


def assets(datazone: Any, environment: Environment) -> list[Asset]:  # noqa: ANN401
    """Return what the project has subscribed to or asked for, with its state.

    Source: ListSubscriptions, ListSubscriptionGrants and ListSubscriptionRequests (botocore).
    """
    about = {"domainIdentifier": environment.domain, "owningProjectId": environment.project}
    denied = f"the subscriptions of project {environment.project} cannot be listed"
    grants = {
        (grant["subscriptionId"], asset["assetId"]): asset
        for grant in _pages(
            datazone.list_subscription_grants,
            denied,
            domainIdentifier=environment.domain,
            environmentId=environment.id,
        )
        for asset in grant.get("assets", [])
        if "subscriptionId" in grant
    }
    found: list[Asset] = []
    for status in ("APPROVED", "REVOKED", "CANCELLED"):
        for one in _pages(datazone.list_subscriptions, denied, status=status, **about):
            subscribed = one["subscribedListing"]
            owned = [asset for (id_, _), asset in grants.items() if id_ == one["id"]]
            for asset in owned or [{}]:
                state = asset.get("status", "not granted to the environment")
                found.append(
                    Asset(
                        name=subscribed["name"],
                        table=asset.get("targetName", subscribed["name"]),
                        state=state if one["status"] == "APPROVED" else one["status"],
                        subscription=one["id"],
                        owner=subscribed.get("ownerProjectName", subscribed["ownerProjectId"]),
                    )
                )
    for one in _pages(datazone.list_subscription_requests, denied, status="PENDING", **about):
        for subscribed in one["subscribedListings"]:
            owner = subscribed.get("ownerProjectName", subscribed["ownerProjectId"])
            name = subscribed["name"]
            found.append(Asset(name, name, "waiting for approval", one["id"], owner))
    return found


def check(wanted: Sequence[str], found: Sequence[Asset]) -> list[Asset]:
    """Return the assets that a query needs. Raises InputError for one that is not granted."""
    chosen = []
    for name in wanted:
        same = [a for a in found if name.lower() in (a.table.lower(), a.name.lower())]
        granted = [asset for asset in same if asset.state == "GRANTED"]
        if granted:
            chosen.append(granted[0])
            continue
        if same:
            asset = same[0]
            line = f"the subscription {asset.subscription} to {name!r} is {asset.state}"
            remedy = f"its owner is the DataZone project {asset.owner}"
            raise InputError(f"{line}: ask for its approval; {remedy}")
        known = listing(sorted(asset.table for asset in found)) or "none"
        line = f"the project subscribes to no asset {name!r} (it has {known})"
        raise InputError(f"{line}: subscribe to it in DataZone, or correct assets in {CONFIG}")
    return chosen


def _pages(method: Callable[..., Any], denied: str, **request: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    token: dict[str, str] = {}
    while True:
        answer = _call(method, denied, **request, **token)
        yield from answer["items"]
        if not answer.get("nextToken"):
            return
        token = {"nextToken": answer["nextToken"]}


def _call(method: Callable[..., Any], missing: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401
    from botocore.exceptions import ClientError  # type: ignore[import-untyped]

    try:
        with query.told():
            return dict(method(**request))
    except InputError as error:
        cause = error.__cause__
        code = cause.response["Error"]["Code"] if isinstance(cause, ClientError) else ""
        if code == "ResourceNotFoundException":
            raise InputError(missing) from None
        if "AccessDenied" in code:
            line = "DataZone denies it: the execution role must be a member of the DataZone project"
            raise InputError(f"{line} (infra/data.yml makes it one): {error.args[0]}") from None
        raise


# Credentials of the environment


def clients(datazone: Any, environment: Environment) -> query.Clients:  # noqa: ANN401
    """Return what makes clients with the environment's credentials, renewed before they expire.

    Source: GetEnvironmentCredentials; botocore's RefreshableCredentials asks again in time.
    """
    import boto3  # type: ignore[import-untyped]
    from botocore.credentials import RefreshableCredentials  # type: ignore[import-untyped]
    from botocore.session import get_session  # type: ignore[import-untyped]

    def fetch() -> dict[str, str]:
        found = _call(
            datazone.get_environment_credentials,
            f"environment {environment.id} has no credentials: deploy it again in DataZone",
            domainIdentifier=environment.domain,
            environmentIdentifier=environment.id,
        )
        return {
            "access_key": found["accessKeyId"],
            "secret_key": found["secretAccessKey"],
            "token": found["sessionToken"],
            "expiry_time": found["expiration"].isoformat(),
        }

    inner = get_session()
    inner._credentials = RefreshableCredentials.create_from_metadata(  # noqa: SLF001 (as boto3's guide)
        metadata=fetch(), refresh_using=fetch, method="datazone"
    )
    session = boto3.Session(botocore_session=inner, region_name=environment.region)
    made: query.Clients = session.client
    return made


def athena(datazone: Any, environment: Environment) -> query.Athena:  # noqa: ANN401
    """Return Athena in the environment's workgroup, unloading to where that workgroup may write."""
    make = clients(datazone, environment)
    with query.told():
        found = make("athena").get_work_group(WorkGroup=environment.workgroup)["WorkGroup"]
    place = found.get("Configuration", {}).get("ResultConfiguration", {}).get("OutputLocation")
    if not place:
        line = f"workgroup {environment.workgroup} has no output location"
        raise InputError(f"{line}: give it one; the environment's role writes nowhere else")
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    return query.Athena(make, bucket, f"{prefix.rstrip('/')}/seedbed", None)


# The laptop


class StandIn:
    """Answers what DataZone would, from a file of the local lake: operation -> answer."""

    def __init__(self, lake: Path) -> None:
        self.answers = job.read_json(lake / ANSWERS)

    def get_environment(self, **request: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.answers["GetEnvironment"]
        if (request["domainIdentifier"], request["identifier"]) != (
            answer["domainId"],
            answer["id"],
        ):
            known = f"{answer['id']} of {answer['domainId']}"
            wanted = f"{request['identifier']} of {request['domainIdentifier']}"
            raise InputError(
                f"environment {wanted} does not exist on this machine, which has {known}"
            )
        return answer

    def list_subscription_grants(self, **_: str) -> dict[str, Any]:
        return dict(self.answers["ListSubscriptionGrants"])

    def list_subscriptions(self, **request: str) -> dict[str, Any]:
        items = self.answers["ListSubscriptions"]["items"]
        return {"items": [item for item in items if item["status"] == request["status"]]}

    def list_subscription_requests(self, **_: str) -> dict[str, Any]:
        return dict(self.answers["ListSubscriptionRequests"])


def client(environ: Mapping[str, str], region: str) -> Any:  # noqa: ANN401 (boto3's, or ours)
    """Return DataZone's client, or what stands for it where the environment names a local lake."""
    if query.LAKE in environ:
        return StandIn(Path(environ[query.LAKE]))
    import boto3
    from botocore.config import Config  # type: ignore[import-untyped]

    retried = Config(retries={"mode": "adaptive", "max_attempts": 10})
    return boto3.Session(region_name=region).client("datazone", config=retried)


def main(argv: Sequence[str] | None = None) -> int:
    parser = job.Parser(description=__doc__)
    parser.add_argument("--request", type=Path, required=True, help="what data_source.py wrote")
    parser.add_argument("--output-dir", type=Path, required=True)
    for kind in ("text", "number"):
        parser.add_argument(f"--{kind}", action="append", default=[], metavar="NAME=VALUE")
    job.add_message_file(parser)

    def work(args: argparse.Namespace) -> None:
        wanted = job.read_json(args.request)
        datazone = client(os.environ, wanted["region"])
        environment = resolve(datazone, wanted)
        chosen = check(wanted["assets"], assets(datazone, environment))
        asked = as_query(wanted, environment, query.parameters(args.text, args.number))
        engine = query.engine(os.environ, lambda: athena(datazone, environment))
        known = {"environment": vars(environment), "assets": [vars(asset) for asset in chosen]}
        query.extract(asked, engine, args.output_dir, known)

    return job.run(parser, work, argv)


def as_query(
    wanted: Mapping[str, Any], environment: Environment, parameters: Mapping[str, query.Value]
) -> query.Query:
    """Return the query as it runs in the environment."""
    return query.Query(
        sql=wanted["query"],
        parameters=parameters,
        catalog="AwsDataCatalog",
        database=environment.database,
        workgroup=environment.workgroup,
        scan_limit=wanted["scan_limit"],
    )


if __name__ == "__main__":
    sys.exit(main())
