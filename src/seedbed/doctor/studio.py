"""Studio domains, and connections to where repositories lie."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from seedbed.declaration import FILE, STUDIO
from seedbed.doctor.catalog import PUBLISH
from seedbed.doctor.checks import Finding, SkipError, check, denied, missing, problem
from seedbed.doctor.site import Site, pages
from seedbed.publishing.observe import LOCATION_TAG, domain_arn, domain_tags, tags_of

LENT = {"sagemaker": "true"}  # the tag by which an administrator lends a connection to projects


@check("Studio domain", "whether the domain shows the templates in S3")
def domain(site: Site) -> Iterator[Finding]:
    if not site.hub:
        raise SkipError("the hub is not known: give --hub ACCOUNT")
    location = f"s3://{site.bucket}/{STUDIO}"
    if site.is_hub:
        named = [site.asked.domain] if site.asked.domain else site.declared.domains
        if not named:
            raise SkipError(f"{FILE} names no domain of the hub")
        remedy = f"name it in {FILE}, domains; {PUBLISH}"
    else:
        named = [site.asked.domain] if site.asked.domain else _domains(site)
        if not named:
            raise SkipError("there is no domain here")
        remedy = ""
    values = {one: domain_tags(site.account, one).get(LOCATION_TAG) for one in named}
    if not site.is_hub and not site.asked.domain and location in values.values():
        return  # the account's other domains may serve other purposes
    for one, value in values.items():
        if value != location:
            said = f"shows templates of {value}" if value else f"lacks the tag {LOCATION_TAG}"
            arn, tag = domain_arn(site.account, one), f"Key={LOCATION_TAG},Value={location}"
            own = f"as an administrator: `aws sagemaker add-tags --resource-arn {arn} --tags {tag}`"
            yield problem(f"domain {one} {said}", remedy or own)


def _domains(site: Site) -> list[str]:
    listed = site.client("sagemaker").get_paginator("list_domains").paginate()
    return [one["DomainId"] for page in listed for one in page["Domains"]]


@check(
    "connection", "whether projects may use the connection to the Git host", "admin", "scientist"
)
def connection(site: Site) -> Iterator[Finding]:
    complete = "as an administrator: open the connection in the console, Update pending connection"
    found = [site.asked.connection] if site.asked.connection else _connections(site)
    if not found:
        raise SkipError("none is lent to projects: give --connection ARN")
    for arn in found:
        service = arn.split(":")[2]
        client = site.client(service)
        command = f"aws {service} tag-resource --resource-arn {arn} --tags Key=sagemaker,Value=true"
        lend = f"as an administrator: `{command}`"
        try:
            state = client.get_connection(ConnectionArn=arn)["Connection"]["ConnectionStatus"]
        except ClientError as error:
            if missing(error):
                yield problem(f"connection {arn} is missing", "give the ARN of one that is there")
                continue
            if not denied(error):
                raise
            yield problem(f"this role may not use connection {arn}", lend)
            continue
        if state != "AVAILABLE":
            yield problem(f"connection {arn} is {state}", complete)
        try:
            tags = tags_of(client.list_tags_for_resource(ResourceArn=arn)["Tags"])
        except ClientError as error:
            if not denied(error):
                raise
            continue  # only the tag lets a user's role see the connection: it is there
        if not LENT.items() <= tags.items():
            yield problem(f"connection {arn} lacks the tag sagemaker=true", lend)


def _connections(site: Site) -> list[str]:
    """Return the connections that are lent to projects."""
    client = site.client("codeconnections")
    try:
        found = [
            one["ConnectionArn"]
            for page in pages(client.list_connections)
            for one in page["Connections"]
        ]
    except ClientError as error:
        if not denied(error):
            raise
        raise SkipError("this role cannot list them: give --connection ARN") from None
    return [
        arn
        for arn in found
        if LENT.items() <= tags_of(client.list_tags_for_resource(ResourceArn=arn)["Tags"]).items()
    ]
