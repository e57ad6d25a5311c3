"""`make aws-smoke` against the sandbox: the whole of it once, and how it cleans up."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest
from codebuild_cases import ended, make_project, spec
from conftest import commit, make_repository
from publishing import DEV, writes
from pushes import TESTS, settings

from seedbed import catalog, declaration, smoke
from seedbed.publishing import Account
from seedbed.sandbox.fixture import start
from seedbed.smoke import project as smoke_project
from seedbed.smoke.debts import Debts
from seedbed.smoke.steps import Smoke

PROJECT = "templates/model-build-s3/{{cookiecutter.__project_slug}}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A release whose project trains briefly and has a few of its own tests only."""
    made = make_repository(tmp_path_factory.mktemp("smoke") / "checkout", "v0.1.0")
    declared = made / declaration.FILE
    declared.write_text(declared.read_text().replace("units: []", f"units: [{DEV}]"))
    config = made / PROJECT / "config/dev.yml"
    text = config.read_text()
    assert "rounds: 400" in text
    config.write_text(text.replace("rounds: 400", "rounds: 20"))
    for path in (made / PROJECT / "tests").glob("*.py"):
        if path.name not in TESTS:
            path.unlink()
    commit(made, "v0.2.0")
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A sandbox of its own, whose builds use the machine's caches."""
    with pytest.MonkeyPatch.context() as patch:
        for name, said in settings().items():
            patch.setenv(name, said)
        made = start(tmp_path_factory.mktemp("sandbox") / "sandbox")
    yield made
    made.stop()


