"""Topics, subscriptions, rules, and policies that are set on several queues or topics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.cloudformation.aws import Aws, CallError, convert, input_shape
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.resources import (
    Generic,
    Resource,
    call_unless_gone,
    tag_map,
)


def text(value: Any) -> str:
    """Write an attribute's value as the query APIs take it."""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


class Topic:
    """AWS::SNS::Topic."""

    ATTRIBUTES = (
        "DisplayName", "KmsMasterKeyId", "FifoTopic", "ContentBasedDeduplication",
        "SignatureVersion", "TracingConfig", "ArchivePolicy", "FifoThroughputScope",
        "MaximumMessageSize",
    )  # fmt: skip

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        self._check(resource)
        suffix = ".fifo" if given.get("FifoTopic") else ""
        name = given.get("TopicName") or resource.unique(250) + suffix
        attributes = {key: text(given[key]) for key in self.ATTRIBUTES if key in given}
        tags = {"Tags": given["Tags"]} if given.get("Tags") else {}
        made = aws.call("sns:CreateTopic", Name=name, Attributes=attributes, **tags)
        resource.physical_id = made["TopicArn"]
        resource.attributes |= {"TopicArn": made["TopicArn"], "TopicName": name}
        self._subscribe(resource, [], aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new, arn = resource.properties, resource.physical_id
        self._check(resource)
        for key in self.ATTRIBUTES:
            if new.get(key) != old.get(key):
                value = text(new.get(key, ""))
                aws.call(
                    "sns:SetTopicAttributes", TopicArn=arn, AttributeName=key, AttributeValue=value
                )
        before, after = tag_map(old.get("Tags", [])), tag_map(new.get("Tags", []))
        if gone := sorted(set(before) - set(after)):
            aws.call("sns:UntagResource", ResourceArn=arn, TagKeys=gone)
        if set(after.items()) - set(before.items()):
            aws.call("sns:TagResource", ResourceArn=arn, Tags=new["Tags"])
        self._subscribe(resource, old.get("Subscription", []), aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        self._unsubscribe(resource, resource.properties.get("Subscription", []), aws)
        call_unless_gone(aws, "sns:DeleteTopic", TopicArn=resource.physical_id)

    def _check(self, resource: Resource) -> None:
        for name in resource.properties:
            if name not in (*self.ATTRIBUTES, "TopicName", "Tags", "Subscription"):
                raise ResourceError(f"{resource.where}: property {name} is not emulated")

    def _subscribe(self, resource: Resource, old: list[Any], aws: Aws) -> None:
        wanted = resource.properties.get("Subscription", [])
        for one in wanted:
            if one not in old:
                aws.call("sns:Subscribe", TopicArn=resource.physical_id, **one)
        self._unsubscribe(resource, [one for one in old if one not in wanted], aws)

    def _unsubscribe(self, resource: Resource, gone: list[Any], aws: Aws) -> None:
        if not gone:
            return
        found = call_unless_gone(aws, "sns:ListSubscriptionsByTopic", TopicArn=resource.physical_id)
        for one in found.get("Subscriptions", []):
            if {"Protocol": one["Protocol"], "Endpoint": one["Endpoint"]} in gone:
                call_unless_gone(aws, "sns:Unsubscribe", SubscriptionArn=one["SubscriptionArn"])


class Subscription:
    """AWS::SNS::Subscription."""

    ATTRIBUTES = (
        "DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery",
        "RedrivePolicy", "SubscriptionRoleArn", "ReplayPolicy",
    )  # fmt: skip

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        self._check(resource, aws)
        said = {key: given[key] for key in ("TopicArn", "Protocol", "Endpoint") if key in given}
        attributes = {key: text(given[key]) for key in self.ATTRIBUTES if key in given}
        made = aws.call("sns:Subscribe", ReturnSubscriptionArn=True, Attributes=attributes, **said)
        resource.physical_id = resource.attributes["Arn"] = made["SubscriptionArn"]

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new = resource.properties
        self._check(resource, aws)
        for key in self.ATTRIBUTES:
            if new.get(key) != old.get(key):
                aws.call(
                    "sns:SetSubscriptionAttributes", SubscriptionArn=resource.physical_id,
                    AttributeName=key, AttributeValue=text(new.get(key, {})),
                )  # fmt: skip

    def delete(self, resource: Resource, aws: Aws) -> None:
        call_unless_gone(aws, "sns:Unsubscribe", SubscriptionArn=resource.physical_id)

    def _check(self, resource: Resource, aws: Aws) -> None:
        region = resource.properties.get("Region", aws.region)
        if region != aws.region:
            raise ResourceError(f"{resource.where}: property Region {region} is not emulated")


class AttachedPolicy:
    """AWS::SQS::QueuePolicy and AWS::SNS::TopicPolicy: one policy on several targets."""

    def __init__(self, targets: str) -> None:
        self.targets = targets

    def create(self, resource: Resource, aws: Aws) -> None:
        resource.physical_id = resource.attributes["Id"] = resource.unique(128)
        self._set(resource.properties[self.targets], resource.properties["PolicyDocument"], aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new = resource.properties
        self._set(new[self.targets], new["PolicyDocument"], aws)
        self._clear([one for one in old[self.targets] if one not in new[self.targets]], aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        self._clear(resource.properties[self.targets], aws)

    def _set(self, targets: list[str], policy: Any, aws: Aws) -> None:
        for target in targets:
            if self.targets == "Queues":
                said = {"QueueUrl": target, "Attributes": {"Policy": text(policy)}}
                aws.call("sqs:SetQueueAttributes", **said)
            else:
                aws.call(
                    "sns:SetTopicAttributes", TopicArn=target, AttributeName="Policy",
                    AttributeValue=text(policy),
                )  # fmt: skip

    def _clear(self, targets: list[str], aws: Aws) -> None:
        for target in targets:
            if self.targets == "Queues":
                said = {"QueueUrl": target, "Attributes": {"Policy": ""}}
                call_unless_gone(aws, "sqs:SetQueueAttributes", **said)
            else:
                # A topic has no empty policy: the owner's own takes its place, as in AWS.
                owner = {
                    "Sid": "__default_statement_ID", "Effect": "Allow",
                    "Principal": {"AWS": "*"},
                    "Action": ["sns:Publish", "sns:Subscribe", "sns:GetTopicAttributes"],
                    "Resource": target,
                    "Condition": {"StringEquals": {"AWS:SourceOwner": aws.account}},
                }  # fmt: skip
                policy = {"Version": "2008-10-17", "Statement": [owner]}
                call_unless_gone(
                    aws, "sns:SetTopicAttributes", TopicArn=target, AttributeName="Policy",
                    AttributeValue=text(policy),
                )  # fmt: skip


class Queue(Generic):
    """AWS::SQS::Queue: a FIFO queue's name tells what it is; a standard one must not say so."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        if given.get("FifoQueue") and "QueueName" not in given:
            given["QueueName"] = resource.attributes["QueueName"] = resource.unique(75) + ".fifo"
        if given.get("FifoQueue") is False:
            given.pop("FifoQueue")
        super().create(resource, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        if resource.properties.get("FifoQueue") is False:
            resource.properties.pop("FifoQueue")
        old = {key: value for key, value in old.items() if value is not False or key != "FifoQueue"}
        super().update(resource, old, aws)


class Rule:
    """AWS::Events::Rule with its targets."""

    SAID = ("Description", "EventPattern", "EventBusName", "RoleArn", "ScheduleExpression", "State")

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        name = given.get("Name") or resource.unique(64)
        tags = {"Tags": given["Tags"]} if given.get("Tags") else {}
        made = aws.call("events:PutRule", Name=name, **self._said(resource), **tags)
        bus = given.get("EventBusName", "default").rsplit("/", 1)[-1]
        # Ref is the rule's name, behind its bus where that is not the default one.
        resource.physical_id = name if bus == "default" else f"{bus}|{name}"
        resource.attributes |= {"Arn": made["RuleArn"], "RuleName": name}
        self._targets(resource, {}, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new, name = resource.properties, resource.attributes["RuleName"]
        # PutRule replaces the whole rule: what is left out is taken away.
        aws.call("events:PutRule", Name=name, **self._said(resource))
        arn = resource.attributes["Arn"]
        before, after = tag_map(old.get("Tags", [])), tag_map(new.get("Tags", []))
        if gone := sorted(set(before) - set(after)):
            aws.call("events:UntagResource", ResourceARN=arn, TagKeys=gone)
        if set(after.items()) - set(before.items()):
            aws.call("events:TagResource", ResourceARN=arn, Tags=new["Tags"])
        self._targets(resource, old, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        name = resource.attributes.get("RuleName", resource.physical_id.rpartition("|")[2])
        ids = [target["Id"] for target in resource.properties.get("Targets", [])]
        bus = self._bus(resource)
        if ids:
            call_unless_gone(aws, "events:RemoveTargets", Rule=name, Ids=ids, **bus)
        call_unless_gone(aws, "events:DeleteRule", Name=name, **bus)

    def _bus(self, resource: Resource) -> dict[str, str]:
        bus = resource.properties.get("EventBusName")
        return {"EventBusName": bus} if bus else {}

    def _said(self, resource: Resource) -> dict[str, Any]:
        given = resource.properties
        said = {key: given[key] for key in self.SAID if key in given}
        if "EventPattern" in said:
            said["EventPattern"] = text(said["EventPattern"])
        return said

    def _targets(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        name, bus = resource.attributes["RuleName"], self._bus(resource)
        after, before = resource.properties.get("Targets", []), old.get("Targets", [])
        kept = {target["Id"] for target in after}
        gone = [target["Id"] for target in before if target["Id"] not in kept]
        if gone:
            aws.call("events:RemoveTargets", Rule=name, Ids=gone, **bus)
        if after and after != before:
            shape = input_shape("events:PutTargets").members["Targets"]
            targets = convert(after, shape, f"{resource.where}: property Targets")
            answer = self._put(resource, targets, {"Rule": name, **bus}, aws)
            for entry in answer.get("FailedEntries", []):
                raise ResourceError(
                    f"{resource.where}: target {entry['TargetId']}: {entry['ErrorMessage']}"
                )

    def _put(
        self, resource: Resource, targets: list[Any], rule: Mapping[str, str], aws: Aws
    ) -> dict[str, Any]:
        try:
            return aws.call("events:PutTargets", Targets=targets, **rule)
        except CallError as error:
            if error.code != "NotImplementedInSandbox":
                raise
            at = next((n for n, one in enumerate(targets) if one["Arn"] in error.said), None)
            place = "Targets" if at is None else f"Targets/{at}/Arn"
            raise ResourceError(f"{resource.where}: property {place}: {error.message}") from error


class EventBusPolicy:
    """AWS::Events::EventBusPolicy: one statement of a bus's policy."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        bus = given.get("EventBusName", "default")
        self._put(resource, aws)
        resource.physical_id = f"{bus}|{given['StatementId']}"

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        del old
        self._put(resource, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        call_unless_gone(
            aws, "events:RemovePermission", StatementId=resource.properties["StatementId"],
            EventBusName=resource.properties.get("EventBusName", "default"),
        )  # fmt: skip

    def _put(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        bus = given.get("EventBusName", "default")
        if "Statement" not in given:
            said = {key: given[key] for key in ("Action", "Principal", "Condition") if key in given}
            aws.call(
                "events:PutPermission", EventBusName=bus, StatementId=given["StatementId"], **said
            )
            return
        found = aws.call("events:DescribeEventBus", Name=bus).get("Policy")
        policy: dict[str, Any] = {"Version": "2012-10-17", "Statement": []}
        if found:
            policy = json.loads(found)
        statement = {**given["Statement"], "Sid": given["StatementId"]}
        others = [one for one in policy["Statement"] if one.get("Sid") != given["StatementId"]]
        policy["Statement"] = [*others, statement]
        aws.call("events:PutPermission", EventBusName=bus, Policy=json.dumps(policy))
