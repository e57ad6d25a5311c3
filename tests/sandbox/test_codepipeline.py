"""CodePipeline: pipelines are kept as given, and their executions run."""

from __future__ import annotations

import json

import pytest
from access import allow, document, make_role, refused, trusting
from pipelines import (
    DEV,
    TRUST,
    action,
    actions,
    answer,
    buckets,
    ended,
    failure,
    latest,
    pipeline,
    push,
    role,
    source,
    stage,
    status,
    waits,
)
from waiting import until


def approve():
    return action("Approve", "Manual", CustomData="look")


@pytest.fixture
def client(sandbox):
    return sandbox.client("codepipeline")


@pytest.fixture
def simple(sandbox):
    """A pipeline of a source and an approval, not made yet."""
    buckets(sandbox)
    return pipeline(role(sandbox), stage("Source", source()), stage("Approve", approve()))


def start(client, **more):
    return client.start_pipeline_execution(name="churn", **more)["pipelineExecutionId"]


# Records


def test_a_pipeline_is_read_back_with_the_defaults(client, simple):
    simple["variables"] = [{"name": "stage", "defaultValue": "dev"}]
    simple["stages"][1]["onFailure"] = {
        "result": "RETRY",
        "retryConfiguration": {"retryMode": "FAILED_ACTIONS"},
    }
    client.create_pipeline(pipeline=simple, tags=[{"key": "team", "value": "ml"}])
    found = client.get_pipeline(name="churn")
    read = found["pipeline"]
    assert (read["version"], read["executionMode"]) == (1, "SUPERSEDED")
    assert read["stages"][1]["onFailure"] == simple["stages"][1]["onFailure"]
    assert read["variables"] == simple["variables"]
    first = read["stages"][0]["actions"][0]
    assert (first["runOrder"], first["inputArtifacts"]) == (1, [])
    assert simple["stages"][0]["actions"][0].items() <= first.items()
    arn = found["metadata"]["pipelineArn"]
    assert arn == f"arn:aws:codepipeline:eu-west-1:{DEV}:churn"
    client.tag_resource(resourceArn=arn, tags=[{"key": "x", "value": "y"}])
    client.untag_resource(resourceArn=arn, tagKeys=["x"])
    tags = client.list_tags_for_resource(resourceArn=arn)["tags"]
    assert tags == [{"key": "team", "value": "ml"}]
    (listed,) = client.list_pipelines()["pipelines"]
    assert (listed["name"], listed["pipelineType"]) == ("churn", "V2")


def test_an_update_makes_a_version(client, simple):
    client.create_pipeline(pipeline=simple)
    simple["executionMode"] = "QUEUED"
    assert client.update_pipeline(pipeline=simple)["pipeline"]["version"] == 2
    assert client.get_pipeline(name="churn")["pipeline"]["executionMode"] == "QUEUED"
    old = client.get_pipeline(name="churn", version=1)["pipeline"]
    assert old["executionMode"] == "SUPERSEDED"
    with refused("PipelineVersionNotFoundException", "3"):
        client.get_pipeline(name="churn", version=3)
    client.delete_pipeline(name="churn")
    with refused("PipelineNotFoundException", "churn"):
        client.get_pipeline(name="churn")


def test_a_name_is_taken_once(client, simple):
    client.create_pipeline(pipeline=simple)
    with refused("PipelineNameInUseException", "churn"):
        client.create_pipeline(pipeline=simple)


def change(path, value):
    """Return a function that sets one member of a declaration."""

    def apply(declared):
        *way, last = path
        for step in way:
            declared = declared[step]
        declared[last] = value

    return apply


