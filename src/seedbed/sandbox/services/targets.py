"""What EventBridge's rules deliver to, and how."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

# kind -> ARN
KINDS = {
    "bus": r"arn:aws:events:[^:]+:\d{12}:event-bus/[^/]+",
    "codebuild": r"arn:aws:codebuild:[^:]+:\d{12}:project/.+",
    "codepipeline": r"arn:aws:codepipeline:[^:]+:\d{12}:[^:/]+",
    "lambda": r"arn:aws:lambda:[^:]+:\d{12}:function:.+",
    "logs": r"arn:aws:logs:[^:]+:\d{12}:log-group:.+",
    "sagemaker": r"arn:aws:sagemaker:[^:]+:\d{12}:pipeline/.+",
    "sns": r"arn:aws:sns:[^:]+:\d{12}:[^:]+",
    "sqs": r"arn:aws:sqs:[^:]+:\d{12}:[^:]+",
}
NEED_ROLE = frozenset({"codebuild", "codepipeline", "sagemaker"})
# Errors that another try cannot mend: straight to the dead-letter queue.
FINAL = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "NotFoundException",
        "PipelineNotFoundException",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "NotImplementedInSandbox",
    }
)


def kind_of(arn: str) -> str | None:
    """Return what kind of target an ARN is, or None if it cannot be delivered to."""
    return next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, arn)), None)


Target = Mapping[str, Any]


def _lambda(client: Any, target: Target, body: str, event_id: str) -> None:
    del event_id
    client.invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=body.encode())


def _sqs(client: Any, target: Target, body: str, event_id: str) -> None:
    account, name = target["Arn"].split(":")[4:]
    said = {"QueueUrl": f"{client.meta.endpoint_url}/{account}/{name}", "MessageBody": body}
    if group := target.get("SqsParameters", {}).get("MessageGroupId"):
        said |= {"MessageGroupId": group, "MessageDeduplicationId": event_id}
    client.send_message(**said)


def _sns(client: Any, target: Target, body: str, event_id: str) -> None:
    del event_id
    client.publish(TopicArn=target["Arn"], Message=body)


def _logs(client: Any, target: Target, body: str, event_id: str) -> None:
    group = target["Arn"].split(":log-group:")[1].removesuffix(":*")
    client.create_log_stream(logGroupName=group, logStreamName=event_id)
    client.put_log_events(
        logGroupName=group,
        logStreamName=event_id,
        logEvents=[{"timestamp": int(time.time() * 1000), "message": body}],
    )


def _codebuild(client: Any, target: Target, body: str, event_id: str) -> None:
    said = json.loads(body)
    # Only a transformed input can override a build: the plain event has none of these members.
    known = {"environmentVariablesOverride", "sourceVersion", "buildspecOverride"}
    overrides = {key: value for key, value in said.items() if key in known}
    project = target["Arn"].rsplit("/", 1)[-1]
    client.start_build(projectName=project, idempotencyToken=event_id, **overrides)


def _codepipeline(client: Any, target: Target, body: str, event_id: str) -> None:
    said = json.loads(body)
    extra = {key: said[key] for key in ("variables", "sourceRevisions") if key in said}
    name = target["Arn"].rsplit(":", 1)[-1]
    client.start_pipeline_execution(name=name, clientRequestToken=event_id, **extra)


def _sagemaker(client: Any, target: Target, body: str, event_id: str) -> None:
    del body
    given = target.get("SageMakerPipelineParameters", {}).get("PipelineParameterList", [])
    client.start_pipeline_execution(
        PipelineName=target["Arn"], ClientRequestToken=event_id, PipelineParameters=given
    )


SENDERS: dict[str, Callable[[Any, Target, str, str], None]] = {
    "codebuild": _codebuild,
    "codepipeline": _codepipeline,
    "lambda": _lambda,
    "logs": _logs,
    "sagemaker": _sagemaker,
    "sns": _sns,
    "sqs": _sqs,
}
