"""CodeBuild runs buildspecs as the service role, and tells how that went as AWS does."""

from __future__ import annotations

import json
import re
import sys

import pytest
from access import allow, make_role, refused
from codebuild_cases import (
    LOGS,
    built,
    ended,
    log,
    make_project,
    phase,
    spec,
    why,
)
from waiting import until

from seedbed.sandbox.services.codebuild.shell import host_settings

PHASES = [
    "SUBMITTED",
    "QUEUED",
    "PROVISIONING",
    "DOWNLOAD_SOURCE",
    "INSTALL",
    "PRE_BUILD",
    "BUILD",
    "POST_BUILD",
    "UPLOAD_ARTIFACTS",
    "FINALIZING",
    "COMPLETED",
]


def test_a_build_runs_its_commands_and_tells_its_phases(sandbox):
    client = make_project(sandbox, spec("echo from the build"))
    started = client.start_build(projectName="app")["build"]
    assert (started["buildStatus"], started["currentPhase"]) == ("IN_PROGRESS", "QUEUED")
    assert not started["buildComplete"]
    build = ended(client, started)
    assert build["buildStatus"] == "SUCCEEDED"
    assert [one["phaseType"] for one in build["phases"]] == PHASES
    assert all(one["phaseStatus"] == "SUCCEEDED" for one in build["phases"][:-1])
    assert build["buildNumber"] == 1
    assert build["endTime"] >= build["startTime"]
    lines = log(sandbox, build)
    assert "from the build" in lines
    assert any("Running command echo from the build" in line for line in lines)


def test_what_a_command_sets_lives_on(sandbox):
    setting = {
        "install": {"commands": ["export A=1", "B='it is \"two\"'", "mkdir inner", "cd inner"]},
        "build": {
            "commands": ['test "$A $B" = \'1 it is "two"\'', "test $(basename $PWD) = inner"]
        },
    }
    for shell in ("sh", "bash"):
        sandbox.reset()
        client = make_project(sandbox, spec(env={"shell": shell}, phases=setting))
        assert built(client)["buildStatus"] == "SUCCEEDED"


def test_it_knows_its_environment(sandbox):
    said = (
        "CI BUILD_ID BUILD_ARN BUILD_NUMBER BUILD_SUCCEEDING INITIATOR KMS_KEY_ID LOG_PATH SRC_DIR"
    )
    command = " && ".join(f'echo "{name}=$CODEBUILD_{name}"' for name in said.split())
    client = make_project(sandbox, spec(command, "test $PWD = $CODEBUILD_SRC_DIR", "env"))
    build = built(client)
    lines = log(sandbox, build)
    assert build["buildStatus"] == "SUCCEEDED"
    assert "CI=true" in lines
    assert f"BUILD_ID={build['id']}" in lines
    assert f"BUILD_ARN={build['arn']}" in lines
    assert f"LOG_PATH={build['logs']['streamName']}" in lines
    assert {"BUILD_NUMBER=1", "BUILD_SUCCEEDING=1", "INITIATOR=root"} <= set(lines)
    assert "AWS_REGION=eu-west-1" in lines


def test_its_role_decides_what_it_may_do(sandbox):
    code = "import boto3; boto3.client('sqs').create_queue(QueueName='made')"
    command = f'{sys.executable} -c "{code}"'
    client = make_project(sandbox, spec(command), LOGS)
    build = built(client)
    assert build["buildStatus"] == "FAILED"
    assert any("sqs:createqueue" in line.lower() for line in log(sandbox, build))
    more = make_role(sandbox, "able", LOGS, allow("sqs:CreateQueue"), trust=_trust(sandbox))
    assert built(client, serviceRoleOverride=more)["buildStatus"] == "SUCCEEDED"
    (call,) = sandbox.calls(operation="CreateQueue", decision="allowed")
    assert ":assumed-role/able/AWSCodeBuild-" in call["session"]


def _trust(sandbox):
    role = sandbox.client("iam", "dev").get_role(RoleName="builder")["Role"]
    return json.dumps(role["AssumeRolePolicyDocument"])


