"""A hub with the publishing pipeline, and a clone of the templates' repository to release from.

The buildspecs run as they stand. What is pushed is this checkout, but for its locks, which are cut
down to what the tool runs with and to one wheel, and its declaration, of which four products are
left. With 10 products and 67 wheels (218 MB) a build takes three times as long, and does the same.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from contextlib import contextmanager
from importlib.metadata import requires

import pytest
import yaml
from access import document, make_role
from conftest import ROOT, make_repository
from packaging.requirements import Requirement
from publishing import CATALOG, DEV, dump, tell_usage
from pushes import settings
from test_codeconnections import url
from test_git import Git
from test_platform import Desk
from waiting import until

from seedbed import declaration
from seedbed.sandbox.fixture import start

PIPELINE, REPOSITORY = "seedbed-publish", "platform/templates"
HUB = "222222222222"
PUBLISHER = f"arn:aws:iam::{HUB}:role/seedbed-publish"
ENDED = {"Failed", "Stopped", "Succeeded"}
WHEEL = {"six"}
PRODUCTS = {"model-build-athena", "model-build-s3", "data-lake-share", "team-buckets"}
PATIENCE = 240  # seconds for a stage, on a busy machine


def needed(*names):
    """Return distributions and all that they need, by their normalised names."""
    found, left = set(), list(names)
    while left:
        name = left.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            asked = map(Requirement, requires(name) or ())
            left += [one.name for one in asked if not one.marker or one.marker.evaluate()]
    return found


def trim(lock, names):
    """Leave only these distributions in a lock."""
    blocks = re.split(r"\n(?=\S)", lock.read_text().strip())
    lock.write_text("\n".join(one for one in blocks if one.partition("==")[0] in names) + "\n")


def checkout(folder):
    """Return a repository with what of this checkout a release needs."""
    made = make_repository(folder, "")
    for name in ("LICENSE", "Makefile", "README.md"):
        shutil.copy(ROOT / name, made / name)
    cached = shutil.ignore_patterns("__pycache__")
    for name in ("requirements", "src"):
        shutil.copytree(ROOT / name, made / name, ignore=cached)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [Requirement(one).name for one in declared]
    trim(made / "requirements/dev.lock", needed(*names, "hatchling", "editables"))
    locks = [*made.glob("templates/*/*/requirements.lock"), *made.glob("**/seed/requirements.lock")]
    for lock in locks:
        trim(lock, WHEEL)
    shutil.copy(locks[0], made / "servicecatalog/wheels.lock")
    return made


@contextmanager
def cached():
    """Set an environment whose builds use the machine's caches."""
    with pytest.MonkeyPatch.context() as patch:
        for name, said in settings().items():
            patch.setenv(name, said)
        yield


@contextmanager
def started(folder, environment=cached, **given):
    """Give a hub in a sandbox of its own, which starts in an environment.

    `given` are parameters of the hub's stacks.
    """
    with environment():
        sandbox = start(folder / "sandbox")
    try:
        yield Hub(sandbox, folder, given)
    finally:
        sandbox.stop()


