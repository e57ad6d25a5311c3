"""A release by a pushed tag: servicecatalog/hub/publish.yml from the push to the products.

Later releases, rolling back and every grant take minutes: `make pipeline` (pipeline_story.py).
"""

from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT
from publishing import CATALOG, writes
from releases import HUB, PRODUCTS, PUBLISHER, started

from seedbed import cfn
from seedbed.packaging.archive import sha256

FIRST = [("Source", "Succeeded"), ("Plan", "Succeeded")]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What a hub, and what was pushed to it, came to: one release, rejected first."""
    with started(tmp_path_factory.mktemp("publish")) as hub:
        return release(hub, SimpleNamespace())


def release(hub, told):
    sandbox = hub.sandbox
    told.untagged = SimpleNamespace(
        actions=hub.actions(hub.untagged),
        state=hub.stage("Plan"),
        builds=hub.builds(hub.untagged),
        logs=hub.logs(hub.untagged),
    )
    hub.push("note", "a commit")
    hub.tag("rehearsal-1", starts=False)
    told.commit = hub.push("note", "a commit that no tag names")
    number = hub.tag("v0.1.0")
    hub.asked(number)
    told.others = hub.executions().keys() - {hub.untagged, number}
    told.trigger = hub.executions()[number]["trigger"]
    told.message = hub.message()
    told.exported = hub.actions(number)[1]["output"]["outputVariables"]
    told.before, told.writes = hub.published(), len(writes(sandbox))
    told.rejected = hub.answer(number, "Rejected"), hub.tries(number)
    told.after = hub.published()
    hub.retry(number, "Approve")
    hub.approve(number)
    told.tries, told.builds, told.logs = hub.tries(number), hub.builds(number), hub.logs(number)
    told.versions, told.dump = hub.versions(), hub.published()
    told.calls = [one for one in writes(sandbox)[told.writes :] if one["service"] == CATALOG]
    told.denied = sandbox.calls(decision="denied")
    told.roles = sandbox.report()["roles"]
    manifest = {"Bucket": f"seedbed-assets-{HUB}-eu-west-1", "Key": "manifests/v0.1.0.json"}
    told.written = sandbox.client("s3", "hub").get_object(**manifest)["Body"].read()
    return told


def test_a_commit_without_a_tag_starts_nothing(ran):
    assert ran.others == set()


def test_the_first_execution_fails_before_it_plans(ran):
    """AWS starts it when the pipeline is made, of a branch whose head bears no tag."""
    source, *tries = ran.untagged.actions
    assert source["status"] == "Succeeded"
    assert [(one["actionName"], one["status"]) for one in tries] == [("Plan", "Failed")] * 2
    for build, log in zip(ran.untagged.builds, ran.untagged.logs, strict=True):
        assert build["currentPhase"] == "COMPLETED"
        assert "fatal: " in log
        assert "make setup" not in log


def test_each_try_tells_its_own_build(ran):
    """The state shows the last try; what failed first stands in the list of actions."""
    results = [one["output"]["executionResult"] for one in ran.untagged.actions[1:]]
    ids = [one["externalExecutionId"] for one in results]
    assert ids == [build["id"] for build in ran.untagged.builds]
    assert len(set(ids)) == 2
    for one in results:
        assert "git describe --tags --exact-match" in one["errorDetails"]["message"]
    assert ran.untagged.state["retryStageMetadata"] == {
        "autoStageRetryAttempt": 1,
        "latestRetryTrigger": "AutomatedStageRetry",
    }
    (state,) = ran.untagged.state["actionStates"]
    assert state["latestExecution"]["externalExecutionId"] == ids[1]


def test_a_pushed_tag_asks_with_version_and_commit(ran):
    assert ran.trigger["triggerType"] == "WebhookV2"
    assert ran.exported["VERSION"] == "v0.1.0"
    assert ran.exported["MANIFEST"] == sha256(ran.written)
    assert f"Publish v0.1.0 ({ran.commit})?" in ran.message["customData"]
    plan = ran.logs[0]
    assert "s3:PutObject" in plan
    assert "studio/model-build-athena.yml" in plan  # a name is told in full


def test_a_rejected_release_publishes_nothing(ran):
    status, tries = ran.rejected
    assert status == "Failed"
    assert tries == [*FIRST, ("Approve", "Failed")]
    assert ran.after == ran.before
    assert ran.before["products"] == []


def test_an_approved_release_is_in_the_catalog(ran):
    assert ran.tries == [
        *FIRST,
        ("Approve", "Failed"),
        ("Approve", "Succeeded"),
        ("Publish", "Succeeded"),
    ]
    assert len(ran.versions) == len(PRODUCTS)
    assert all(one == {"v0.1.0": "DEFAULT"} for one in ran.versions.values())
    assert [one["title"] for one in ran.dump["portfolios"]] == ["ML Admin", "SageMaker Projects"]
    described = {said for one in ran.dump["products"] for _, _, said in one["versions"].values()}
    assert all(one.endswith(f"commit:{ran.commit}") for one in described)
    assert "dist/manifest.json: OK" in ran.logs[1]
    assert {one["resolvedSourceVersion"] for one in ran.builds} == {ran.commit}


def test_the_roles_of_the_stack_do_it(ran):
    assert {one["principal"] for one in ran.calls} == {PUBLISHER}
    assert ran.denied == []
    plan = ran.roles[f"{PUBLISHER}-plan"]["calls"]
    assert [one for one in plan if ":Create" in one and "logs:" not in one] == []


@pytest.mark.parametrize("project", ["PlanProject", "PublishProject"])
def test_packages_that_cannot_be_installed_are_told_with_the_remedy(project, tmp_path):
    template = cfn.load((ROOT / "servicecatalog/hub/publish.yml").read_text(), "publish.yml")
    source = template["Resources"][project]["Properties"]["Source"]
    commands = yaml.safe_load(source["BuildSpec"])["phases"]["install"]["commands"]
    (setup,) = (one for one in commands if one.startswith("make "))
    (tmp_path / "make").write_text("#!/bin/sh\nexit 2\n")
    (tmp_path / "make").chmod(0o755)
    address = "https://index.example.com/simple"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "INDEX_URL": address}
    done = subprocess.run(["sh", "-c", setup], env=environment, capture_output=True, text=True)
    assert done.returncode
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"PackageIndexUrl is '{address}'")
    assert "bootstrap the hub again with --set PackageIndexUrl=..., then retry" in line
