"""One CloudFormation stack, changed by change set only."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between two looks at what AWS is doing


class StackError(RuntimeError):
    """What CloudFormation refused or failed at, in one line with its reason."""


class Stack:
    """A stack in AWS, and the change set that is made for it."""

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 (boto3's clients have no type)
        self.client, self.name = client, name
        self.change_set = {"StackName": name, "ChangeSetName": f"deploy-{time.time_ns()}"}
        self.new = self.describe().get("StackStatus", "REVIEW_IN_PROGRESS") == "REVIEW_IN_PROGRESS"

    def describe(self) -> dict[str, Any]:
        """Return what AWS says of the stack; nothing if it does not exist."""
        try:
            return dict(self.client.describe_stacks(StackName=self.name)["Stacks"][0])
        except self.client.exceptions.ClientError as error:
            if "does not exist" not in str(error):
                raise
            return {}

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs; nothing if it does not exist."""
        return {o["OutputKey"]: o["OutputValue"] for o in self.describe().get("Outputs", [])}

    def prepare(self, body: str, values: Mapping[str, str], tags: Mapping[str, str]) -> list[str]:
        """Make the change set and return its changes, a line each; none if nothing changes.

        Raises:
            StackError: if CloudFormation refuses the template or a parameter.
        """
        self.client.create_change_set(
            **self.change_set,
            ChangeSetType="CREATE" if self.new else "UPDATE",
            TemplateBody=body,
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in values.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            **({"OnStackFailure": "DELETE"} if self.new else {}),
        )
        pauses = _pauses()
        while True:
            made = self.client.describe_change_set(**self.change_set)
            if made["Status"] == "CREATE_COMPLETE":
                return [_line(change["ResourceChange"]) for change in made["Changes"]]
            if made["Status"] == "FAILED":
                self.discard()
                if re.search("didn't contain changes|No updates", made["StatusReason"]):
                    return []
                raise StackError(f"{self.name}: {made['StatusReason']}")
            time.sleep(next(pauses))

    def discard(self) -> None:
        """Take back the change set, and the empty stack that it made."""
        self.client.delete_change_set(**self.change_set)
        if self.new:
            self.client.delete_stack(StackName=self.name)
            pauses = _pauses()
            while self.describe().get("StackStatus", "").endswith("_IN_PROGRESS"):
                time.sleep(next(pauses))

    def execute(self) -> None:
        """Execute the change set and wait. Raises StackError with the first reason of a failure."""
        stack_id = self.describe()["StackId"]  # a failed new stack is deleted: only its id finds it
        self.client.execute_change_set(**self.change_set)
        pauses = _pauses()
        while True:
            time.sleep(next(pauses))
            status = self.client.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                return
            if not status.endswith("_IN_PROGRESS"):
                break
        events = self.client.describe_stack_events(StackName=stack_id)["StackEvents"]
        failed = [e for e in events if e["ResourceStatus"].endswith("_FAILED")] or events
        reason = failed[-1].get("ResourceStatusReason", status)  # the oldest event comes last
        raise StackError(f"{self.name}: {failed[-1]['LogicalResourceId']}: {reason}")


def _pauses() -> Iterator[float]:
    """Yield ever longer pauses."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _line(change: Mapping[str, str]) -> str:
    what = "Replace" if change.get("Replacement") == "True" else change["Action"]
    return f"  {what:<8}{change['LogicalResourceId']} {change['ResourceType']}"