def test_a_failing_command_ends_its_phase_and_the_next_two_run(sandbox):
    phases = {
        "build": {"commands": ["exit 3", "echo never"], "finally": ["echo at last"]},
        "post_build": {"commands": ["echo succeeding=$CODEBUILD_BUILD_SUCCEEDING"]},
    }
    client = make_project(sandbox, spec(phases=phases))
    build = built(client)
    assert build["buildStatus"] == "FAILED"
    assert phase(build, "BUILD")["phaseStatus"] == "FAILED"
    assert phase(build, "POST_BUILD")["phaseStatus"] == "SUCCEEDED"
    text = "Error while executing command: exit 3. Reason: exit status 3"
    assert why(build) == ("COMMAND_EXECUTION_ERROR", text)
    lines = log(sandbox, build)
    assert "never" not in lines
    assert {"at last", "succeeding=0"} <= set(lines)


@pytest.mark.parametrize(
    ("failing", "on_failure", "then"),
    [
        ("install", "", ["INSTALL", "FINALIZING"]),
        ("pre_build", "", ["INSTALL", "PRE_BUILD", "FINALIZING"]),
        ("pre_build", "CONTINUE", ["INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"]),
        ("build", "ABORT", ["INSTALL", "PRE_BUILD", "BUILD", "FINALIZING"]),
        ("post_build", "", ["INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS"]),
    ],
)
def test_what_follows_a_failed_phase(sandbox, failing, on_failure, then):
    how = {"on-failure": on_failure} if on_failure else {}
    client = make_project(sandbox, spec(phases={failing: {"commands": ["false"], **how}}))
    build = built(client)
    assert build["buildStatus"] == "FAILED"
    ran = [one["phaseType"] for one in build["phases"]][4:]
    assert ran[: len(then)] == then


@pytest.mark.parametrize(
    ("buildspec", "code", "word"),
    [
        ("", "YAML_FILE_ERROR", "YAML file does not exist"),
        ("version: 0.2\nphases: [", "YAML_FILE_ERROR", "no YAML"),
        ("version: 0.2\nphases: {}\n", "YAML_FILE_ERROR", "no phases"),
        ("version: 0.2\nphases: {bild: {commands: [a]}}\n", "YAML_FILE_ERROR", "bild"),
        ("version: 0.2\nphases: {build: {comands: [a]}}\n", "YAML_FILE_ERROR", "comands"),
    ],
)
def test_a_bad_buildspec_fails_the_download(sandbox, buildspec, code, word):
    build = built(make_project(sandbox, buildspec))
    assert (build["buildStatus"], why(build)[0]) == ("FAILED", code)
    assert word in why(build)[1]
    assert phase(build, "DOWNLOAD_SOURCE")["phaseStatus"] == "FAILED"


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"reports": {"unit": {"files": ["a.xml"]}}}, "reports"),
        ({"proxy": {"logs": "yes"}}, "proxy"),
        ({"env": {"shell": "powershell.exe"}}, "powershell.exe"),
        ({"phases": {"build": {"run-as": "me", "commands": ["true"]}}}, "run-as"),
        ({"phases": {"install": {"runtime-versions": {"nodejs": 20}}}}, "nodejs"),
        ({"artifacts": {"files": ["*"], "s3-prefix": "a"}}, "s3-prefix"),
    ],
)
def test_what_a_buildspec_cannot_have_here_is_named(sandbox, parts, word):
    build = built(make_project(sandbox, spec("true", **parts)))
    assert (build["buildStatus"], why(build)[0]) == ("FAULT", "NotImplementedInSandbox")
    assert word in why(build)[1]


def test_variables_come_from_the_call_the_project_and_the_buildspec(sandbox):
    environment = {"variables": {"A": "spec", "B": "spec", "C": "spec"}}
    names = [{"name": "A", "value": "project"}, {"name": "B", "value": "project"}]
    client = make_project(sandbox, spec("echo $A $B $C", env=environment))
    project = client.batch_get_projects(names=["app"])["projects"][0]["environment"]
    client.update_project(name="app", environment={**project, "environmentVariables": names})
    build = built(client, environmentVariablesOverride=[{"name": "A", "value": "call"}])
    assert "call project spec" in log(sandbox, build)
    told = {one["name"]: one["value"] for one in build["environment"]["environmentVariables"]}
    assert told == {"A": "call", "B": "project"}


