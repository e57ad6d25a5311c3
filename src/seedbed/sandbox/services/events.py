"""EventBridge: moto keeps buses, rules and targets; delivery is ours.

Delivered to: Lambda, SQS, SNS, log groups, buses (other accounts' too), CodePipeline, CodeBuild and
SageMaker pipelines, with retries and dead-letter queues. Any other target is refused by PutTargets.
Schedules are kept and never run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar, cast

from botocore.exceptions import ClientError
from moto.events.models import Rule, events_backends

from seedbed.sandbox import identity
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.services import targets
from seedbed.sandbox.world import Context, World

PRINCIPAL = "events.amazonaws.com"
MOST_ENTRIES = 10
PASSING = "from-a-bus/"
# EventBridge tries 185 times over 24 hours; the sandbox has not that patience.
MOST_TRIES = 3
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
TESTS = {
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
}
PARAMETERS = {
    "Arn",
    "DeadLetterConfig",
    "Id",
    "Input",
    "InputPath",
    "InputTransformer",
    "RetryPolicy",
    "RoleArn",
    "SageMakerPipelineParameters",
    "SqsParameters",
}


class Events(Service):
    name: ClassVar[str] = "events"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        # Events on their way from one bus to another: PutEvents alone would rename them.
        self._passing: dict[str, dict[str, Any]] = {}

    def put_rule(self, ctx: Context, **params: Any) -> Any:
        """Keep a rule whose pattern can be matched; moto takes an unknown test for a match."""
        if pattern := params.get("EventPattern"):
            for wrong in _unmatched(_parsed(pattern)):
                message = f"Event pattern is not valid. Reason: Unrecognized match type {wrong}"
                raise ServiceError("InvalidEventPatternException", message, 400)
        return self.forward(ctx, "PutRule", params)

    def put_targets(self, ctx: Context, Targets: list[dict[str, Any]], **params: Any) -> Any:
        """Keep targets that can be delivered to; refuse the others by name."""
        for target in Targets:
            kind = targets.kind_of(target["Arn"])
            if kind is None:
                raise unsupported(f"the target {target['Arn']} (Id {target['Id']}) of events")
            if unknown := sorted(set(target) - PARAMETERS):
                raise unsupported(f"{unknown[0]} of the target {target['Id']} of events")
            if kind in targets.NEED_ROLE and "RoleArn" not in target:
                message = f"RoleArn is required for target {target['Arn']}."
                raise ServiceError("ValidationException", message)
            foreign = kind == "bus" and target["Arn"].split(":")[4] != ctx.account
            if foreign and "InputTransformer" in target:
                message = "InputTransformer is not allowed for a bus of another account."
                raise ServiceError("ValidationException", message)
        return self.forward(ctx, "PutTargets", {**params, "Targets": Targets})

    def put_events(self, ctx: Context, Entries: list[dict[str, Any]], **params: Any) -> Any:
        """Take events; matching rules are delivered in the background."""
        if params:
            raise unsupported(f"the parameter {min(params)} of events:PutEvents")
        if len(Entries) > MOST_ENTRIES:
            raise ServiceError("ValidationException", "at most 10 entries can be put at once")
        answers = [self._take(ctx, entry) for entry in Entries]
        failed = sum("ErrorCode" in answer for answer in answers)
        return {"FailedEntryCount": failed, "Entries": answers}

    def _take(self, ctx: Context, entry: Mapping[str, Any]) -> dict[str, str]:
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                message = f"Parameter {name} is not valid. Reason: {name} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": message}
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        passed = self._passing.get(entry.get("TraceHeader", "").removeprefix(PASSING))
        if passed is not None:
            self.publish(passed, entry["EventBusName"], ctx.account, ctx.region)
            return {"EventId": passed["id"]}
        if ctx.principal.kind in {"role", "user"} and entry["Source"].startswith("aws."):
            message = "Not authorized for the source."
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": message}
        time = entry.get("Time") or self.world.now()
        event = {
            "version": "0",
            "id": self.world.uuid(),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": ctx.account,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": ctx.region,
            "resources": list(entry.get("Resources", [])),
            "detail": detail,
        }
        self.publish(event, entry.get("EventBusName") or "default", ctx.account, ctx.region)
        return {"EventId": event["id"]}

    def publish(self, event: Mapping[str, Any], bus: str, account: str, region: str) -> None:
        """Match an event against a bus's rules and deliver it; the event keeps its `account`.

        Raises:
            ServiceError: There is no such bus.
        """
        if bus.startswith("arn:"):
            region, account = bus.split(":")[3:5]
        name = bus.rsplit("/", 1)[-1]
        found = events_backends[account][region].event_buses.get(name)
        if found is None:
            raise ServiceError("ResourceNotFoundException", f"Event bus {name} does not exist.")
        for rule in list(found.rules.values()):
            if rule.state != "ENABLED" or rule.scheduled_expression:
                continue
            if rule.event_pattern.get_pattern() and rule.event_pattern.matches_event(
                cast("Any", dict(event))
            ):
                for target in list(rule.targets):
                    self.world.spawn("event", self._deliver, dict(event), rule, dict(target))

    def _deliver(self, event: dict[str, Any], rule: Rule, target: dict[str, Any]) -> None:
        principal = identity.service_principal(rule.account_id, PRINCIPAL, rule.arn)
        ctx = self.world.context(
            "events", rule.account_id, rule.region_name, principal=principal, operation="Deliver"
        )
        tries = 1 + int(target.get("RetryPolicy", {}).get("MaximumRetryAttempts", MOST_TRIES - 1))
        failure: ClientError | None = None
        for attempt in range(min(tries, MOST_TRIES)):
            if attempt and self.world.wait(0.05 * 2**attempt):
                return
            try:
                self._send(ctx, event, rule, target)
            except ClientError as error:
                failure = error
                if error.response["Error"]["Code"] in targets.FINAL:
                    break
            else:
                return
        if failure is not None:
            self._bury(ctx, event, rule, target, failure)

    def _send(
        self, ctx: Context, event: dict[str, Any], rule: Rule, target: dict[str, Any]
    ) -> None:
        kind = targets.kind_of(target["Arn"])
        if kind == "bus":
            self._pass_on(ctx, event, rule, target)
            return
        client = ctx.client(
            str(kind),
            role_arn=target.get("RoleArn"),
            region=target["Arn"].split(":")[3],
            as_service=PRINCIPAL,
            source_arn=rule.arn,
            session_name="events",
        )
        targets.SENDERS[str(kind)](client, target, shaped(event, rule, target), event["id"])

    def _pass_on(
        self, ctx: Context, event: dict[str, Any], rule: Rule, target: dict[str, Any]
    ) -> None:
        # PutEvents would make the event the caller's; EventBridge keeps account and resources.
        key = self.world.uuid()
        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event["resources"],
            "EventBusName": target["Arn"],
            "TraceHeader": f"{PASSING}{key}",
        }
        self._passing[key] = event
        client = ctx.client(
            "events",
            role_arn=target.get("RoleArn"),
            region=target["Arn"].split(":")[3],
            as_service=PRINCIPAL,
            source_arn=rule.arn,
            session_name="events",
        )
        try:
            client.put_events(Entries=[entry])
        finally:
            del self._passing[key]

    def _bury(
        self,
        ctx: Context,
        event: dict[str, Any],
        rule: Rule,
        target: dict[str, Any],
        failure: ClientError,
    ) -> None:
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        if queue is None:
            return
        said = failure.response["Error"]
        attributes = {
            "ERROR_CODE": said["Code"],
            "ERROR_MESSAGE": said["Message"][:1000],
            "RULE_ARN": rule.arn,
            "TARGET_ARN": target["Arn"],
        }
        region, account, name = queue.split(":")[3:]
        client = ctx.client("sqs", as_service=PRINCIPAL, source_arn=rule.arn, region=region)
        with suppress(ClientError):  # without a queue, or its leave, the event is lost
            client.send_message(
                QueueUrl=f"{self.world.endpoint}/{account}/{name}",
                MessageBody=json.dumps(event),
                MessageAttributes={
                    key: {"DataType": "String", "StringValue": value or "-"}
                    for key, value in attributes.items()
                },
            )


def _parsed(pattern: str) -> object:
    try:
        return json.loads(pattern)
    except ValueError:
        return None  # moto says so


def _unmatched(pattern: object, *, test: bool = False) -> Iterator[str]:
    """Yield the tests of a pattern that EventBridge does not have, or moto does not carry out."""
    if isinstance(pattern, list):
        for one in pattern:
            yield from _unmatched(one, test=True)
    elif isinstance(pattern, Mapping) and test:
        if not set(pattern) <= TESTS:
            yield min(set(pattern) - TESTS)
        if isinstance(inner := pattern.get("anything-but"), Mapping):
            yield from _unmatched(inner, test=True)
    elif isinstance(pattern, Mapping):
        for name, one in pattern.items():
            for part in one if name == "$or" else [one]:
                yield from _unmatched(part)


def shaped(event: Mapping[str, Any], rule: Rule, target: Mapping[str, Any]) -> str:
    """Return what a target gets: the event, a part of it, a constant, or a filled-in template."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(pick(event, target["InputPath"]))
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    values = {
        name: pick(event, path) for name, path in transformer.get("InputPathsMap", {}).items()
    }
    values |= {
        "aws.events.event.json": event,
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event.ingestion-time": event["time"],
    }

    def fill(found: re.Match[str]) -> str:
        value = values.get(found[1])
        # Inside quotes a string stands bare; elsewhere a value is JSON.
        quotes = found.string[: found.start()].replace('\\"', "").count('"')
        if quotes % 2 == 0:
            return json.dumps(value)
        if value is None:
            return ""
        return json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)

    return re.sub(r"<([\w.-]+)>", fill, str(transformer["InputTemplate"]))


def pick(event: object, path: str) -> Any:
    """Follow a JSON path of names and indices, `$.detail.items[0].name`; absent: None."""
    value: Any = event
    for name, index in re.findall(r"\.([\w-]+)|\[(\d+)\]", path.removeprefix("$")):
        if index:
            value = (
                value[int(index)] if isinstance(value, list) and len(value) > int(index) else None
            )
        else:
            value = value.get(name) if isinstance(value, Mapping) else None
    return value
