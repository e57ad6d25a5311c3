"""The function and the build that fill a new project's repository."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from seedbed.bootstrap import SEED, SEEDER
from seedbed.doctor.checks import Finding, SkipError, check, missing, problem
from seedbed.doctor.roles import incomplete
from seedbed.doctor.site import Site

NAME = "seedbed-seed"  # of the function and of the build
RULE = "seedbed-seed-failure"  # answers CloudFormation where the build could not


@check("seeder", "what fills a new repository, and tells of a failure", "hub", "admin")
def seeder(site: Site) -> Iterator[Finding]:
    if _function(site) is None:
        yield problem(f"function {NAME} is missing in {site.region}", site.repair(SEEDER.name))
    if _build(site) is None:
        yield problem(f"build {NAME} is missing in {site.region}", site.repair(SEEDER.name))
    for role in (f"{NAME}-function-{site.region}", f"{NAME}-build-{site.region}"):
        if site.account.role(role) is None:
            yield problem(f"role {role} is missing in {site.id}", site.repair(SEEDER.name))
        else:
            yield from incomplete(site, role, SEEDER.file, site.repair(SEEDER.name))
    try:
        rule = site.client("events").describe_rule(Name=RULE)["State"]
    except ClientError as error:
        if not missing(error):
            raise
        rule = "missing"
    if rule != "ENABLED":
        say = f"rule {RULE} is {rule.lower()} in {site.region}: who waits for a seeding that failed"
        yield problem(f"{say} waits an hour", site.repair(SEEDER.name))


@check("seeder's code", "whether it is the newest release's", "hub", "admin")
def code(site: Site) -> Iterator[Finding]:
    if not (site.hub and site.version):
        raise SkipError("no release is known here")
    try:
        made = site.release.functions.get(SEED)
    except (ClientError, ValueError):
        raise SkipError("the release is not readable: see release") from None
    if made is None:
        raise SkipError("the release holds no seeder")
    function, build = _function(site), _build(site)
    remedy = f"check out {site.version}, then {site.bootstrap}"
    if function and base64.b64decode(function["CodeSha256"]).hex() != made.sha256:
        yield problem(f"function {NAME} has another code than {site.version}", remedy)
    if build:
        variables = {
            one["name"]: one["value"] for one in build["environment"]["environmentVariables"]
        }
        if variables.get("SEED_CODE") != made.key:
            yield problem(f"build {NAME} has another code than {site.version}", remedy)


def _function(site: Site) -> Any:  # noqa: ANN401 (boto3's answer)
    try:
        return site.client("lambda").get_function_configuration(FunctionName=NAME)
    except ClientError as error:
        if not missing(error):
            raise
        return None


def _build(site: Site) -> Any:  # noqa: ANN401 (boto3's answer)
    found = site.client("codebuild").batch_get_projects(names=[NAME])["projects"]
    return next(iter(found), None)