def test_parameters_and_secrets_are_read_as_the_role(sandbox):
    sandbox.client("ssm", "dev").put_parameter(Name="/app/p", Type="SecureString", Value="one")
    secret = sandbox.client("secretsmanager", "dev").create_secret(
        Name="app/s", SecretString='{"key": "two"}'
    )["ARN"]
    environment = {
        "parameter-store": {"P": "/app/p"},
        "secrets-manager": {"S": "app/s:key", "T": f"{secret}:key:AWSCURRENT"},
    }
    reading = [
        allow("ssm:GetParameters", "arn:aws:ssm:*:*:parameter/app/p"),
        allow("secretsmanager:GetSecretValue", f"{secret}"),
    ]
    client = make_project(sandbox, spec("echo $P $S $T", env=environment), LOGS, *reading)
    assert "one two two" in log(sandbox, built(client))
    for missing, code in ((0, "Decrypted Variables Error"), (1, "Secrets Manager Error")):
        left = [LOGS, reading[1 - missing]]
        role = make_role(sandbox, f"less-{missing}", *left, trust=_trust(sandbox))
        assert why(built(client, serviceRoleOverride=role))[0] == code


def test_exported_variables_are_told(sandbox):
    client = make_project(
        sandbox, spec("export TAG=v1", env={"exported-variables": ["TAG", "NONE"]})
    )
    assert built(client)["exportedEnvironmentVariables"] == [
        {"name": "TAG", "value": "v1"},
        {"name": "NONE", "value": ""},
    ]


@pytest.mark.parametrize(
    ("granted", "word"),
    [
        ("logs:PutLogEvents", "CreateLogStream"),
        (["logs:CreateLogStream", "logs:PutLogEvents"], "CreateLogGroup"),
        (["logs:CreateLogStream", "logs:CreateLogGroup"], "PutLogEvents"),
    ],
)
def test_a_role_that_may_not_log_fails_the_build(sandbox, granted, word):
    build = built(make_project(sandbox, spec("true"), allow(granted)))
    assert build["buildStatus"] == "FAILED"
    assert why(build)[0] == "ACCESS_DENIED"
    assert f"logs:{word}" in why(build)[1]
    assert build["phases"][-2]["phaseType"] == "PROVISIONING"


def test_the_log_goes_where_the_project_says(sandbox):
    config = {"cloudWatchLogs": {"status": "ENABLED", "groupName": "ours", "streamName": "b"}}
    client = make_project(sandbox, spec("echo here"), logsConfig=config)
    build = built(client)
    assert build["logs"]["groupName"] == "ours"
    assert build["logs"]["streamName"].startswith("b/")
    assert "here" in log(sandbox, build)
    off = {"cloudWatchLogs": {"status": "DISABLED"}}
    assert built(client, logsConfigOverride=off)["buildStatus"] == "SUCCEEDED"
    streams = sandbox.client("logs", "dev").describe_log_streams(logGroupName="ours")["logStreams"]
    assert len(streams) == 1


def test_a_role_that_does_not_trust_codebuild_fails_the_build(sandbox):
    client = make_project(sandbox, spec("true"))
    other = make_role(sandbox, "other", LOGS)
    with refused("InvalidInputException", "other"):
        client.start_build(projectName="app", serviceRoleOverride="other")
    build = built(client, serviceRoleOverride=other)
    assert build["serviceRole"] == other
    assert build["buildStatus"] == "FAILED"
    assert "sts:AssumeRole" in why(build)[1]


def test_a_build_that_is_stopped_ends_with_all_that_it_started(sandbox, tmp_path):
    beat = tmp_path / "beat"
    loop = f"(while :; do date +%s%N > {beat}; sleep 0.05; done) & sleep 600"
    client = make_project(sandbox, spec(loop))
    build = client.start_build(projectName="app")["build"]
    until(beat.exists)
    stopped = client.stop_build(id=build["id"])["build"]
    assert (stopped["buildStatus"], stopped["buildComplete"]) == ("STOPPED", True)
    assert phase(stopped, "BUILD")["phaseStatus"] == "STOPPED"
    last = beat.read_text()
    ended(
        client, client.start_build(projectName="app", buildspecOverride=spec("sleep 0.3"))["build"]
    )
    assert beat.read_text() == last


