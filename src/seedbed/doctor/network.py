"""Private mode: the VPC endpoints without which nothing works."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from seedbed import cfn
from seedbed.bootstrap import FOLDER
from seedbed.doctor.checks import Finding, SkipError, check, problem
from seedbed.doctor.site import Site

TEMPLATE = FOLDER / "spoke/endpoints.yml"
STACK = "seedbed-spoke-endpoints"


@check("VPC endpoints", "which services a VPC without internet reaches", "admin", "scientist")
def endpoints(site: Site) -> Iterator[Finding]:
    if not site.asked.vpc:
        raise SkipError("give --vpc ID for a VPC without internet")
    ask = site.client("ec2").get_paginator("describe_vpc_endpoints")
    pages = ask.paginate(Filters=[{"Name": "vpc-id", "Values": [site.asked.vpc]}])
    states = {
        one["ServiceName"]: one["State"].lower() for page in pages for one in page["VpcEndpoints"]
    }
    for service, use in _wanted(site).items():
        if states.get(service) != "available":
            said = f"is {states[service]}" if service in states else "is missing"
            remedy = (
                f"run `seedbed bootstrap spoke --hub {site.hub or 'ACCOUNT'} "
                f"--set VpcId={site.asked.vpc} --set SubnetIds=... --set RouteTableIds=... "
                "--set SourceSecurityGroupId=...`"
            )
            yield problem(f"endpoint {service} ({use}) {said} in {site.asked.vpc}", remedy)


def _wanted(site: Site) -> dict[str, str]:
    """Return the services that the stack of endpoints makes, and what each is for."""
    text = (site.base / TEMPLATE).read_text("utf-8")
    template = cfn.load(text, str(TEMPLATE))
    chosen = {key: rule.get("Default", "") for key, rule in template["Parameters"].items()}
    try:
        stacks = site.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        given = stacks[0].get("Parameters", ())
        chosen |= {one["ParameterKey"]: one["ParameterValue"] for one in given}
    except ClientError:
        pass  # none is deployed, or it is not for this caller: the template's defaults
    return {
        service.format(region=site.region): use
        for use, services in template["Metadata"]["SeedbedEndpoints"].items()
        if use == "Always" or chosen.get(use) == "true"
        for service in services
    }