@pytest.fixture
def accounts(server, checkout, tmp_path, monkeypatch):
    """Two profiles of an organisation, whose hub shares with units."""
    server.reset()
    server.client("servicecatalog", "management").enable_aws_organizations_access()
    server.client("organizations", "management").register_delegated_administrator(
        AccountId=server.account("hub"), ServicePrincipal="servicecatalog.amazonaws.com"
    )
    text = ""
    for account in ("hub", "dev"):
        text += f"[{account}]\n"
        for key, said in server.credentials(account, "seedbed-admin").items():
            text += f"{key} = {said}\n"
    root = server.credentials("dev")
    text += "[root]\n" + "\n".join(f"{key} = {said}" for key, said in root.items())
    (tmp_path / "credentials").write_text(text)
    for name in [one for one in os.environ if one.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setattr(catalog, "CHECKOUT", checkout)
    monkeypatch.setattr(smoke_project, "PAUSE", 0.2)
    monkeypatch.setattr("seedbed.projects.PAUSE", 0.2)
    return server


@pytest.fixture
def bare(accounts, monkeypatch):
    """The same without a platform: a run's first steps do nothing."""
    for step in ("boot", "package", "publish", "take"):
        monkeypatch.setattr(Smoke, step, lambda *_: "")
    return accounts


def run(*words, spoke="dev"):
    return smoke.main(["--profile", "hub", "--spoke-profile", spoke, *words])


def left(server):
    """Return what of a run is in both accounts, and not on its way out."""
    found = []
    for account in ("hub", "dev"):
        aws = partial(server.client, account=account)
        stacks = aws("cloudformation").describe_stacks()["Stacks"]
        found += [one["StackName"] for one in stacks]
        found += [one["Name"] for one in aws("s3").list_buckets()["Buckets"]]
        repositories = aws("codecommit").list_repositories()["repositories"]
        found += [one["repositoryName"] for one in repositories]
        groups = aws("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
        found += [one["ModelPackageGroupName"] for one in groups]
        pipelines = aws("sagemaker").list_pipelines()["PipelineSummaries"]
        found += [one["PipelineName"] for one in pipelines]
        for key in aws("kms").list_keys()["Keys"]:
            known = aws("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if known["KeyState"] != "PendingDeletion":
                found.append(key["KeyId"])
        catalog_ = aws("servicecatalog")
        found += [one["Id"] for one in catalog_.list_portfolios()["PortfolioDetails"]]
        found += [
            one["ProductViewSummary"]["Name"]
            for one in catalog_.search_products_as_admin()["ProductViewDetails"]
        ]
    return found


def test_a_whole_run_leaves_nothing(accounts, capsys):
    """A first build takes a minute."""
    code, said = run("--yes", "--teardown"), capsys.readouterr().out
    assert code == 0, said
    assert said.count("\nok ") == 10
    assert "model-package/smoke-" in said
    assert "nothing to do" in said
    assert "its stack is gone, its repository stayed" in said
    assert left(accounts) == []
    stays = said.partition("What stays")[2].splitlines()[1:]
    assert len([one for one in stays if "KMS deletes it in 7 days" in one]) == 4
    assert len(stays) == 5  # and the jobs' logs
    # Lambda tries to make a log group that the stack makes, and needs not be allowed to.
    assert {one["operation"] for one in accounts.calls(decision="denied")} <= {"CreateLogGroup"}


def test_a_failed_step_is_told_and_cleaned_up(bare, capsys):
    """Nothing is published: the product is not to be seen."""
    code, said = run("--yes"), capsys.readouterr().out
    assert code == 1
    (failed,) = [line for line in said.splitlines() if line.startswith("FAILED")]
    assert " 7 create smoke-" in failed
    assert "this role does not see it" in failed
    assert "to find out more, with --keep: seedbed doctor --as admin --project smoke-" in said
    assert "removed bucket seedbed-smoke-" in said
    assert "plan again" not in said
    made = [one["operation"] for one in bare.calls(service="s3")]
    assert made.count("CreateBucket") == made.count("DeleteBucket") == 1
    assert left(bare) == []


def test_an_interrupt_is_cleaned_up_after(bare, capsys, monkeypatch):
    def interrupted(*_):
        assert left(bare)
        raise KeyboardInterrupt

    monkeypatch.setattr(smoke_project.Project, "create", interrupted)
    assert run("--yes") == 130
    assert "removed bucket seedbed-smoke-" in capsys.readouterr().out
    assert left(bare) == []


def test_a_build_is_stopped_before_its_project_goes(accounts):
    name = "seedbed-p-x"
    client = make_project(accounts, spec("sleep 60"), name=name)
    build = client.start_build(projectName=name)["build"]
    spoke = Account.of(accounts.region, "dev")
    declared = declaration.load(catalog.CHECKOUT / declaration.FILE)
    smoke_project.Project(spoke, declared, Debts(), "", id="p-x")._halt()
    assert ended(client, build)["buildStatus"] == "STOPPED"


@pytest.mark.parametrize("words", [("--keep",), ()])
def test_what_is_not_removed_is_told(bare, capsys, words):
    refused = {"code": "AccessDenied", "status": 403}
    bare.chaos({"match": "s3:DeleteBucket", "kind": "fail", **refused})
    code, said = run("--yes", *words), capsys.readouterr().out
    bare.chaos()
    assert code == 1
    (bucket,) = left(bare)
    stays = said.partition("What stays")[2]
    assert f"bucket {bucket}: empty it, all versions too, then aws s3 rb s3://{bucket}" in stays
    assert "--profile dev" in stays
    assert ("FAILED  remove" in said) is not bool(words)


@pytest.mark.parametrize(
    ("words", "spoke", "says"),
    [
        (["--yes"], "hub", "hub and spoke are both 222222222222"),
        (["--yes", "--data", "nowhere.csv"], "dev", "--data nowhere.csv: there is no such file"),
        (["--yes"], "root", "the spoke's profile is the account's root"),
        (["--yes"], "nobody", "nobody"),
        ([], "dev", "nobody can be asked here"),
    ],
)
def test_a_bad_input_is_one_line_and_changes_nothing(accounts, capsys, words, spoke, says):
    before = len(writes(accounts))
    assert run(*words, spoke=spoke) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("seedbed: ")
    assert says in line
    assert len(writes(accounts)) == before


def test_a_platform_that_was_there_is_not_torn_down(accounts, capsys):
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    stacks = accounts.client("cloudformation", "hub")
    stacks.create_stack(StackName="seedbed-hub-assets", TemplateBody=json.dumps(topic))
    stacks.get_waiter("stack_create_complete").wait(
        StackName="seedbed-hub-assets", WaiterConfig={"Delay": 1}
    )
    assert run("--yes", "--teardown") == 2
    assert "the hub has stacks already: use `seedbed teardown hub" in capsys.readouterr().err


@pytest.mark.usefixtures("accounts")
def test_who_shares_with_nobody_is_told_before_anything_is_made(capsys, checkout):
    declared = checkout / declaration.FILE
    text = declared.read_text()
    declared.write_text(text.replace(f"units: [{DEV}]", "units: []"))
    try:
        assert run("--yes") == 2
    finally:
        declared.write_text(text)
    assert "add that of 333333333333 to its portfolio's shares.units" in capsys.readouterr().err