def test_what_a_command_leaves_behind_ends_with_the_build(sandbox, tmp_path):
    beat = tmp_path / "beat"
    loop = f"(while :; do date +%s%N > {beat}; sleep 0.05; done) & sleep 0.3"
    client = make_project(sandbox, spec(loop, f"test -f {beat}"))
    assert built(client)["buildStatus"] == "SUCCEEDED"
    last = beat.read_text()
    assert built(client, buildspecOverride=spec("sleep 0.3"))["buildStatus"] == "SUCCEEDED"
    assert beat.read_text() == last


def test_the_sandboxs_clock_ends_a_build(sandbox):
    client = make_project(sandbox, spec("sleep 600"), timeoutInMinutes=5)
    build = client.start_build(projectName="app", timeoutInMinutesOverride=10)["build"]

    def now():
        return client.batch_get_builds(ids=[build["id"]])["builds"][0]

    until(lambda: now()["currentPhase"] == "BUILD")
    sandbox.advance(301)
    assert now()["buildStatus"] == "IN_PROGRESS"
    sandbox.advance(300)
    found = ended(client, build)
    assert found["buildStatus"] == "TIMED_OUT"
    assert phase(found, "BUILD")["phaseStatus"] == "TIMED_OUT"
    assert why(found)[0] == "BUILD_TIMED_OUT"


def test_no_more_builds_run_at_once_than_the_project_allows(sandbox):
    client = make_project(sandbox, spec("sleep 600"), concurrentBuildLimit=1)
    first = client.start_build(projectName="app")["build"]
    with refused("AccountLimitExceededException", "1"):
        client.start_build(projectName="app")
    client.stop_build(id=first["id"])
    second = client.start_build(projectName="app", buildspecOverride=spec("true"))["build"]
    assert second["buildNumber"] == 2
    ended(client, second)


def test_a_token_starts_one_build(sandbox):
    client = make_project(sandbox, spec("true"))
    one = client.start_build(projectName="app", idempotencyToken="t")["build"]
    assert client.start_build(projectName="app", idempotencyToken="t")["build"]["id"] == one["id"]
    with refused("InvalidInputException", "token"):
        client.start_build(projectName="app", idempotencyToken="t", sourceVersion="x")
    sandbox.advance(301)
    other = client.start_build(projectName="app", idempotencyToken="t")["build"]
    assert other["id"] != one["id"]
    ended(client, other)


def test_builds_are_listed_latest_first_and_retried(sandbox):
    client = make_project(sandbox, spec("true"))
    first = built(client, environmentVariablesOverride=[{"name": "A", "value": "1"}])
    again = ended(client, client.retry_build(id=first["id"])["build"])
    assert again["environment"] == first["environment"]
    assert again["buildNumber"] == 2
    ids = [again["id"], first["id"]]
    assert client.list_builds()["ids"] == ids
    assert client.list_builds_for_project(projectName="app")["ids"] == ids
    assert client.list_builds(sortOrder="ASCENDING")["ids"] == ids[::-1]
    told = client.batch_get_builds(ids=[first["arn"], "app:none"])
    assert [one["id"] for one in told["builds"]] == [first["id"]]
    assert told["buildsNotFound"] == ["app:none"]
    with refused("ResourceNotFoundException", "absent"):
        client.list_builds_for_project(projectName="absent")
    with refused("ResourceNotFoundException", "absent"):
        client.start_build(projectName="absent")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"debugSessionEnabled": True}, "debugSessionEnabled"),
        ({"gitSubmodulesConfigOverride": {"fetchSubmodules": True}}, "gitSubmodulesConfigOverride"),
        ({"environmentTypeOverride": "WINDOWS_CONTAINER"}, "WINDOWS_CONTAINER"),
        ({"sourceTypeOverride": "GITHUB_ENTERPRISE", "sourceLocationOverride": "x"}, "GITHUB_ENT"),
        ({"logsConfigOverride": {"s3Logs": {"status": "ENABLED", "location": "b"}}}, "s3Logs"),
    ],
)
def test_what_a_build_cannot_have_here_is_refused(sandbox, given, word):
    client = make_project(sandbox, spec("true"))
    with refused("NotImplementedInSandbox", word):
        client.start_build(projectName="app", **given)
    assert client.list_builds()["ids"] == []