RULE = {
    "name": "r",
    "ruleTypeId": {"category": "Rule", "provider": "DeploymentWindow", "version": "1"},
}
OTHER = {"category": "Deploy", "owner": "AWS", "provider": "ECS", "version": "1"}
WRONG = [
    (
        ("stages", 1, "actions", 0, "actionTypeId"),
        OTHER,
        "NotImplementedInSandbox",
        "Deploy/AWS/ECS",
    ),
    (
        ("stages", 0, "actions", 0, "actionTypeId", "owner"),
        "ThirdParty",
        "NotImplementedInSandbox",
        "Source/ThirdParty/S3",
    ),
    (
        ("stages", 1, "beforeEntry"),
        {"conditions": [{"rules": [RULE]}]},
        "NotImplementedInSandbox",
        "beforeEntry",
    ),
    (
        ("stages", 1, "onFailure"),
        {"result": "FAIL", "conditions": [{"rules": [RULE]}]},
        "NotImplementedInSandbox",
        "onFailure.conditions",
    ),
    (("stages", 1, "actions", 0, "region"), "us-east-1", "NotImplementedInSandbox", "us-east-1"),
    (
        ("stages", 0, "actions", 0, "configuration", "AllowOverrideForS3ObjectKey"),
        "true",
        "NotImplementedInSandbox",
        "AllowOverrideForS3ObjectKey",
    ),
    (
        ("stages", 0, "actions", 0, "configuration", "Surprise"),
        "x",
        "InvalidActionDeclarationException",
        "Surprise",
    ),
    (
        ("stages", 0, "actions", 0, "configuration"),
        {"S3Bucket": "b"},
        "InvalidActionDeclarationException",
        "S3ObjectKey",
    ),
    (
        ("stages", 1, "actions", 0, "inputArtifacts"),
        [{"name": "src"}],
        "InvalidActionDeclarationException",
        "inputArtifacts",
    ),
    (("stages", 0, "actions"), [approve()], "InvalidStructureException", "first stage"),
    (("stages", 1, "actions"), [source("Two")], "InvalidStructureException", "first stage"),
    (("stages",), [stage("Source", source())], "InvalidStructureException", "two stages"),
    (("pipelineType",), "V1", "InvalidStructureException", "V2"),
    (("name",), "a b", "ValidationException", "a b"),
]


@pytest.mark.parametrize(
    ("path", "value", "code", "word"), WRONG, ids=[f"{one[2]}-{one[3]}" for one in WRONG]
)
def test_a_pipeline_is_refused(client, simple, path, value, code, word):  # noqa: PLR0917
    simple["variables"] = [{"name": "v", "defaultValue": "d"}]
    change(path, value)(simple)
    with refused(code, word):
        client.create_pipeline(pipeline=simple)
    assert client.list_pipelines()["pipelines"] == []


@pytest.mark.parametrize(
    ("trust", "taken"),
    [
        (TRUST, True),
        (trusting({"Service": "codebuild.amazonaws.com"}), False),
        (
            trusting(
                {"Service": "codepipeline.amazonaws.com"},
                Condition={"StringEquals": {"aws:SourceAccount": "222222222222"}},
            ),
            False,
        ),
        (
            trusting(
                {"Service": ["codepipeline.amazonaws.com", "codebuild.amazonaws.com"]},
                Condition={"ArnEquals": {"aws:SourceArn": f"arn:aws:codepipeline:*:{DEV}:churn"}},
            ),
            True,
        ),
    ],
    ids=["plain", "other", "account", "arn"],
)
def test_the_role_must_trust(sandbox, client, simple, trust, taken):
    sandbox.client("iam").update_assume_role_policy(RoleName="pipeline", PolicyDocument=trust)
    if taken:
        client.create_pipeline(pipeline=simple)
        waits(client)
    else:
        with refused("InvalidStructureException", "AssumeRole"):
            client.create_pipeline(pipeline=simple)


def test_everything_else_is_refused(client):
    with refused("NotImplementedInSandbox", "codepipeline:PutWebhook"):
        said = {"filters": [], "authentication": "IP", "authenticationConfiguration": {}}
        client.put_webhook(
            webhook={"name": "w", "targetPipeline": "p", "targetAction": "a", **said}
        )


def test_tags_decide(sandbox, client, simple):
    client.create_pipeline(pipeline=simple, tags=[{"key": "team", "value": "ml"}])
    for team in ("ml", "web"):
        said = {"StringEquals": {"aws:ResourceTag/team": team}}
        make_role(sandbox, team, allow("codepipeline:*", Condition=said))
    sandbox.client("codepipeline", role="ml").get_pipeline_state(name="churn")
    with refused("AccessDeniedException", "codepipeline:GetPipelineState"):
        sandbox.client("codepipeline", role="web").get_pipeline_state(name="churn")


# Executions


