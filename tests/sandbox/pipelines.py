"""Helpers of these tests: pipelines, their sources, and waiting for what they do."""

from __future__ import annotations

import io
import zipfile

from access import allow, make_role, trusting
from waiting import until

HERE = {"LocationConstraint": "eu-west-1"}
TRUST = trusting({"Service": "codepipeline.amazonaws.com"})
DEV = "333333333333"


def zipped(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return packed.getvalue()


def unzipped(body):
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        return {name: archive.read(name).decode() for name in names}


def buckets(sandbox, **files):
    """Make a bucket for artifacts, and one for sources that holds `source.zip`."""
    s3 = sandbox.client("s3")
    for name in ("artifacts", "sources"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=HERE)
    on = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket="sources", VersioningConfiguration=on)
    return push(sandbox, **(files or {"a": "1"}))


def push(sandbox, **files):
    """Put a new version of the source and return its id."""
    body = zipped(**files)
    put = sandbox.client("s3").put_object(Bucket="sources", Key="source.zip", Body=body)
    return put["VersionId"]


def role(sandbox, *statements, name="pipeline"):
    """Make a pipeline's role: it may read sources and keep artifacts, and what is given."""
    s3 = [
        allow(["s3:GetObject", "s3:GetBucketVersioning"], "arn:aws:s3:::sources*"),
        allow(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::artifacts/*"),
        allow(["s3:GetObjectVersion"], "arn:aws:s3:::sources/*"),
    ]
    return make_role(sandbox, name, *s3, *statements, trust=TRUST)


def action(name, provider, category=None, **more):
    """Return an action's declaration; capital keywords are its configuration."""
    categories = {"CodeBuild": "Build", "Manual": "Approval", "CloudFormation": "Deploy"}
    kind = {"Lambda": "Invoke"} | categories
    configuration = {key: said for key, said in more.items() if key[0].isupper()}
    declared = {
        "name": name,
        "actionTypeId": {
            "category": category or kind.get(provider, "Source"),
            "owner": "AWS",
            "provider": provider,
            "version": "1",
        },
        "configuration": configuration,
    }
    for key in ("inputs", "outputs"):
        if key in more:
            declared[f"{key[:-1]}Artifacts"] = [{"name": one} for one in more.pop(key)]
    return declared | {key: said for key, said in more.items() if key[0].islower()}


def source(name="Source", **more):
    said = {"S3Bucket": "sources", "S3ObjectKey": "source.zip", "outputs": ["src"]}
    return action(name, "S3", **(said | more))


def stage(name, *actions, **more):
    return {"name": name, "actions": list(actions), **more}


def pipeline(role_arn, *stages, **more):
    return {
        "name": "churn",
        "roleArn": role_arn,
        "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": list(stages),
        **more,
    }


def status(client, number=None, name="churn"):
    """Return an execution's status: the latest execution's unless an id is given."""
    if number is None:
        found = client.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
        return found[0]["status"] if found else ""
    asked = {"pipelineName": name, "pipelineExecutionId": number}
    return client.get_pipeline_execution(**asked)["pipelineExecution"]["status"]


def ended(client, number=None, name="churn"):
    """Wait for an execution's end and return its status."""
    running = {"", "InProgress", "Stopping"}
    return until(lambda: status(client, number, name), lambda one: one not in running)


def actions(client, number=None, name="churn"):
    """Return the tries of actions, oldest first."""
    asked = {"filter": {"pipelineExecutionId": number}} if number else {}
    said = client.list_action_executions(pipelineName=name, **asked)
    return said["actionExecutionDetails"][::-1]


def failure(client, number=None, name="churn"):
    """Return why the last action that failed did."""
    (*_, last) = [one for one in actions(client, number, name) if one["status"] == "Failed"]
    return last["output"]["executionResult"]["errorDetails"]


def latest(client, stage_name, action_name, name="churn"):
    """Return the state of an action."""
    for one in client.get_pipeline_state(name=name)["stageStates"]:
        for state in one["actionStates"]:
            if (one["stageName"], state["actionName"]) == (stage_name, action_name):
                return state.get("latestExecution", {})
    raise LookupError(action_name)


def waits(client, stage_name="Approve", action_name="Approve", *, other=""):
    """Wait until an approval is asked for, and return its token."""
    state = until(
        lambda: latest(client, stage_name, action_name),
        lambda one: one.get("token", other) != other,
    )
    return state["token"]


def answer(client, said, token, stage_name="Approve", action_name="Approve"):
    client.put_approval_result(
        pipelineName="churn",
        stageName=stage_name,
        actionName=action_name,
        token=token,
        result={"status": said, "summary": "because"},
    )
