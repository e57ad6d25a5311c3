"""CodeBuild's projects: kept in full, and changed in part."""

from __future__ import annotations

import pytest
from access import allow, make_role, refused

GIVEN = {
    "name": "churn",
    "source": {"type": "CODEPIPELINE", "buildspec": "buildspec.yml"},
    "artifacts": {"type": "CODEPIPELINE"},
    "environment": {
        "type": "LINUX_CONTAINER",
        "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
        "computeType": "BUILD_GENERAL1_SMALL",
    },
    "serviceRole": "arn:aws:iam::333333333333:role/seedbed-admin",
    "encryptionKey": "arn:aws:kms:eu-west-1:333333333333:key/k",
    "concurrentBuildLimit": 1,
    "tags": [{"key": "team", "value": "ml"}],
}
PASS = allow("iam:PassRole", GIVEN["serviceRole"])


@pytest.fixture
def codebuild(sandbox):
    return sandbox.client("codebuild")


def read(client):
    (found,) = client.batch_get_projects(names=["churn"])["projects"]
    return found


def test_what_is_given_is_read_back_with_the_defaults(codebuild):
    codebuild.create_project(**GIVEN)
    found = read(codebuild)
    assert {key: found[key] for key in GIVEN} == GIVEN
    assert (found["timeoutInMinutes"], found["queuedTimeoutInMinutes"]) == (60, 480)
    asked = [found["arn"], "absent"]
    told = codebuild.batch_get_projects(names=asked)
    assert [one["name"] for one in told["projects"]] == ["churn"]
    assert told["projectsNotFound"] == ["absent"]


def test_an_update_changes_what_it_names(codebuild):
    codebuild.create_project(**GIVEN)
    codebuild.update_project(name="churn", description="d", concurrentBuildLimit=-1)
    found = read(codebuild)
    assert found["description"] == "d"
    assert found["encryptionKey"] == GIVEN["encryptionKey"]
    assert "concurrentBuildLimit" not in found
    assert found["lastModified"] > found["created"]


def test_projects_are_listed_and_deleted(codebuild):
    for name in ("b", "a"):
        codebuild.create_project(**{**GIVEN, "name": f"churn-{name}"})
    assert codebuild.list_projects()["projects"] == ["churn-a", "churn-b"]
    made = codebuild.list_projects(sortBy="CREATED_TIME", sortOrder="DESCENDING")["projects"]
    assert made == ["churn-a", "churn-b"]
    for _ in range(2):
        codebuild.delete_project(name="churn-a")
    assert codebuild.list_projects()["projects"] == ["churn-b"]


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"source": {"type": "GITHUB"}}, "InvalidInputException", "source location"),
        ({"artifacts": {"type": "S3"}}, "InvalidInputException", "artifacts location"),
        (
            {"serviceRole": "arn:aws:iam::222222222222:role/seedbed-admin"},
            "AccessDeniedException",
            "iam:PassRole",
        ),
        ({"badgeEnabled": True}, "NotImplementedInSandbox", "badgeEnabled"),
    ],
)
def test_a_project_is_refused(codebuild, change, code, word):
    with refused(code, word):
        codebuild.create_project(**{**GIVEN, **change})
    assert codebuild.list_projects()["projects"] == []


def test_a_name_is_taken_once(codebuild):
    codebuild.create_project(**GIVEN)
    with refused("ResourceAlreadyExistsException", "churn"):
        codebuild.create_project(**GIVEN)
    with refused("ResourceNotFoundException", "absent"):
        codebuild.update_project(name="absent", description="d")


def test_what_is_not_emulated_is_refused_by_name(codebuild):
    codebuild.create_project(**GIVEN)
    for operation, asked in (
        ("start_build_batch", {"projectName": "churn"}),
        ("list_report_groups", {}),
        ("create_webhook", {"projectName": "churn"}),
    ):
        name = codebuild.meta.method_to_api_mapping[operation]
        with refused("NotImplementedInSandbox", f"codebuild:{name}"):
            getattr(codebuild, operation)(**asked)


def test_a_projects_tags_decide(sandbox, codebuild):
    codebuild.create_project(**GIVEN)
    for team, able in (("ml", True), ("web", False)):
        said = {"StringEquals": {"aws:ResourceTag/team": team}}
        make_role(sandbox, team, allow("codebuild:*", Condition=said), PASS)
        client = sandbox.client("codebuild", role=team)
        if able:
            client.update_project(name="churn", description="d")
        else:
            with refused("AccessDeniedException", "codebuild:UpdateProject"):
                client.update_project(name="churn", description="e")
