"""What the tests of CloudFormation share: deploying a handful of resources and waiting."""

from __future__ import annotations

import json

from waiting import until

ALL = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudformation.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


QUEUE = "AWS::SQS::Queue"
BROKEN = {  # it cannot be made: its dead letters have nowhere to go
    "Type": QUEUE,
    "Properties": {
        "RedrivePolicy": {
            "deadLetterTargetArn": "arn:aws:sqs:eu-west-1:333333333333:absent",
            "maxReceiveCount": 3,
        }
    },
}


def body(resources, **sections):
    """Return a template as text."""
    return json.dumps({"Resources": resources, **sections})


def one(kind, properties=None, **attributes):
    """Return a template's resources: one, called Thing."""
    return {"Thing": {"Type": kind, "Properties": properties or {}, **attributes}}


def parameters(given):
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]


def settle(cf, name):
    """Wait until nothing is under way; return the stack's description."""

    def done(stack):
        status = stack["StackStatus"]
        return status == "REVIEW_IN_PROGRESS" or not status.endswith("_IN_PROGRESS")

    return until(lambda: cf.describe_stacks(StackName=name)["Stacks"][0], done)


def create(cf, name, resources, given=None, tags=None, **options):
    """Create a stack; return its description once it has settled."""
    sections = {key: options.pop(key) for key in list(options) if key in SECTIONS}
    made = cf.create_stack(
        StackName=name,
        TemplateBody=body(resources, **sections),
        Capabilities=ALL,
        Parameters=parameters(given or {}),
        Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        **options,
    )
    return settle(cf, made["StackId"])


def update(cf, name, resources, given=None, **options):
    """Update a stack; return its description once it has settled."""
    sections = {key: options.pop(key) for key in list(options) if key in SECTIONS}
    cf.update_stack(
        StackName=name,
        TemplateBody=body(resources, **sections),
        Capabilities=ALL,
        Parameters=parameters(given or {}),
        **options,
    )
    return settle(cf, name)


def delete(cf, name, **options):
    """Delete a stack; return its description once it has settled."""
    identifier = cf.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    cf.delete_stack(StackName=name, **options)
    return settle(cf, identifier)


SECTIONS = ("Parameters", "Conditions", "Outputs", "Mappings", "Rules", "Transform", "Metadata")


def history(cf, name):
    """Return a stack's events, oldest first: logical id, status, reason."""
    events = cf.describe_stack_events(StackName=name)["StackEvents"]
    return [
        (one["LogicalResourceId"], one["ResourceStatus"], one.get("ResourceStatusReason", ""))
        for one in reversed(events)
    ]


def reason(cf, name):
    """Return why the first resource failed."""
    return next(said for _, status, said in history(cf, name) if status.endswith("_FAILED"))


def physical(cf, name, logical_id="Thing"):
    """Return a resource's physical id."""
    found = cf.describe_stack_resource(StackName=name, LogicalResourceId=logical_id)
    return found["StackResourceDetail"]["PhysicalResourceId"]


def outputs(stack):
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def queues(sqs):
    return sorted(url.rpartition("/")[2] for url in sqs.list_queues().get("QueueUrls", []))


def attribute(sqs, url, name):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"].get(name)


def role(**more):
    return {"AssumeRolePolicyDocument": TRUST, **more}
