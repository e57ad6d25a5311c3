"""What moto's services send to each other, sent through the front instead.

moto hands messages from model to model: past the receiver's policy, and into a Lambda of its own
that needs Docker. Here the sending service calls the receiver as itself, for its resource, so that
IAM judges it and the log tells it. What cannot be delivered is lost, as in AWS.
"""

from __future__ import annotations

import base64
import gzip
import json
from contextvars import ContextVar
from datetime import UTC
from typing import Any

from botocore.exceptions import ClientError
from moto.s3.notifications import _detail_type, _get_s3_event

from seedbed.sandbox.service import unsupported
from seedbed.sandbox.world import Context

# The request that moto is answering in this thread.
ASKING: ContextVar[Context] = ContextVar("asking")


def client(service: str, sender: str, source_arn: str, account: str, region: str) -> Any:
    """Return a client as a service principal that acts for a resource."""
    ctx = ASKING.get().world.context(sender, account, region)
    return ctx.client(service, as_service=f"{sender}.amazonaws.com", source_arn=source_arn)


def send(sender: str, source_arn: str, account: str, target: str, body: str, **more: Any) -> bool:
    """Send a text to a queue, topic or function; tell whether it was taken.

    `account` is the sending resource's; `more` goes to a queue.
    """
    service, region = target.split(":")[2:4]
    there = client(service, sender, source_arn, account, region)
    try:
        if service == "lambda":
            there.invoke(FunctionName=target, InvocationType="Event", Payload=body.encode())
        elif service == "sns":
            there.publish(TopicArn=target, Message=body)
        else:
            owner, name = target.split(":")[4:6]
            url = f"{there.meta.endpoint_url}/{owner}/{name}"
            there.send_message(QueueUrl=url, MessageBody=body, **more)
    except ClientError:
        return False
    return True


# In place of moto's own functions (moto_hooks.py), with their parameters


def publish(  # noqa: PLR0917 (moto's)
    subscription: Any,
    message: str,
    message_id: str,
    subject: str | None = None,
    message_attributes: dict[str, Any] | None = None,
    group_id: str | None = None,
    deduplication_id: str | None = None,
    message_structure: str | None = None,
) -> None:
    """Deliver a message to a subscription; mail is sent to nobody."""
    matcher = subscription._filter_policy_matcher  # noqa: SLF001
    if matcher is not None and not matcher.matches(message_attributes, message):
        return
    if message_structure == "json":
        message = subscription._parse_message_structure(message, subscription.protocol)  # noqa: SLF001
    if subscription.protocol not in {"lambda", "sqs"}:
        return
    topic, target = subscription.topic.arn, subscription.endpoint
    account = topic.split(":")[4]
    said = _notification(topic, message, message_id, subject, message_attributes or {})
    more: dict[str, Any] = {}
    if subscription.protocol == "lambda":
        record = {
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription.arn,
            "Sns": {**said, "Subject": subject},
        }
        body = json.dumps({"Records": [record]})
    elif str(subscription.attributes.get("RawMessageDelivery")).lower() == "true":
        body, more = message, {"MessageAttributes": _attributes(message_attributes or {})}
    else:
        body = json.dumps(said)
    if target.endswith(".fifo"):
        more |= {"MessageGroupId": group_id, "MessageDeduplicationId": deduplication_id}
        more = {name: value for name, value in more.items() if value}
    redrive = json.loads(subscription.attributes.get("RedrivePolicy") or "{}")
    if not send("sns", topic, account, target, body, **more) and redrive:
        send("sns", topic, account, redrive["deadLetterTargetArn"], body, **more)


def _notification(
    topic: str, message: str, message_id: str, subject: str | None, attributes: dict[str, Any]
) -> dict[str, Any]:
    now = ASKING.get().world.now().astimezone(UTC)
    said = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": topic,
        "Message": message,
        "Timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
    }
    if subject:
        said["Subject"] = subject
    if not attributes:
        return said
    told = {
        name: {"Type": one["Type"], "Value": _text(one["Value"])}
        for name, one in attributes.items()
    }
    return {**said, "MessageAttributes": told}


def _text(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return a message's attributes as SQS takes them."""
    return {
        name: {
            "DataType": one["Type"],
            ("BinaryValue" if one["Type"].startswith("Binary") else "StringValue"): (
                one["Value"] if isinstance(one["Value"], bytes) else str(one["Value"])
            ),
        }
        for name, one in attributes.items()
    }


REASONS = {"Copy": "CopyObject", "Delete": "DeleteObject", "Put": "PutObject"}


def send_event(account_id: str, event_name: Any, bucket: Any, key: Any) -> None:
    """Tell what happened to an object to all that the bucket's configuration names."""
    wanted = bucket.notification_configuration
    if wanted is None:
        return
    name = str(event_name.value)
    for one in (*wanted.cloud_function, *wanted.queue, *wanted.topic):
        if one.matches(name, key.name):
            event = _get_s3_event(event_name, bucket, key, one.id)
            send("s3", bucket.arn, account_id, one.arn, json.dumps(event))
    if wanted.event_bridge is None:
        return
    what = name.rsplit(":", 1)[-1]
    detail = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {"key": key.name, "size": key.size, "etag": key.etag.replace('"', "")},
        "request-id": ASKING.get().request_id,
        "requester": ASKING.get().principal.account,
        "reason": REASONS.get(what, what),
    }
    entry = {
        "Source": "aws.s3",
        "DetailType": _detail_type(event_name),
        "Detail": json.dumps(detail),
        "Resources": [bucket.arn],
    }
    there = client("events", "s3", bucket.arn, account_id, bucket.region_name)
    there.put_events(Entries=[entry])


def send_test_event(account_id: str, bucket: Any) -> None:
    """Tell the queues and topics of a new configuration that they are named by it."""
    wanted = bucket.notification_configuration
    now = ASKING.get().world.now()
    event = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": f"{now:%Y-%m-%dT%H:%M:%S}.000Z",
        "Bucket": bucket.name,
        "RequestId": ASKING.get().request_id,
    }
    for arn in dict.fromkeys(one.arn for one in (*wanted.queue, *wanted.topic)):
        send("s3", bucket.arn, account_id, arn, json.dumps(event))


def refuse_invocation(function: Any, *_: Any) -> bytes:
    """Keep moto from running functions: only our Lambda does, and who asks it must be known."""
    ctx = ASKING.get()
    raise unsupported(
        f"an invocation of the function {function.function_name} by {ctx.service}:{ctx.operation}"
    )


def send_log_event(  # noqa: PLR0917 (moto's)
    backend: Any, function_arn: str, filter_name: str, group: str, stream: str, events: Any
) -> None:
    """Send a log group's new events to a function that its subscription filter names."""
    data = {
        "messageType": "DATA_MESSAGE",
        "owner": backend.account_id,
        "logGroup": group,
        "logStream": stream,
        "subscriptionFilters": [filter_name],
        "logEvents": events,
    }
    packed = base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()
    source = f"arn:aws:logs:{backend.region_name}:{backend.account_id}:log-group:{group}:*"
    body = json.dumps({"awslogs": {"data": packed}})
    send("logs", source, backend.account_id, function_arn, body)