def test_a_new_pipeline_runs_and_waits_for_approval(sandbox, client, simple):
    client.create_pipeline(pipeline=simple)
    token = waits(client)
    with refused("InvalidApprovalTokenException"):
        answer(client, "Approved", "00000000-0000-0000-0000-000000000000")
    answer(client, "Approved", token)
    assert ended(client) == "Succeeded"
    with refused("ApprovalAlreadyCompletedException"):
        answer(client, "Approved", token)
    (found,) = client.list_pipeline_executions(pipelineName="churn")["pipelineExecutionSummaries"]
    assert found["trigger"]["triggerType"] == "CreatePipeline"
    first, second = actions(client)
    assert second["output"]["executionResult"]["externalExecutionSummary"] == "because"
    (place,) = first["output"]["outputArtifacts"]
    assert place["s3location"]["key"].startswith("churn/src/")
    stored = sandbox.client("s3").get_object(Bucket="artifacts", Key=place["s3location"]["key"])
    assert stored["ServerSideEncryption"] == "aws:kms"
    said = client.get_pipeline_execution(
        pipelineName="churn", pipelineExecutionId=found["pipelineExecutionId"]
    )["pipelineExecution"]
    (revision,) = said["artifactRevisions"]
    assert (revision["name"], said["executionType"]) == ("src", "STANDARD")
    (call,) = [
        one
        for one in sandbox.calls(service="s3", operation="PutObject")
        if one["params"]["Bucket"] == "artifacts"
    ]
    assert call["principal"].endswith("role/pipeline")


def test_a_rejection_fails(client, simple):
    client.create_pipeline(pipeline=simple)
    answer(client, "Rejected", waits(client))
    assert ended(client) == "Failed"
    assert "because" in failure(client)["message"]
    state = client.get_pipeline_state(name="churn")["stageStates"][1]
    assert state["latestExecution"]["status"] == "Failed"


def test_an_approval_ends_by_itself(sandbox, client, simple):
    client.create_pipeline(pipeline=simple)
    waits(client)
    sandbox.advance(8 * 24 * 3600)
    assert ended(client) == "Failed"
    assert "timed out" in failure(client)["message"]


def test_an_approval_is_told_to_a_topic(sandbox, client, simple):
    topic = sandbox.client("sns").create_topic(Name="approvals")["TopicArn"]
    sqs = sandbox.client("sqs")
    let = document(allow("sqs:SendMessage", Principal={"Service": "sns.amazonaws.com"}))
    queue = sqs.create_queue(QueueName="heard", Attributes={"Policy": let})["QueueUrl"]
    sandbox.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:eu-west-1:{DEV}:heard"
    )
    simple["stages"][1]["actions"][0]["configuration"]["NotificationArn"] = topic
    client.create_pipeline(pipeline=simple)
    assert ended(client) == "Failed"
    assert failure(client)["code"] == "PermissionError"
    may = allow("sns:Publish", topic)
    sandbox.client("iam").put_role_policy(
        RoleName="pipeline", PolicyName="topic", PolicyDocument=document(may)
    )
    start(client)
    token = waits(client)
    (said,) = until(
        lambda: sqs.receive_message(QueueUrl=queue).get("Messages", []), lambda one: one
    )
    told = json.loads(json.loads(said["Body"])["Message"])["approval"]
    assert (told["token"], told["customData"]) == (token, "look")


def test_who_approves_is_judged(sandbox, client, simple):
    client.create_pipeline(pipeline=simple)
    token = waits(client)
    here = f"arn:aws:codepipeline:eu-west-1:{DEV}:churn/Approve/Approve"
    make_role(sandbox, "approver", allow("codepipeline:PutApprovalResult", here))
    make_role(sandbox, "other", allow("codepipeline:PutApprovalResult", here + "2"))
    with refused("AccessDeniedException", "PutApprovalResult"):
        answer(sandbox.client("codepipeline", role="other"), "Approved", token)
    answer(sandbox.client("codepipeline", role="approver"), "Approved", token)
    assert ended(client) == "Succeeded"


def test_what_the_role_may_not_do_fails_the_action(sandbox, client, simple):
    sandbox.client("iam").delete_role_policy(RoleName="pipeline", PolicyName="own")
    client.create_pipeline(pipeline=simple)
    assert ended(client) == "Failed"
    why = failure(client)
    assert why["code"] == "PermissionError"
    assert "s3:GetBucketVersioning" in why["message"]


def test_a_started_version_of_the_source(sandbox, client, simple):
    first = push(sandbox, a="old")
    push(sandbox, a="new")
    client.create_pipeline(pipeline=simple)
    waits(client)
    answer(client, "Approved", waits(client))
    ended(client)
    said = {"actionName": "Source", "revisionValue": first}
    number = start(client, sourceRevisions=[{**said, "revisionType": "S3_OBJECT_VERSION_ID"}])
    until(lambda: len(actions(client, number)), lambda one: one == 2)
    assert actions(client, number)[0]["output"]["outputVariables"]["VersionId"] == first
    found = client.get_pipeline_execution(pipelineName="churn", pipelineExecutionId=number)
    (revision,) = found["pipelineExecution"]["artifactRevisions"]
    assert revision["revisionId"] == first
    with refused("ValidationException", "COMMIT_ID"):
        start(client, sourceRevisions=[{**said, "revisionType": "COMMIT_ID"}])


