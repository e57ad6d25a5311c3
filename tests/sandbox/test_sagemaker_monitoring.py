"""Monitoring schedules and job definitions, as records."""

from __future__ import annotations

import pytest
from access import allow, make_role, refused
from cfn_cases import ROLE, TAGS
from test_sagemaker_cfn import DAILY, HOURLY, INLINE, definition

INLINED = {
    "ScheduleConfig": HOURLY,
    "MonitoringJobDefinition": INLINE,
    "MonitoringType": "DataQuality",
}
NAMED = {
    "ScheduleConfig": DAILY,
    "MonitoringJobDefinitionName": "j",
    "MonitoringType": "ModelQuality",
}
BATCH = {
    "BatchTransformInput": {
        "DataCapturedDestinationS3Uri": "s3://b/in",
        "DatasetFormat": {"Csv": {"Header": True}},
        "LocalPath": "/in",
    },
    "GroundTruthS3Input": {"S3Uri": "s3://b/truth"},
}


@pytest.fixture
def monitor(sandbox):
    return sandbox.client("sagemaker")


def schedule(client, name="m", config=None, **more):
    said = {"MonitoringScheduleName": name, "MonitoringScheduleConfig": config or INLINED, **more}
    return client.create_monitoring_schedule(**said)["MonitoringScheduleArn"]


def described(client, name="m"):
    return client.describe_monitoring_schedule(MonitoringScheduleName=name)


def test_a_schedule_keeps_what_it_is_given_and_is_switched(monitor):
    arn = schedule(monitor, Tags=TAGS)
    said = described(monitor)
    assert said["MonitoringScheduleArn"] == arn
    assert said["MonitoringScheduleConfig"] == INLINED
    assert (said["MonitoringType"], said["EndpointName"]) == ("DataQuality", "e")
    assert said["MonitoringScheduleStatus"] == "Scheduled"
    assert monitor.list_tags(ResourceArn=arn)["Tags"] == TAGS
    monitor.stop_monitoring_schedule(MonitoringScheduleName="m")
    assert described(monitor)["MonitoringScheduleStatus"] == "Stopped"
    monitor.start_monitoring_schedule(MonitoringScheduleName="m")
    assert described(monitor)["MonitoringScheduleStatus"] == "Scheduled"
    listed = monitor.list_monitoring_executions(MonitoringScheduleName="m")
    assert listed["MonitoringExecutionSummaries"] == []
    with refused("ResourceInUse", "already exists"):
        schedule(monitor)


def test_an_update_replaces_the_configuration(monitor):
    schedule(monitor)
    job = {**definition("ModelQuality"), "ModelQualityJobInput": BATCH}
    monitor.create_model_quality_job_definition(**job)
    monitor.update_monitoring_schedule(MonitoringScheduleName="m", MonitoringScheduleConfig=NAMED)
    said = described(monitor)
    assert said["MonitoringScheduleConfig"] == NAMED
    assert said["MonitoringType"] == "ModelQuality"
    assert "EndpointName" not in said
    assert said["LastModifiedTime"] > said["CreationTime"]


def test_a_schedule_needs_its_job_definition(monitor):
    with refused("ValidationException", "job definition j of type ModelQuality"):
        schedule(monitor, config=NAMED)
    schedule(monitor)
    with refused("ValidationException", "job definition j"):
        monitor.update_monitoring_schedule(
            MonitoringScheduleName="m", MonitoringScheduleConfig=NAMED
        )
    assert described(monitor)["MonitoringScheduleConfig"] == INLINED
    for name in ("describe", "delete", "start", "stop"):
        with refused("ResourceNotFound", "does not exist"):
            getattr(monitor, f"{name}_monitoring_schedule")(MonitoringScheduleName="none")


