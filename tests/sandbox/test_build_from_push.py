"""A plain project of a product, built from a push: what it takes, and that nothing less will do.

The product is what templates/model-build-s3 has in infra/, launched by the role that
servicecatalog/spoke/roles.yml makes. The pushed project is the template's but for two things that
take time: it trains 20 rounds, and has a few of its own tests only (pushes.TESTS).
every_grant.py takes every grant away in a run of its own; here it is some.
"""

from __future__ import annotations

from fnmatch import fnmatch
from types import SimpleNamespace

import pytest
from pushes import DEV, ID, NAME, SCIENTIST, Run, denied, rendered, role, settings

from seedbed.sandbox.fixture import start

LAUNCH = f"arn:aws:iam::{DEV}:role/seedbed-launch"
ROLES = {SCIENTIST, LAUNCH, *map(role, ("source", "pipeline", "build", "execution"))}


def policy(name):
    return f"arn:aws:iam::{DEV}:policy/seedbed-{name}"


def inline(kind, name):
    return role(kind), f"seedbed-{ID}-{kind}-eu-west-1/{name}"


LIVE = [
    (SCIENTIST, policy("projects#Products"), "servicecatalog:ProvisionProduct"),
    (SCIENTIST, policy("work#Repositories"), "codecommit:GitPush"),
    (LAUNCH, "seedbed-launch/trust#Launch", "sts:AssumeRole"),
    (LAUNCH, policy("launch-stack#ProductTemplate"), "s3:GetObject"),
    (LAUNCH, policy("launch-storage#NewKey"), "kms:TagResource"),
    (LAUNCH, policy("launch-identity#PassRoles"), "iam:PassRole"),
    (*inline("source", "start#Start"), "codepipeline:StartPipelineExecution"),
    (*inline("pipeline", "pipeline#Repository"), "codecommit:UploadArchive"),
    (*inline("pipeline", "pipeline#Build"), "codebuild:StartBuild"),
    (*inline("build", "codebuild#Source"), "s3:GetObject"),
    (*inline("build", "codebuild#Logs"), "logs:PutLogEvents"),
    (role("build"), policy(f"{ID}-build-eu-west-1#FindCode"), "s3:ListBucket"),
    (*inline("execution", "jobs#Processing"), "sagemaker:CreateProcessingJob"),
    (*inline("execution", "jobs#Logs"), "logs:PutLogEvents"),
    ("key", "policy#Account", "kms:*"),
]


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """A sandbox of its own, whose builds use the machine's caches, and a project to push."""
    folder = tmp_path_factory.mktemp("push")
    with pytest.MonkeyPatch.context() as patch:
        for name, said in settings().items():
            patch.setenv(name, said)
        sandbox = start(folder / "sandbox")
    yield Run(sandbox, rendered(folder / NAME), folder)
    sandbox.stop()


@pytest.fixture(scope="module")
def ran(account):
    """What a whole run left behind, as plain data: later tests start the sandbox over."""
    account.sandbox.reset()
    account.prepare()
    account.provision()
    commit = account.push()
    number = account.deliver()
    sandbox = account.sandbox
    models = sandbox.client("sagemaker")
    found = models.list_model_packages(ModelPackageGroupName=NAME)["ModelPackageSummaryList"]
    packages = [one["ModelPackageArn"] for one in found]
    (build,) = account.builds()
    return SimpleNamespace(
        commit=commit,
        execution=account.executions()[number],
        build=build,
        log=account.log(build),
        models=[models.describe_model_package(ModelPackageName=one) for one in packages],
        roles=sandbox.report()["roles"],
        grants=account.grants(),
    )


def test_a_push_ends_in_a_registered_model(ran):
    assert ran.execution["status"] == "Succeeded"
    assert ran.execution["trigger"]["triggerType"] == "CloudWatchEvent"
    assert ran.execution["sourceRevisions"][0]["revisionId"] == ran.commit
    assert ran.build["buildStatus"] == "SUCCEEDED"
    assert ran.build["resolvedSourceVersion"] == ran.commit
    commands = ("make setup", "make lint", "make test", "make compile", "make upsert", "make start")
    places = [ran.log.index(f"Running command {one}") for one in commands]
    assert places == sorted(places)
    (model,) = ran.models
    assert model["ModelApprovalStatus"] == "PendingManualApproval"
    assert model["CustomerMetadataProperties"]["GitCommit"] == ran.commit


def test_every_grant_that_was_used_is_needed(ran):
    """Judged again without it, a request that it allowed is denied; see replay.py."""
    assert {holder for holder, _, _ in ran.grants} == {*ROLES, "key"}
    assert [one for one, use in ran.grants.items() if not use["needed"]] == []
    assert set(LIVE) <= ran.grants.keys()


def test_nothing_is_allowed_but_by_a_grant(ran):
    """Whatever the log says that allowed a role's call is among the grants that were tried."""
    for holder in ROLES:
        for action, statements in ran.roles[holder]["allowed"].items():
            for said in statements:
                found = [one for one in ran.grants if one[1] == said and fnmatch(action, one[2])]
                assert found, f"{action} by {said}"


@pytest.mark.parametrize("grant", LIVE, ids=lambda one: f"{one[0].rpartition('/')[2]}-{one[2]}")
def test_without_a_grant_the_run_fails(account, grant):
    assert account.without(grant)
    assert any(fnmatch(one, grant[2]) for one in denied(account.sandbox))
