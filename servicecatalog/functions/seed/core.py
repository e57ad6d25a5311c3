"""What the seeder decides, without AWS and git: requests, refusals, adoption, reasons."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

MARKER = ".seedbed-project"  # no file of a template: an update of the project leaves it alone
VARIABLE_LIMIT = 4096  # characters of an environment variable that CodeBuild takes
ANSWER_LIMIT = 1024
SHOWN = 100  # characters of a value in a message
HOSTS = ("github", "gitlab", "bitbucket", "codecommit")
OWN = ("ServiceToken", "ServiceTimeout")  # properties that CloudFormation itself reads
PLACE = ("GitHost", "RepositoryId", "Branch")
SERVICES = "codeconnections|codestar-connections"  # older connections keep their name
CONNECTION = rf"arn:[a-z-]+:({SERVICES}):[a-z0-9-]+:[0-9]{{12}}:connection/[a-f0-9-]+"
# Property -> what it must look like as a whole, and what to write instead.
FIELDS = {
    "ProjectId": (
        r"(?=.{1,20}$)[a-z0-9]+(-[a-z0-9]+)*",
        "write at most 20 lower-case letters, digits and inner hyphens",
    ),
    "ProjectName": (
        r"(?=.{1,32}$)[A-Za-z0-9]+(-+[A-Za-z0-9]+)*",
        "write at most 32 letters, digits and inner hyphens",
    ),
    "Template": (r"[a-z0-9][a-z0-9-]{0,63}", "publish the product again"),
    "TemplateVersion": (r"v?[0-9][A-Za-z0-9.+-]{0,63}", "publish the product again"),
    "TemplateAddress": (
        r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\.git",
        "publish the product again",
    ),
    "Bundle": (r"bundles/[0-9a-f]{64}/[a-z0-9][a-z0-9-]*\.bundle", "publish the product again"),
    "GitHost": ("|".join(HOSTS), f"write one of {', '.join(HOSTS)}"),
    "RepositoryId": (
        r"(?=.{1,255}$)[A-Za-z0-9_.][A-Za-z0-9._-]*(/[A-Za-z0-9_.][A-Za-z0-9._-]*)*",
        "write owner/repository, or the name of a CodeCommit repository",
    ),
    "Branch": (
        r"(?=.{1,100}$)[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*",
        "write a branch name of letters, digits and _ . / -",
    ),
    "ConnectionArn": (
        f"({CONNECTION})?",
        "write the ARN of a connection, or nothing for CodeCommit",
    ),
}
STACK = re.compile(r"arn:[a-z-]+:cloudformation:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):.+")
REPLY = ("ResponseURL", "StackId", "RequestId", "LogicalResourceId", "PhysicalResourceId")


class RefusedError(ValueError):
    """A request that cannot be served, in one line: the field, its value, what to do."""


@dataclass(frozen=True)
class Request:
    """A project that is to be seeded; every value has been checked.

    `bundle` is a key in the asset bucket, `answers` maps the template's questions to values.
    """

    project_id: str
    project_name: str
    template: str
    version: str
    address: str
    bundle: str
    host: str
    repository: str
    branch: str
    connection: str
    answers: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """The bundle's hash, which its key holds."""
        return self.bundle.split("/")[1]


@dataclass(frozen=True)
class Outcome:
    """What follows from CloudFormation's request: a reason that answers it now, or a build."""

    physical_id: str
    status: Literal["SUCCESS", "FAILED", ""] = ""  # empty: the build answers
    reason: str = ""
    push: bool = False


def outcome(event: Mapping[str, Any]) -> Outcome:
    """Return what follows from a request of CloudFormation, whatever it holds."""
    old = str(event.get("PhysicalResourceId", ""))
    if event["RequestType"] == "Delete":
        return Outcome(old or "none", "SUCCESS", "the repository stays")
    properties = event.get("ResourceProperties", {})
    try:
        request = parse(properties)
        account_and_region(str(event["StackId"]))
    except RefusedError as refusal:
        return Outcome(old or "refused", "FAILED", str(refusal))
    before = event.get("OldResourceProperties", {})
    if event["RequestType"] == "Create":
        return Outcome(request.repository, push=True)
    if all(before.get(name) == properties.get(name) for name in PLACE):
        return Outcome(request.repository, "SUCCESS", "an update never seeds again")
    return Outcome(request.repository)  # another place: it must hold this project already


def parse(properties: Mapping[str, Any]) -> Request:
    """Return the custom resource's properties as a request.

    Raises:
        RefusedError: a property is missing, unknown or not what it must look like.
    """
    for name in properties:
        if name not in (*FIELDS, *OWN, "Answers"):
            raise RefusedError(
                f"{name}: the seeder knows no such property; deploy the newest seeder"
            )
    values = {}
    for name, (pattern, remedy) in FIELDS.items():
        value = properties.get(name, "")
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            raise RefusedError(f"{name} is {shown(value)}: {remedy}")
        values[name] = value
    host, repository, branch = (values[name] for name in PLACE)
    _refuse_path("RepositoryId", repository, ends=(".git",))
    _refuse_path("Branch", branch, ends=(".lock",))
    if host == "codecommit" and not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", repository):
        raise RefusedError(
            f"RepositoryId is {shown(repository)}: for CodeCommit write a name of at most"
            " 100 letters, digits and . _ - without a slash"
        )
    if host != "codecommit" and "/" not in repository:
        raise RefusedError(
            f"RepositoryId is {shown(repository)}: for {host} write owner/repository"
        )
    if host != "codecommit" and not values["ConnectionArn"]:
        raise RefusedError(f"ConnectionArn is empty: {host} needs a connection; write its ARN")
    return Request(
        values["ProjectId"],
        values["ProjectName"],
        values["Template"],
        values["TemplateVersion"],
        values["TemplateAddress"],
        values["Bundle"],
        host,
        repository,
        branch,
        values["ConnectionArn"],
        _answers(properties.get("Answers", {})),
    )