def test_a_token_starts_once(client, simple):
    client.create_pipeline(pipeline=simple)
    first = start(client, clientRequestToken="t")
    assert start(client, clientRequestToken="t") == first
    assert start(client, clientRequestToken="u") != first


def test_variables(client, simple):
    simple["variables"] = [{"name": "who"}, {"name": "what", "defaultValue": "that"}]
    simple["stages"][0]["actions"][0]["namespace"] = "Src"
    said = "#{variables.who} #{variables.what} #{Src.ObjectKey} #{codepipeline.PipelineExecutionId}"
    simple["stages"][1]["actions"][0]["configuration"]["CustomData"] = said
    client.create_pipeline(pipeline=simple)
    assert status(client) == "", "a variable without a value: nothing is started"
    with refused("ValidationException", "who"):
        start(client)
    with refused("ValidationException", "absent"):
        start(client, variables=[{"name": "absent", "value": "x"}])
    number = start(client, variables=[{"name": "who", "value": "I"}])
    waits(client)
    resolved = actions(client)[1]["input"]["resolvedConfiguration"]["CustomData"]
    assert resolved == f"I that source.zip {number}"
    told = client.get_pipeline_execution(pipelineName="churn", pipelineExecutionId=number)
    assert told["pipelineExecution"]["variables"] == [
        {"name": "who", "resolvedValue": "I"},
        {"name": "what", "resolvedValue": "that"},
    ]


def test_an_unknown_variable_fails_the_action(client, simple):
    simple["stages"][1]["actions"][0]["configuration"]["CustomData"] = "#{Absent.x}"
    client.create_pipeline(pipeline=simple)
    assert ended(client) == "Failed"
    assert "#{Absent.x}" in failure(client)["message"]


# Modes


def test_a_newer_execution_supersedes_one_that_waits(client, simple):
    client.create_pipeline(pipeline=simple)
    token = waits(client)
    second, third = start(client), start(client)
    assert ended(client, second) == "Superseded"
    answer(client, "Approved", token)
    answer(client, "Approved", waits(client, other=token))
    assert ended(client, third) == "Succeeded"


def test_a_queue_keeps_every_execution(client, simple):
    client.create_pipeline(pipeline={**simple, "executionMode": "QUEUED"})
    token = waits(client)
    second, third = start(client), start(client)
    stages = until(
        lambda: client.get_pipeline_state(name="churn")["stageStates"][1],
        lambda one: len(one.get("inboundExecutions", [])) == 2,
    )
    waiting = [one["pipelineExecutionId"] for one in stages["inboundExecutions"]]
    assert waiting == [second, third]
    for number in (None, second, third):
        answer(client, "Approved", token)
        token = waits(client, other=token) if number != third else ""
        if number:
            assert ended(client, number) == "Succeeded"


def test_parallel_executions_do_not_wait(client, simple):
    client.create_pipeline(pipeline={**simple, "executionMode": "PARALLEL"})
    numbers = [start(client), start(client)]

    def tokens():
        tries = [one for number in numbers for one in actions(client, number)]
        return [one for one in tries if one["actionName"] == "Approve"]

    until(tokens, lambda one: len(one) == 2)
    assert [status(client, number) for number in numbers] == ["InProgress", "InProgress"]


def test_a_closed_transition_holds_executions(client, simple):
    client.create_pipeline(pipeline=simple)
    said = {"pipelineName": "churn", "stageName": "Approve", "transitionType": "Inbound"}
    answer(client, "Approved", waits(client))
    ended(client)
    client.disable_stage_transition(**said, reason="freeze")
    number = start(client)
    stages = until(
        lambda: client.get_pipeline_state(name="churn")["stageStates"][1],
        lambda one: "inboundExecution" in one,
    )
    assert stages["inboundTransitionState"]["disabledReason"] == "freeze"
    assert stages["inboundExecution"]["pipelineExecutionId"] == number
    client.enable_stage_transition(**said)
    answer(client, "Approved", waits(client))
    assert ended(client, number) == "Succeeded"


# Ending, retrying, rolling back