def test_schedules_are_listed_as_asked(monitor):
    monitor.create_data_quality_job_definition(**definition("DataQuality"))
    named = {**NAMED, "MonitoringType": "DataQuality"}
    for name, config in (("b", INLINED), ("a", named), ("c", INLINED)):
        schedule(monitor, name, config)
    monitor.stop_monitoring_schedule(MonitoringScheduleName="c")

    def names(**asked):
        found = monitor.list_monitoring_schedules(**asked)["MonitoringScheduleSummaries"]
        return [one["MonitoringScheduleName"] for one in found]

    assert names() == ["c", "a", "b"]
    assert names(SortOrder="Ascending", SortBy="Name") == ["a", "b", "c"]
    assert names(StatusEquals="Stopped") == ["c"]
    assert names(MonitoringJobDefinitionName="j") == ["a"]
    assert names(EndpointName="e", MonitoringTypeEquals="DataQuality", MaxResults=2) == ["c", "a"]
    assert names(EndpointName="other") == []
    monitor.delete_monitoring_schedule(MonitoringScheduleName="c")
    assert names() == ["a", "b"]


@pytest.mark.parametrize(
    "noun", ["DataQuality", "ModelQuality", "ModelBias", "ModelExplainability"]
)
def test_a_job_definition_from_birth_to_deletion(monitor, noun):
    method = {"DataQuality": "data_quality", "ModelQuality": "model_quality"}.get(
        noun, noun.replace("Model", "model_").lower()
    )
    truth = {"GroundTruthS3Input": {"S3Uri": "s3://b/truth"}}
    given = definition(noun, **(truth if noun in {"ModelQuality", "ModelBias"} else {}))
    call = lambda verb, **said: getattr(monitor, f"{verb}_{method}_job_definition")(**said)  # noqa: E731
    arn = call("create", **given, Tags=TAGS)["JobDefinitionArn"]
    found = call("describe", JobDefinitionName="j")
    assert {name: found[name] for name in given} == given
    assert monitor.list_tags(ResourceArn=arn)["Tags"] == TAGS
    lister = getattr(monitor, f"list_{method}_job_definitions")
    (summary,) = lister(EndpointName="e")["JobDefinitionSummaries"]
    assert summary["MonitoringJobDefinitionArn"] == arn
    assert summary["MonitoringJobDefinitionName"] == "j"
    assert summary["EndpointName"] == "e"
    with refused("ResourceInUse"):
        call("create", **given)
    call("delete", JobDefinitionName="j")
    with refused("ResourceNotFound"):
        call("describe", JobDefinitionName="j")


def test_the_job_s_role_is_passed(sandbox):
    role = make_role(sandbox, "ops", allow("sagemaker:CreateDataQualityJobDefinition"))
    with refused("AccessDeniedException", "iam:PassRole", ROLE):
        sandbox.become("sagemaker", role).create_data_quality_job_definition(
            **definition("DataQuality")
        )


@pytest.mark.parametrize("key", ["NetworkIsolation", "InterContainerTrafficEncryption"])
def test_the_network_is_judged_where_it_lies_in_the_request(sandbox, key):
    condition = {"Bool": {f"sagemaker:{key}": "true"}}
    actions = ["sagemaker:CreateDataQualityJobDefinition", "sagemaker:CreateMonitoringSchedule"]
    statement = allow(actions, Condition=condition)
    role = make_role(sandbox, "ops", statement, allow("iam:PassRole"))
    ops = sandbox.become("sagemaker", role)
    switched = lambda on: {"NetworkConfig": {f"Enable{key}": on}}  # noqa: E731
    inline = lambda on: {**INLINED, "MonitoringJobDefinition": INLINE | switched(on)}  # noqa: E731
    for off in (switched(False), {}):
        with refused("AccessDeniedException", actions[0]):
            ops.create_data_quality_job_definition(**definition("DataQuality"), **off)
    with refused("AccessDeniedException", actions[1]):
        schedule(ops, config=inline(False))
    ops.create_data_quality_job_definition(**definition("DataQuality"), **switched(True))
    schedule(ops, config=inline(True))
