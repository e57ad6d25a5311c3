"""What the operations on stacks, change sets and templates share."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import ClientError

from seedbed.sandbox import identity, moto_state
from seedbed.sandbox.cloudformation.aws import Aws, CallError, partition
from seedbed.sandbox.cloudformation.customresource import Callbacks, CustomResource, Surroundings
from seedbed.sandbox.cloudformation.desired import STACK, Asked, Desired, Setting, prepare
from seedbed.sandbox.cloudformation.engine import Run, Tools
from seedbed.sandbox.cloudformation.errors import StackError
from seedbed.sandbox.cloudformation.nested import NestedStack, Parent
from seedbed.sandbox.cloudformation.records import Stack, Stacks, Version
from seedbed.sandbox.cloudformation.resources import Handler
from seedbed.sandbox.cloudformation.template import INLINE_LIMIT, STORED_LIMIT
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.world import Context, World

PRINCIPAL = "cloudformation.amazonaws.com"
GRACE = 0.3  # seconds: a small stack is complete when the call that started it returns
# The parts of a request that would change how the operation runs, and are not emulated.
NOT_EMULATED = (
    "StackPolicyBody", "StackPolicyURL", "StackPolicyDuringUpdateBody",
    "StackPolicyDuringUpdateURL", "ResourceTypes", "ResourcesToImport",
    "ImportExistingResources", "IncludeNestedStacks", "DeploymentMode", "DeploymentConfig",
    "DisableValidation", "ForceRollback", "IncludePropertyValues", "StackSetName",
    "TemplateSummaryConfig",
)  # fmt: skip


class Base(Service):
    """Stacks of all accounts and regions; every operation that is not emulated is refused."""

    name: ClassVar[str] = "cloudformation"
    store = Stacks

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.callbacks = Callbacks()
        self.parents: dict[str, Parent] = {}
        self.runs: dict[str, Run] = {}  # of stacks whose rollback can be continued

    def has(self, operation: str) -> bool:
        """Claim every operation: moto's CloudFormation knows nothing of these stacks."""
        del operation
        return True

    def call(self, ctx: Context, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if not super().has(operation):
            raise unsupported(f"cloudformation:{operation}")
        self._refuse(operation, params)
        try:
            return super().call(ctx, operation, params)
        except StackError as error:
            status = 501 if error.code == "NotImplementedInSandbox" else 400
            raise ServiceError(error.code, error.message, status) from error

    def _refuse(self, operation: str, params: Mapping[str, Any]) -> None:
        for name in NOT_EMULATED:
            if params.get(name):
                raise unsupported(f"cloudformation:{operation} with {name}")
        if any((params.get("RollbackConfiguration") or {}).values()):
            raise unsupported(f"cloudformation:{operation} with RollbackConfiguration")

    def serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Take a custom resource's answer: PUT /_cfn/<token>."""
        status = 405
        if environ.get("REQUEST_METHOD") == "PUT":
            stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
            body = stream.read(int(length)) if length else b""
            if not length and environ.get("wsgi.input_terminated"):
                body = stream.read()
            token = str(environ["PATH_INFO"]).removeprefix("/_cfn/")
            status = self.callbacks.put(token, body)
        said = {200: "200 OK", 403: "403 Forbidden", 405: "405 Method Not Allowed"}[status]
        start_response(said, [("Content-Length", "0")])
        return [b""]

    def resource_tags(self, arn: str) -> Mapping[str, str] | None:
        """Return a stack's tags, for conditions on aws:ResourceTag."""
        parts = arn.split(":", 5)
        if len(parts) < 6 or not parts[5].startswith("stack/"):  # noqa: PLR2004 (an ARN's parts)
            return None
        stacks = self.world.stores(self.name).get((parts[4], parts[3]))
        found = stacks.find(parts[5].split("/")[1]) if stacks is not None else None
        return None if found is None else found.tags

    # Finding

    def stack(self, ctx: Context, name: str) -> Stack:
        """Return a stack by name or id.

        Raises:
            StackError: There is none.
        """
        with self.lock:
            found = self.state(ctx).find(name)
        if found is None:
            raise StackError(f"Stack with id {name} does not exist")
        return found  # type: ignore[no-any-return]

    def body(self, params: Mapping[str, Any], aws: Aws, previous: str = "") -> str:
        """Return the template that a request gives, inline or by its address in S3.

        Raises:
            StackError: There is none, it is too large, or it cannot be read.
        """
        given = [key for key in ("TemplateBody", "TemplateURL") if params.get(key)]
        if params.get("UsePreviousTemplate") and not given and previous:
            return previous
        if len(given) != 1:
            raise StackError("Either Template URL or Template Body must be specified.")
        if given == ["TemplateBody"]:
            body: str = params["TemplateBody"]
            limit = INLINE_LIMIT
        else:
            body, limit = fetch(params["TemplateURL"], aws), STORED_LIMIT
        if len(body.encode()) > limit:
            raise StackError(
                f"1 validation error detected: Value at '{given[0]}' failed to satisfy "
                f"constraint: Member must have length less than or equal to {limit}"
            )
        return body

    # Credentials, evaluation

    def aws(self, ctx: Context, role_arn: str = "") -> Aws:
        """Return clients as the role that the stack names, else as the caller.

        Raises:
            StackError: The role cannot be assumed.
        """
        if not role_arn:
            return Aws(ctx.client, ctx.account, ctx.region, self.world.wait)
        actor = identity.service_principal(ctx.account, PRINCIPAL)
        try:
            session = self.world.assume(actor, role_arn, "AWSCloudFormation", ctx.region)
        except ClientError as error:
            raise StackError(f"Role {role_arn} is invalid or cannot be assumed") from error
        client = lambda service: self.world.client(service, session, ctx.region)  # noqa: E731
        return Aws(client, ctx.account, ctx.region, self.world.wait)

    def desired(self, ctx: Context, stack: Stack, asked: Asked, aws: Aws) -> Desired:
        """Evaluate and check what a request asks of a stack."""
        stacks: Stacks = self.state(ctx)

        def export(name: str) -> str:
            with self.lock:
                found = stacks.exports().get(name)
            if found is None:
                raise StackError(f"No export named {name} found.")
            return found[0]

        setting = Setting(
            stack.name,
            stack.id,
            ctx.account,
            ctx.region,
            partition(ctx.region),
            stack.notify,
            export,
        )
        return prepare(asked, setting, aws)

    # Running

    def run(self, ctx: Context, stack: Stack, aws: Aws, desired: Desired | None = None) -> Run:
        stacks: Stacks = self.state(ctx)

        def check_exports(of: Stack, outputs: list[dict[str, Any]]) -> None:
            with self.lock:
                self._check_exports(stacks, of, outputs)

        tools = Tools(
            aws, self.world.now, self.world.token,
            lambda run, kind: self._special(ctx, run, kind),
            lambda of, event: self._notify(ctx, of, event), check_exports,
        )  # fmt: skip
        return Run(stack, tools, desired)

    def start(self, stack: Stack, run: Run, work: Callable[[], None], failed: str) -> None:
        """Carry out an operation in the background, and wait for it a moment."""
        stack.done.clear()
        self.runs[stack.id] = run

        def carry_out() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 (a stack must never be left in progress)
                traceback.print_exc()
                run.state(failed, f"defect of the sandbox: {type(error).__name__}: {error}")
            finally:
                stack.done.set()

        self.world.spawn(f"stack-{stack.name}", carry_out)
        stack.done.wait(GRACE)

    def _check_exports(self, stacks: Stacks, stack: Stack, outputs: list[dict[str, Any]]) -> None:
        new = {one["ExportName"]: one["OutputValue"] for one in outputs if "ExportName" in one}
        for name, (_, owner) in stacks.exports().items():
            if name in new and owner is not stack:
                raise StackError(
                    f"Export with name {name} is already exported by stack {owner.name}"
                )
        for name, value in stack.exports.items():
            users = [user.name for user in stacks.importers(name) if user is not stack]
            if users and new.get(name) != value:
                verb = "updated" if name in new else "deleted"
                raise StackError(
                    f"Export {name} cannot be {verb} as it is in use by {', '.join(users)}"
                )

    def _special(self, ctx: Context, run: Run, kind: str) -> Handler:
        if kind == STACK:
            settled = lambda name: self._settled(ctx, name)  # noqa: E731
            return NestedStack(run.stack, self._announce, settled, restore=run.rolling_back)
        return CustomResource(
            Surroundings(
                self.callbacks,
                self.world.endpoint,
                self.world.now,
                self.world.wait,
                self.world.spawn,
                self.world.uuid,
            )
        )

    def _announce(self, parent: Parent) -> str:
        token = f"nested-{self.world.uuid()}"
        self.parents[token] = parent
        return token

    def _settled(self, ctx: Context, name: str) -> Stack:
        stack = self.stack(ctx, name)
        while not stack.done.wait(0.5):
            if self.world.stopping.is_set():
                raise StackError("the sandbox is stopping")
        return stack

    def check_topics(self, ctx: Context, topics: Iterable[str]) -> None:
        """Refuse topics that SNS would refuse before anything is done.

        Raises:
            StackError: One is no topic of this region, or does not exist.
        """
        for arn in topics:
            if not re.fullmatch(rf"arn:[a-z-]+:sns:{ctx.region}:\d{{12}}:[^:]+", arn):
                said = (
                    "Invalid parameter: TopicArn",
                    "Status Code: 400; Error Code: InvalidParameter",
                )
            elif not moto_state.has_topic(arn):
                said = "Topic does not exist", "Status Code: 404; Error Code: NotFound"
            else:
                continue
            raise StackError(f"{said[0]}: {arn} (Service: AmazonSNS; {said[1]})")

    def _notify(self, ctx: Context, stack: Stack, event: Mapping[str, Any]) -> None:
        for arn in stack.notify:
            lines = "\n".join(f"{key}='{value}'" for key, value in event.items())
            sns = ctx.client("sns", account=ctx.account)
            try:
                sns.publish(TopicArn=arn, Subject="AWS CloudFormation Notification", Message=lines)
            except ClientError as error:
                said = f"{arn}: not notified: {error.response['Error']['Code']}"
                stack.reason = f"{stack.reason} {said}".strip()


def fetch(url: str, aws: Aws) -> str:
    """Read a template from its address in S3.

    Raises:
        StackError: It is no address in S3, or the object cannot be read.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).lstrip("/")
    virtual = re.fullmatch(r"(.+)\.s3[.-].*", parts.netloc)
    bucket, key = (virtual[1], path) if virtual else path.partition("/")[::2]
    if parts.scheme not in ("https", "http") or not bucket or not key:
        raise StackError(f"TemplateURL must be a supported URL: {url}")
    version = parse_qs(parts.query).get("versionId")
    said = {"VersionId": version[0]} if version else {}
    try:
        found = aws.call("s3:GetObject", Bucket=bucket, Key=key, **said)
    except CallError as error:
        raise StackError(f"S3 error: {error.message} ({url})") from error
    text: str = found["Body"].read().decode()
    return text


def tags_of(given: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return a request's tags.

    Raises:
        StackError: One has AWS's own prefix.
    """
    tags = {tag["Key"]: tag["Value"] for tag in given}
    if own := sorted(key for key in tags if key.lower().startswith("aws:")):
        raise StackError(f"The tag key {own[0]} is not allowed: the prefix aws: is AWS's own")
    return tags


def again(version: Version) -> Asked:
    """Return the request that asks once more for what a stack was asked for."""
    given = [
        {"ParameterKey": key, "ParameterValue": value.given}
        for key, value in version.parameters.items()
    ]
    return Asked(version.body, given, version.tags)


def on_failure(params: Mapping[str, Any]) -> str:
    """Return what a request wants to happen when a creation fails.

    Raises:
        StackError: It gives both OnFailure and DisableRollback.
    """
    if params.get("OnFailure") and params.get("DisableRollback") is not None:
        raise StackError("You can specify either DisableRollback or OnFailure, but not both.")
    if params.get("OnFailure"):
        return str(params["OnFailure"])
    return "DO_NOTHING" if params.get("DisableRollback") else "ROLLBACK"