@pytest.mark.parametrize("abandon", [True, False])
def test_a_stop(client, simple, abandon):
    client.create_pipeline(pipeline=simple)
    token = waits(client)
    (found,) = client.list_pipeline_executions(pipelineName="churn")["pipelineExecutionSummaries"]
    number = found["pipelineExecutionId"]
    said = {"pipelineName": "churn", "pipelineExecutionId": number}
    client.stop_pipeline_execution(**said, abandon=abandon, reason="enough")
    if not abandon:
        assert status(client, number) == "Stopping"
        with refused("DuplicatedStopRequestException"):
            client.stop_pipeline_execution(**said)
        answer(client, "Approved", token)
    assert ended(client, number) == "Stopped"
    last = actions(client)[-1]
    assert last["status"] == ("Abandoned" if abandon else "Succeeded")
    (found,) = client.list_pipeline_executions(pipelineName="churn")["pipelineExecutionSummaries"]
    assert found["stopTrigger"] == {"reason": "enough"}
    with refused("PipelineExecutionNotStoppableException"):
        client.stop_pipeline_execution(**said)


def test_a_stage_is_retried(client, simple):
    simple["stages"][1]["actions"].append(action("Again", "Manual"))
    client.create_pipeline(pipeline=simple)
    first = waits(client)
    answer(client, "Rejected", first)
    again = waits(client, action_name="Again")
    answer(client, "Approved", again, action_name="Again")
    assert ended(client) == "Failed"
    (found,) = client.list_pipeline_executions(pipelineName="churn")["pipelineExecutionSummaries"]
    said = {"pipelineName": "churn", "pipelineExecutionId": found["pipelineExecutionId"]}
    with refused("StageNotRetryableException"):
        client.retry_stage_execution(**said, stageName="Source", retryMode="FAILED_ACTIONS")
    client.retry_stage_execution(**said, stageName="Approve", retryMode="FAILED_ACTIONS")
    answer(client, "Approved", waits(client, other=first))
    assert ended(client, said["pipelineExecutionId"]) == "Succeeded"
    tried = [one["actionName"] for one in actions(client)]
    assert sorted(tried) == ["Again", "Approve", "Approve", "Source"]
    state = client.get_pipeline_state(name="churn")["stageStates"][1]
    assert state["retryStageMetadata"]["manualStageRetryAttempt"] == 1


def test_a_failed_stage_is_retried_by_itself_once(client, simple):
    simple["stages"][1]["onFailure"] = {
        "result": "RETRY",
        "retryConfiguration": {"retryMode": "FAILED_ACTIONS"},
    }
    client.create_pipeline(pipeline=simple)
    first = waits(client)
    answer(client, "Rejected", first)
    answer(client, "Rejected", waits(client, other=first))
    assert ended(client) == "Failed"
    assert [one["actionName"] for one in actions(client)] == ["Source", "Approve", "Approve"]
    state = client.get_pipeline_state(name="churn")["stageStates"][1]
    assert state["retryStageMetadata"] == {
        "autoStageRetryAttempt": 1,
        "latestRetryTrigger": "AutomatedStageRetry",
    }


def test_a_failed_stage_is_rolled_back_to_what_succeeded(sandbox, client, simple):
    simple["stages"][1]["onFailure"] = {"result": "ROLLBACK"}
    simple["stages"][0]["actions"][0]["namespace"] = "Src"
    simple["stages"][1]["actions"][0]["configuration"]["CustomData"] = "#{Src.VersionId}"
    client.create_pipeline(pipeline=simple)
    first = waits(client)
    good = actions(client)[1]["input"]["resolvedConfiguration"]["CustomData"]
    answer(client, "Approved", first)
    ended(client)
    push(sandbox, a="2")
    number = start(client)
    second = waits(client, other=first)
    answer(client, "Rejected", second)
    third = waits(client, other=second)
    found = client.list_pipeline_executions(pipelineName="churn")["pipelineExecutionSummaries"]
    rollback, failed, succeeded = found
    assert (failed["pipelineExecutionId"], failed["status"]) == (number, "Failed")
    assert rollback["executionType"] == "ROLLBACK"
    assert rollback["trigger"] == {"triggerType": "AutomatedRollback", "triggerDetail": number}
    target = {"rollbackTargetPipelineExecutionId": succeeded["pipelineExecutionId"]}
    assert rollback["rollbackMetadata"] == target
    answer(client, "Approved", third)
    assert ended(client, rollback["pipelineExecutionId"]) == "Succeeded"
    (tried,) = actions(client, rollback["pipelineExecutionId"])
    assert tried["input"]["resolvedConfiguration"]["CustomData"] == good