def _answers(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise RefusedError(f"Answers is {shown(given)}: publish the product again")
    kept = {}
    for question, value in given.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", str(question), re.ASCII):
            raise RefusedError(
                f"Answers: {shown(question)} is no question: publish the product again"
            )
        if not isinstance(value, str) or len(value) > ANSWER_LIMIT or not value.isprintable():
            raise RefusedError(
                f"{question} is {shown(value)}: write one line of at most {ANSWER_LIMIT} characters"
            )
        if value:  # empty: the template's own default
            kept[str(question)] = value
    return kept


def _refuse_path(field: str, value: str, ends: tuple[str, ...]) -> None:
    for part in value.split("/"):
        if part in (".", "..") or ".." in part or part.endswith((".", *ends)):
            raise RefusedError(
                f"{field} is {shown(value)}: the part {part!r} is not allowed; rename it"
            )


def shown(value: object) -> str:
    """Return a value as a message shows it: quoted, on one line, short."""
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def account_and_region(stack: str) -> tuple[str, str]:
    """Return the account and the region of a stack.

    Raises:
        RefusedError: it is no ARN of a stack.
    """
    found = STACK.fullmatch(stack)
    if found is None:
        raise RefusedError(f"StackId is {shown(stack)}: it must be the ARN of a stack")
    return found["account"], found["region"]


def origin(request: Request, region: str, suffix: str) -> str:
    """Return where git reaches the repository, through the connection or in CodeCommit.

    Args:
        request: the project.
        region: the stack's; a connection has its own.
        suffix: the partition's domain, such as amazonaws.com.
    """
    if request.host == "codecommit":
        return f"https://git-codecommit.{region}.{suffix}/v1/repos/{request.repository}"
    _, _, service, place, account, connection = request.connection.split(":")
    path = f"{account}/{place}/{connection.removeprefix('connection/')}/{request.repository}.git"
    return f"https://{service}.{place}.{suffix}/git-http/{path}"


def marker(request: Request, account: str, region: str) -> str:
    """Return the file that says whose project a repository is."""
    content = {
        "account": account,
        "project_id": request.project_id,
        "project_name": request.project_name,
        "region": region,
    }
    return json.dumps(content, indent=2) + "\n"


def decide(
    request: Request,
    account: str,
    region: str,
    refs: Iterable[str],
    found: str | None,
    *,
    push: bool,
) -> Literal["push", "adopt"]:
    """Return what to do with a repository: fill an empty one, adopt one that is this project's.

    Args:
        request: the project.
        account: the stack's.
        region: the stack's.
        refs: every ref of the repository.
        found: the text of its marker on the branch, None if there is none.
        push: whether it may be filled.

    Raises:
        RefusedError: it holds something else, or nothing where it may not be filled.
    """
    known, name = set(refs), shown(request.repository)
    if not known and push:
        return "push"
    if not known:
        raise RefusedError(f"RepositoryId is {name}, which is empty: push the project there first")
    if f"refs/heads/{request.branch}" not in known:
        raise RefusedError(
            f"RepositoryId is {name}, which is not empty and has no branch {request.branch}:"
            " name an empty repository, or the branch that holds this project"
        )
    try:
        owner = json.loads(found or "")
        whose = owner["account"], owner["region"], owner["project_id"]
    except (ValueError, TypeError, KeyError):
        raise RefusedError(
            f"RepositoryId is {name}, which is not empty and not this project's: it was left as it"
            " is; name an empty repository"
        ) from None
    if whose != (account, region, request.project_id):
        raise RefusedError(
            f"RepositoryId is {name}, which is of project {shown(whose[2])} in account"
            f" {shown(whose[0])}, {shown(whose[1])}: name an empty repository"
        )
    return "adopt"


def environment(event: Mapping[str, Any], result: Outcome) -> dict[str, str]:
    """Return the variables that tell a build what to do and whom to answer.

    Raises:
        RefusedError: CodeBuild would not take them.
    """
    reply = {**{key: event.get(key, "") for key in REPLY}, "PhysicalResourceId": result.physical_id}
    variables = {
        "SEED_REQUEST": pack({"push": result.push, "properties": event["ResourceProperties"]}),
        "SEED_REPLY": pack(reply),
    }
    for name, value in variables.items():
        if len(value) > VARIABLE_LIMIT:
            raise RefusedError(
                f"Answers: {name} would have {len(value)} characters, more than the"
                f" {VARIABLE_LIMIT} that CodeBuild takes: write shorter answers"
            )
    return variables


def pack(document: Mapping[str, Any]) -> str:
    """Return a document as short text in which nothing means anything to a shell."""
    return base64.b64encode(zlib.compress(json.dumps(document).encode(), 9)).decode()


def unpack(text: str) -> dict[str, Any]:
    """Return the document that `pack` made into text."""
    return dict(json.loads(zlib.decompress(base64.b64decode(text, validate=True))))


def failure(build: Mapping[str, Any]) -> str:
    """Return in one line why a build ended, from what BatchGetBuilds says of it."""
    said = [
        f"{phase['phaseType']}: {context['message']}"
        for phase in build.get("phases", [])
        if phase.get("phaseStatus") not in (None, "SUCCEEDED", "IN_PROGRESS")
        for context in phase.get("contexts", [])
        if context.get("message")
    ]
    link = build.get("logs", {}).get("deepLink", "")
    reason = f"the seeding build ended as {build.get('buildStatus', 'unknown')}"
    return "; ".join([reason, *said, *([f"log: {link}"] if link else [])])