class Hub:
    """A hub with the pipeline, and a clone of the templates' repository of those who release."""

    def __init__(self, sandbox, folder, given):
        self.sandbox = sandbox
        self.pipeline = sandbox.client("codepipeline", "hub")
        sandbox.client(CATALOG, "management").enable_aws_organizations_access()
        sandbox.client("organizations", "management").register_delegated_administrator(
            AccountId=HUB, ServicePrincipal=f"{CATALOG}.amazonaws.com"
        )
        tell_usage(sandbox)
        made = sandbox.client("codeconnections", "hub").create_connection(
            ConnectionName="c", ProviderType="GitHub"
        )
        self.connection = made["ConnectionArn"]
        sandbox.complete_connection(self.connection)
        sandbox.git_repository(REPOSITORY)
        self.remote = url(self.connection, REPOSITORY)
        self.git = Git(sandbox, checkout(folder / "checkout"), "hub")
        self.declare(self.offer)
        self.bootstrap(ConnectionArn=self.connection, RepositoryId=REPOSITORY, **given)
        self.hear()
        (self.untagged,) = self.executions()  # AWS starts it when the pipeline is made
        self.ended(self.untagged)

    def bootstrap(self, **given):
        """Bootstrap the hub with these parameters of its stacks."""
        words = [word for key, said in given.items() for word in ("--set", f"{key}={said}")]
        Desk(self.sandbox, self.git.folder).run("hub", "bootstrap", "hub", "--yes", *words)

    def hear(self):
        """Have a queue hear what the pipeline asks."""
        (stack,) = self.sandbox.client("cloudformation", "hub").describe_stacks(
            StackName="seedbed-hub-publish"
        )["Stacks"]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        sqs, arn = self.sandbox.client("sqs", "hub"), f"arn:aws:sqs:eu-west-1:{HUB}:asked"
        sender = {"Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = document({"Effect": "Allow", **sender, "Resource": arn})
        made = sqs.create_queue(QueueName="asked", Attributes={"Policy": policy})
        self.queue = made["QueueUrl"]
        self.sandbox.client("sns", "hub").subscribe(
            TopicArn=self.outputs["AlertTopicArn"], Protocol="sqs", Endpoint=arn
        )

    def offer(self, said):
        """Declare what the first release publishes beside the products."""
        made = self.sandbox.client("sagemaker", "hub").create_domain(
            DomainName="hub",
            AuthMode="IAM",
            DefaultUserSettings={"ExecutionRole": make_role(self.sandbox, "user", account="hub")},
        )
        said["domains"] = [made["DomainArn"].rpartition("/")[2]]
        for one in said["portfolios"].values():
            one["products"] = {key: own for key, own in one["products"].items() if key in PRODUCTS}
        projects = said["portfolios"]["projects"]
        projects["tag_options"] = {"cost-center": ["risk"]}
        projects["products"]["model-build-s3"]["tag_updates"] = True
        for one in said["portfolios"].values():
            one["shares"] = {"units": [DEV], "principals": True}

    # The repository

    def declare(self, edit):
        """Edit the declaration and push it."""
        path = self.git.folder / declaration.FILE
        said = yaml.safe_load(path.read_text())
        edit(said)
        return self.push(declaration.FILE, yaml.safe_dump(said))

    def push(self, path, text):
        """Commit a file, push the branch and return the commit."""
        commit = self.git.commit(str(path), text)
        self.git("push", "--quiet", self.remote, "HEAD:refs/heads/main")
        return commit

    def tag(self, name, starts=True):
        """Push a tag; return the execution that it has to start."""
        before = self.executions().keys()
        self.git("tag", name)
        self.git("push", "--quiet", self.remote, name)
        if not starts:
            return None
        (fresh,) = until(lambda: self.executions().keys() - before)
        return fresh

    # The pipeline

    def executions(self):
        said = self.pipeline.list_pipeline_executions(pipelineName=PIPELINE)
        return {one["pipelineExecutionId"]: one for one in said["pipelineExecutionSummaries"]}

    def stage(self, name):
        stages = self.pipeline.get_pipeline_state(name=PIPELINE)["stageStates"]
        return next(one for one in stages if one["stageName"] == name)

    def actions(self, number):
        """Return the tries of an execution's actions, the oldest first."""
        asked = {"filter": {"pipelineExecutionId": number}}
        said = self.pipeline.list_action_executions(pipelineName=PIPELINE, **asked)
        return said["actionExecutionDetails"][::-1]

    def tries(self, number):
        return [(one["actionName"], one["status"]) for one in self.actions(number)]

    def asked(self, number):
        """Wait until an execution asks to be approved, and return the token."""

        def look():
            stage = self.stage("Approve")
            inside = stage.get("latestExecution", {}).get("pipelineExecutionId") == number
            state = stage["actionStates"][0].get("latestExecution", {}) if inside else {}
            return state.get("token"), self.executions()[number]["status"]

        token, status = until(look, lambda one: one[0] or one[1] in ENDED, PATIENCE)
        assert token, f"{status}: {self.logs(number)[-1][-3000:]}"
        return token

    def message(self):
        """Return the next message that the pipeline's topic sent."""
        sqs = self.sandbox.client("sqs", "hub")
        found = until(lambda: sqs.receive_message(QueueUrl=self.queue), lambda x: x.get("Messages"))
        (one,) = found["Messages"]
        sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
        return json.loads(json.loads(one["Body"])["Message"])["approval"]

    def answer(self, number, said):
        """Answer an approval, wait for the execution's end and return its status."""
        self.pipeline.put_approval_result(
            pipelineName=PIPELINE,
            stageName="Approve",
            actionName="Approve",
            token=self.asked(number),
            result={"status": said, "summary": "because"},
        )
        return self.ended(number)

    def ended(self, number):
        return until(lambda: self.executions()[number]["status"], ENDED.__contains__, PATIENCE)

    def approve(self, number):
        """Approve an execution, which is to succeed."""
        ended = self.answer(number, "Approved")
        assert ended == "Succeeded", self.logs(number)[-1][-3000:]

    def retry(self, number, stage):
        """Retry what failed in a stage of an execution."""
        self.pipeline.retry_stage_execution(
            pipelineName=PIPELINE,
            stageName=stage,
            pipelineExecutionId=number,
            retryMode="FAILED_ACTIONS",
        )

    def roll_back(self, commit):
        """Start what the stack's output tells to start; return the execution."""
        words = shlex.split(self.outputs["RollBack"] + commit)
        assert words[:3] == ["aws", "codepipeline", "start-pipeline-execution"]
        given = dict(zip(words[3::2], words[4::2], strict=True))
        revision = dict(one.split("=") for one in given["--source-revisions"].split(","))
        assert given["--region"] == self.sandbox.region
        made = self.pipeline.start_pipeline_execution(
            name=given["--name"], sourceRevisions=[revision]
        )
        return made["pipelineExecutionId"]

    def builds(self, number):
        """Return an execution's builds, the oldest first."""
        tried = [one for one in self.actions(number) if one["actionName"] in ("Plan", "Publish")]
        ids = [one["output"]["executionResult"]["externalExecutionId"] for one in tried]
        found = self.sandbox.client("codebuild", "hub").batch_get_builds(ids=ids)["builds"]
        return sorted(found, key=lambda one: ids.index(one["id"]))

    def logs(self, number):
        """Return what the builds of an execution printed."""
        client, texts = self.sandbox.client("logs", "hub"), []
        for one in self.builds(number):
            events = client.get_log_events(
                logGroupName=one["logs"]["groupName"],
                logStreamName=one["logs"]["streamName"],
                startFromHead=True,
            )["events"]
            texts.append("".join(event["message"] for event in events))
        return texts

    def published(self):
        """Return all that the hub holds, but for what the pipeline hands to its builds."""
        found = dump(self.sandbox)
        for bucket, keys in found["buckets"].items():
            kept = {key: one for key, one in keys.items() if not key.startswith(PIPELINE)}
            found["buckets"][bucket] = kept
        return found

    def versions(self):
        """Return each product's versions: their guidance, INACTIVE if none may update to it."""
        return {
            one["Name"]: {
                name: said if active else "INACTIVE"
                for name, (active, said, _) in one["versions"].items()
            }
            for one in dump(self.sandbox)["products"]
        }