def test_a_caller_needs_the_projects_permission(sandbox):
    client = make_project(sandbox, spec("true"))
    build = built(client)
    arn = build["arn"].replace(":build/", ":project/").rpartition(":")[0]
    actions = ["codebuild:StartBuild", "codebuild:BatchGetBuilds", "codebuild:StopBuild"]
    make_role(sandbox, "able", allow(actions, arn))
    make_role(sandbox, "unable", allow(actions, f"{arn}-other"))
    able, unable = (sandbox.client("codebuild", role=one) for one in ("able", "unable"))
    able.batch_get_builds(ids=[build["id"]])
    able.stop_build(id=build["id"])
    assert built(able)["initiator"] == "able/sandbox"
    for call in (
        lambda: unable.start_build(projectName="app"),
        lambda: unable.batch_get_builds(ids=[build["id"]]),
        lambda: unable.stop_build(id=build["id"]),
    ):
        with refused("AccessDeniedException", "codebuild:"):
            call()


def test_a_rule_hears_of_a_failed_build(sandbox):
    events, queues = sandbox.client("events", "dev"), sandbox.client("sqs", "dev")
    arn = f"arn:aws:sqs:{sandbox.region}:{sandbox.account('dev')}:heard"
    url = queues.create_queue(QueueName="heard")["QueueUrl"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    pattern = {
        "source": ["aws.codebuild"],
        "detail-type": ["CodeBuild Build State Change"],
        "detail": {"build-status": ["FAILED", "STOPPED"], "project-name": ["app"]},
    }
    events.put_rule(Name="failed", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="failed", Targets=[{"Id": "q", "Arn": arn}])
    client = make_project(sandbox, spec("true"))
    assert built(client)["buildStatus"] == "SUCCEEDED"
    build = built(client, buildspecOverride=spec("exit 4"))
    (message,) = until(lambda: queues.receive_message(QueueUrl=url).get("Messages"))
    event = json.loads(message["Body"])
    detail = event["detail"]
    assert event["resources"] == [build["arn"]]
    assert (detail["build-id"], detail["build-status"]) == (build["arn"], "FAILED")
    information = detail["additional-information"]
    assert information["build-complete"] is True
    assert information["logs"]["stream-name"] == build["logs"]["streamName"]
    kinds = {one["phase-type"]: one for one in information["phases"]}
    assert "exit status 4" in kinds["BUILD"]["phase-context"][0]
    assert kinds["BUILD"]["phase-status"] == "FAILED"


def test_phases_are_told_as_events(sandbox):
    built(make_project(sandbox, spec("true")))
    told = [
        entry["Detail"]
        for call in sandbox.calls(service="events", operation="PutEvents")
        for entry in call["params"]["Entries"]
        if entry["DetailType"] == "CodeBuild Build Phase Change"
    ]
    assert [re.search(r'"completed-phase": "(\w+)"', one)[1] for one in told] == PHASES
    assert all('"completed-phase-status": "SUCCEEDED"' in one for one in told)


def test_caches_and_indexes_of_the_host_are_kept(monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", "/cache/uv")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    settings = host_settings()
    assert settings["UV_CACHE_DIR"] == "/cache/uv"
    assert "AWS_PROFILE" not in settings


def test_a_build_ends_with_the_sandbox(sandbox, tmp_path):
    beat = tmp_path / "beat"
    loop = f"while :; do date +%s%N > {beat}; sleep 0.05; done"
    make_project(sandbox, spec(loop)).start_build(projectName="app")
    until(beat.exists)
    sandbox.reset()
    last = beat.read_text()
    assert built(make_project(sandbox, spec("sleep 0.3")))["buildStatus"] == "SUCCEEDED"
    assert beat.read_text() == last