def test_only_a_success_is_rolled_back_to(client, simple):
    simple["stages"][1]["onFailure"] = {"result": "ROLLBACK"}
    client.create_pipeline(pipeline=simple)
    token = waits(client)
    answer(client, "Approved", token)
    ended(client)
    for _ in range(2):  # the second time there are a failed execution and a failed rollback too
        start(client)
        for _ in range(2):
            token = waits(client, other=token)
            answer(client, "Rejected", token)
        ended(client)
    found = client.list_pipeline_executions(pipelineName="churn")["pipelineExecutionSummaries"]
    kinds = [one["executionType"] for one in found]
    assert kinds == ["ROLLBACK", "STANDARD", "ROLLBACK", "STANDARD", "STANDARD"]
    target = {"rollbackTargetPipelineExecutionId": found[4]["pipelineExecutionId"]}
    assert [found[0]["rollbackMetadata"], found[2]["rollbackMetadata"]] == [target, target]


def test_a_stage_is_rolled_back_by_hand(client, simple):
    client.create_pipeline(pipeline=simple)
    token = waits(client)
    answer(client, "Approved", token)
    ended(client)
    (found,) = client.list_pipeline_executions(pipelineName="churn")["pipelineExecutionSummaries"]
    said = {"pipelineName": "churn", "targetPipelineExecutionId": found["pipelineExecutionId"]}
    with refused("UnableToRollbackStageException"):
        client.rollback_stage(**said, stageName="Source")
    number = client.rollback_stage(**said, stageName="Approve")["pipelineExecutionId"]
    answer(client, "Approved", waits(client, other=token))
    assert ended(client, number) == "Succeeded"
    client.update_pipeline(pipeline=simple)
    with refused("PipelineExecutionOutdatedException"):
        client.rollback_stage(**said, stageName="Approve")


def test_a_deleted_pipeline_runs_no_further(client, simple):
    client.create_pipeline(pipeline=simple)
    waits(client)
    client.delete_pipeline(name="churn")
    client.create_pipeline(pipeline=simple)
    waits(client)
    assert len(client.list_pipeline_executions(pipelineName="churn")) > 0
    assert latest(client, "Approve", "Approve")["status"] == "InProgress"


def test_executions_are_paged(client, simple):
    client.create_pipeline(pipeline={**simple, "executionMode": "QUEUED"})
    numbers = [start(client) for _ in range(3)]
    said = client.list_pipeline_executions(pipelineName="churn", maxResults=2)
    listed = [one["pipelineExecutionId"] for one in said["pipelineExecutionSummaries"]]
    assert listed == numbers[:0:-1]
    pages = client.get_paginator("list_pipeline_executions").paginate(
        pipelineName="churn", PaginationConfig={"PageSize": 2}
    )
    assert sum(len(one["pipelineExecutionSummaries"]) for one in pages) == 4


def test_an_execution_is_told_to_event_rules(sandbox, client, simple):
    sqs, events = sandbox.client("sqs"), sandbox.client("events")
    queue = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = f"arn:aws:sqs:eu-west-1:{DEV}:heard"
    may = allow("sqs:SendMessage", arn, Principal={"Service": "events.amazonaws.com"})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document(may)})
    pattern = {
        "source": ["aws.codepipeline"],
        "detail-type": ["CodePipeline Pipeline Execution State Change"],
        "detail": {"pipeline": ["churn"], "state": ["STARTED", "FAILED", "STOPPING", "STOPPED"]},
    }
    events.put_rule(Name="r", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
    client.create_pipeline(pipeline=simple)
    answer(client, "Rejected", waits(client))
    heard = {}

    def look():
        for one in sqs.receive_message(QueueUrl=queue).get("Messages", []):
            event = json.loads(one["Body"])
            heard[event["detail"]["state"]] = event
        return heard

    until(look, lambda one: len(one) == 2)
    start(client)
    found = client.list_pipeline_executions(pipelineName="churn")["pipelineExecutionSummaries"]
    client.stop_pipeline_execution(
        pipelineName="churn",
        pipelineExecutionId=found[0]["pipelineExecutionId"],
        abandon=True,
    )
    until(look, lambda one: len(one) == 4)
    event = heard["FAILED"]
    assert event["resources"] == [f"arn:aws:codepipeline:eu-west-1:{DEV}:churn"]
    assert event["detail"]["execution-id"] == found[1]["pipelineExecutionId"]
    assert event["detail"]["execution-trigger"]["trigger-type"] == "CreatePipeline"
