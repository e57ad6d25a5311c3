"""Why a project failed: what SageMaker, its stack and the seeder say."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from seedbed.bootstrap import SEEDER
from seedbed.doctor.checks import Finding, SkipError, State, check, problem
from seedbed.doctor.seeder import NAME
from seedbed.doctor.site import Site
from seedbed.publishing.observe import CATALOG

LOOKED_AT = 100  # of the seeder's builds; BatchGetBuilds takes no more
ENDED = "FAILED: "  # so servicecatalog/functions/seed/build.py prints why
# What a message says -> what to do about it; the first that fits.
REMEDIES = {
    r"PermissionsBoundary|iam:CreateRole": "give PermissionsBoundaryArn: see permissions boundary",
    r"(?i)lake ?formation": "make seedbed-launch an administrator of Lake Formation, or grant it",
    r"(?i)datazone": "make seedbed-launch an owner of the DataZone project",
    r"(?i)connection": "complete the connection and tag it sagemaker=true: see connection",
    r"(?i)not empty|other than this project|holds": "name an empty repository, without README",
    r"(?i)AssumeRole|cannot be assumed|launch role": "run `seedbed bootstrap spoke` here",
    r"(?i)already exists": "name another with --set, or remove the one that is there",
    r"(?i)GetObject|NoSuchKey|AccessDenied.*s3": "see release and asset key, as an administrator",
}
ELSE = "mend what it says"


def _remedy(text: str) -> str:
    return next((said for word, said in REMEDIES.items() if re.search(word, text)), ELSE)


@check("project", "what SageMaker says of it", asked=True)
def project(site: Site) -> Iterator[Finding]:
    said = _described(site)
    message = said.get("ServiceCatalogProvisionedProductDetails", {}).get(
        "ProvisionedProductStatusMessage"
    )
    status = said["ProjectStatus"]
    message = message or _stack_detail(said).get("StatusMessage", "")
    text = " ".join(f"{status} {message}".split())
    if status.endswith("Failed"):
        again = f"`aws sagemaker delete-project --project-name {site.asked.project}`"
        yield problem(text, f"{_remedy(message)}; then {again}, and create it again")
    else:
        yield Finding(State.OK, text)


@check("project's stack", "the first event that failed", asked=True)
def stack(site: Site) -> Iterator[Finding]:
    name = _stack(site)
    if not name:
        raise SkipError("it has no stack")
    pages = site.client("cloudformation").get_paginator("describe_stack_events")
    failed: Mapping[str, Any] | None = None
    for page in pages.paginate(StackName=name):
        for event in page["StackEvents"]:  # the newest first
            status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
            if status.endswith("_FAILED") and "cancelled" not in reason:
                failed = event
    if failed:
        reason = " ".join(failed.get("ResourceStatusReason", "").split())
        what = f"{failed['LogicalResourceId']} ({failed['ResourceType']})"
        yield problem(f"{what} {failed['ResourceStatus']}: {reason}", _remedy(reason))


@check("project's repository", "the seeder's last build for it", asked=True)
def build(site: Site) -> Iterator[Finding]:
    client, id_ = site.client("codebuild"), _described(site)["ProjectId"]
    try:
        ids = client.list_builds_for_project(projectName=NAME, sortOrder="DESCENDING")["ids"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        yield problem(f"build {NAME} is missing", site.repair(SEEDER.name))
        return
    builds = client.batch_get_builds(ids=ids[:LOOKED_AT])["builds"] if ids else []
    mine = [one for one in builds if _seeds(one, id_)]
    if not mine:
        raise SkipError("the seeder built nothing for it")
    last = max(mine, key=lambda one: one["startTime"])
    if last["buildStatus"] in ("SUCCEEDED", "IN_PROGRESS"):
        yield Finding(State.OK, f"{last['id']} {last['buildStatus']}")
        return
    logs = last.get("logs", {})
    reason = _logged(site, logs) or _phases(last)
    text = f"{last['id']} {last['buildStatus']}: {reason}"
    link = logs.get("deepLink", "")
    yield problem(text, f"{_remedy(reason)}; log: {link}" if link else _remedy(reason))


def _logged(site: Site, logs: Mapping[str, str]) -> str:
    """Return the line by which the seeder ended, or nothing if the log is not to be had."""
    if "streamName" not in logs:
        return ""
    at = {"logGroupName": logs["groupName"], "logStreamName": logs["streamName"]}
    try:
        events = site.client("logs").get_log_events(**at, startFromHead=False, limit=100)["events"]
    except ClientError:
        return ""
    lines = [line for event in events for line in event["message"].splitlines()]
    ends = [line for line in lines if line.startswith(ENDED)]
    return ends[-1].removeprefix(ENDED) if ends else ""


def _phases(last: Mapping[str, Any]) -> str:
    said = [
        context["message"]
        for phase in last.get("phases", ())
        if phase.get("phaseStatus") not in (None, "SUCCEEDED")
        for context in phase.get("contexts", ())
        if context.get("message")
    ]
    return " ".join("; ".join(said).split())


def _described(site: Site) -> Mapping[str, Any]:
    said: Mapping[str, Any] = site.client("sagemaker").describe_project(
        ProjectName=site.asked.project
    )
    return said


def _stack_detail(said: Mapping[str, Any]) -> Mapping[str, Any]:
    for one in said.get("TemplateProviderDetails", ()):
        detail = one.get("CfnTemplateProviderDetail", {})
        found: Mapping[str, Any] = detail.get("StackDetail") or {}
        return found
    return {}


def _stack(site: Site) -> str:
    """Return the id or the name of a project's stack."""
    said = _described(site)
    if detail := _stack_detail(said):
        return str(detail.get("Id") or detail.get("Name") or "")
    id_ = said.get("ServiceCatalogProvisionedProductDetails", {}).get("ProvisionedProductId")
    if not id_:
        return ""
    found = site.client(CATALOG).search_provisioned_products(
        AccessLevelFilter={"Key": "Account", "Value": "self"},
        Filters={"SearchQuery": [f"id:{id_}"]},
    )["ProvisionedProducts"]
    return str(found[0].get("PhysicalId", "")) if found else ""


def _seeds(one: Mapping[str, Any], id_: str) -> bool:
    """Tell whether a build is for this project: its request is packed as the seeder packs it."""
    variables = {
        item["name"]: item["value"]
        for item in one.get("environment", {}).get("environmentVariables", ())
    }
    try:
        packed = base64.b64decode(variables.get("SEED_REQUEST", ""), validate=True)
        request = json.loads(zlib.decompress(packed))
    except (ValueError, zlib.error):
        return False
    found: bool = request.get("properties", {}).get("ProjectId") == id_
    return found
