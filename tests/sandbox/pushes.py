"""A plain project, from its product in Service Catalog to the model that a push registers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import copier
from botocore.exceptions import ClientError
from catalogs import make_portfolio, make_product, product_ids, upload
from cfn_stacks import ALL, history, parameters, settle
from revoking import revoked
from waiting import until

from seedbed import cfn
from seedbed.catalog import CHECKOUT
from seedbed.packaging import product

DEV, HUB = "333333333333", "222222222222"
TEMPLATE = CHECKOUT / "templates/model-build-s3"
SPOKE = CHECKOUT / "servicecatalog/spoke"
DATA = "amzn-s3-demo-bucket"
ID, NAME = "p-push", "my-model"
SCIENTIST = f"arn:aws:iam::{DEV}:role/seedbed-data-scientist"
# The build runs all phases of the project's own buildspec, `make test` on these files alone.
TESTS = ("conftest.py", "test_settings.py", "test_source.py")
FORM = {
    "AlertEmail": "team@example.com",
    "ConnectionArn": "",
    "DataLocation": f"s3://{DATA}/training-data/",
    "Environment": "dev",
    "GitHost": "codecommit",
    "ModelPackageGroupName": NAME,
    "RepositoryId": NAME,
    "SageMakerProjectId": ID,
    "SageMakerProjectName": NAME,
}


def role(kind):
    return f"arn:aws:iam::{DEV}:role/seedbed-{ID}-{kind}-eu-west-1"


class RunError(Exception):
    """What a run came to that registered no model."""


def settings():
    """Return the variables with which a sandbox's builds take packages from this machine's caches.

    The virtual environment that runs the tests is none of theirs.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = os.environ["PATH"].split(os.pathsep)
    return {
        "PATH": os.pathsep.join(one for one in path if one != str(Path(sys.executable).parent)),
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(caches / "pip")),
        "UV_LINK_MODE": "hardlink",
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(caches / "uv")),
    }


def rendered(folder):
    """Render a project that trains briefly; its sample data lies beside it."""
    copier.run_copy(str(TEMPLATE), folder, defaults=True, quiet=True)
    config = folder / "config/dev.yml"
    config.write_text(config.read_text().replace("rounds: 400", "rounds: 20"))
    for path in (folder / "tests").glob("*.py"):
        if path.name not in TESTS:
            path.unlink()
    sample = "from pipeline import sample; from pathlib import Path; import sys;"
    write = f"{sample} sample.write('binary_classification', 'target', Path(sys.argv[1]))"
    words = [sys.executable, "-B", "-c", write, str(folder.parent / "data.csv")]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder


def composed():
    """Return the project's own stacks as one template, with nothing added."""
    folder = TEMPLATE / "{{cookiecutter.__project_slug}}/infra"
    names = ("project", "registry", "data", "build", "source")
    files = {one: cfn.load((folder / f"{one}.yml").read_text("utf-8"), one) for one in names}
    merged = {key: said for key, said in product.merge(NAME, files).items() if said}
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", **merged})


def told(call):
    """Return a client's method that fails as a run does."""

    def ask(**request):
        try:
            return call(**request)
        except ClientError as error:
            raise RunError(str(error)) from error

    return ask


def denied(sandbox):
    """Return the actions that were denied so far."""
    return {
        one["action"]
        for call in sandbox.calls(decision="denied")
        for one in call["actions"]
        if not one["allowed"]
    }


class Run:
    """One account from nothing to a registered model, in steps."""

    def __init__(self, sandbox, project, folder):
        self.sandbox, self.project, self.folder = sandbox, project, folder

    def prepare(self):
        """Make what stands before anybody provisions: roles, data, a repository, the product."""
        stacks = self.sandbox.client("cloudformation")
        for name in ("roles", "users"):
            stacks.create_stack(
                StackName=f"seedbed-spoke-{name}",
                TemplateBody=(SPOKE / f"{name}.yml").read_text("utf-8"),
                Parameters=parameters({"HubAccountId": HUB}),
                Capabilities=ALL,
            )
        for name in ("roles", "users"):
            said = settle(stacks, f"seedbed-spoke-{name}")
            assert said["StackStatus"] == "CREATE_COMPLETE", history(stacks, said["StackName"])
        s3 = self.sandbox.client("s3")
        place = {"LocationConstraint": self.sandbox.region}
        s3.create_bucket(Bucket=DATA, CreateBucketConfiguration=place)
        s3.upload_file(str(self.project.parent / "data.csv"), DATA, "training-data/data.csv")
        self.url = self.sandbox.client("codecommit").create_repository(
            repositoryName=NAME, tags={"sagemaker:project-id": ID}
        )["repositoryMetadata"]["cloneUrlHttp"]
        self.publish()

    def publish(self):
        """Publish the product in dev, to be launched by the launch role alone."""
        admin = self.sandbox.client("servicecatalog")
        url = upload(self.sandbox, "product.json", composed(), "dev")
        portfolio = make_portfolio(admin)
        self.product, self.artifact = product_ids(make_product(admin, url, name="Plain"))
        place = {"PortfolioId": portfolio, "ProductId": self.product}
        admin.associate_product_with_portfolio(**place)
        said = json.dumps({"LocalRoleName": "seedbed-launch"})
        admin.create_constraint(**place, Type="LAUNCH", Parameters=said)
        admin.associate_principal_with_portfolio(
            PortfolioId=portfolio, PrincipalARN=SCIENTIST, PrincipalType="IAM"
        )

    def provision(self):
        """Provision the product as a data scientist.

        Raises:
            RunError: The record's errors.
        """
        user = self.sandbox.become("servicecatalog", SCIENTIST)
        record = told(user.provision_product)(
            ProductId=self.product,
            ProvisioningArtifactId=self.artifact,
            ProvisionedProductName=ID,
            ProvisioningParameters=[{"Key": key, "Value": said} for key, said in FORM.items()],
        )["RecordDetail"]
        record = until(
            lambda: told(user.describe_record)(Id=record["RecordId"])["RecordDetail"],
            lambda one: one["Status"] not in ("CREATED", "IN_PROGRESS"),
        )
        if record["Status"] != "SUCCEEDED":
            raise RunError(str(record["RecordErrors"]))

    def push(self):
        """Push the project as a data scientist and return its commit.

        Raises:
            RunError: What git was told.
        """
        self.was = self.executions()
        who = self.sandbox.admin("POST", "become", {"role_arn": SCIENTIST})
        keys = {key.upper(): said for key, said in who.items()}
        asked = {**os.environ, **self.sandbox.environment(), **keys}
        environment = {
            **self.sandbox.admin("POST", "git/environment", asked),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "HOME": str(self.folder),
        }

        def git(*words):
            said = ("-c", "user.name=a", "-c", "user.email=a@example.com", *words)
            ended = subprocess.run(
                ["git", *said], cwd=self.project, env=environment, capture_output=True, text=True
            )
            if ended.returncode:
                raise RunError(ended.stderr)
            return ended.stdout.strip()

        if not (self.project / ".git").exists():
            git("init", "--quiet", "--initial-branch=main")
            git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", "change")
        git("push", "--quiet", self.url, "main")
        return git("rev-parse", "HEAD")

    def executions(self):
        found = self.sandbox.client("codepipeline").list_pipeline_executions(pipelineName=ID)
        return {one["pipelineExecutionId"]: one for one in found["pipelineExecutionSummaries"]}

    def builds(self):
        codebuild = self.sandbox.client("codebuild")
        ids = codebuild.list_builds_for_project(projectName=f"seedbed-{ID}")["ids"]
        return codebuild.batch_get_builds(ids=ids)["builds"] if ids else []

    def log(self, build):
        """Return what a build's phases tell, and what it printed, if it could."""
        told = [one["message"] for phase in build["phases"] for one in phase.get("contexts", [])]
        logs, place = self.sandbox.client("logs"), build["logs"]
        try:
            said = logs.get_log_events(
                logGroupName=place["groupName"],
                logStreamName=place["streamName"],
                startFromHead=True,
            )["events"]
        except (KeyError, logs.exceptions.ResourceNotFoundException):
            said = []
        return "\n".join([*told, "".join(one["message"] for one in said)])

    def deliver(self, within=400):
        """Wait for the pipeline that the push started; a failed build is not tried again.

        Raises:
            RunError: It did not start, or failed: what its actions and its build tell; or a role
                was denied something, even if the run went on (a job without its log).
        """
        ours = self.sandbox.client("codepipeline")
        deadline = time.monotonic() + 60
        while not (fresh := self.executions().keys() - self.was.keys()):
            if time.monotonic() > deadline or self.undelivered():
                raise RunError("the push started no execution")
            time.sleep(0.1)
        (number,) = fresh
        deadline = time.monotonic() + within
        while (status := self.executions()[number]["status"]) == "InProgress":
            builds = self.builds()
            assert time.monotonic() < deadline, list(map(self.log, builds))
            for one in builds:
                if one["buildStatus"] not in ("IN_PROGRESS", "SUCCEEDED"):
                    raise RunError(self.log(one))
            time.sleep(0.2)
        if status != "Succeeded":
            raise RunError(str(ours.get_pipeline_state(name=ID)["stageStates"]))
        if found := denied(self.sandbox):
            raise RunError(f"denied: {', '.join(sorted(found))}")
        return number

    def undelivered(self):
        """Tell whether a rule's event lies in the queue for those that reached no target."""
        sqs = self.sandbox.client("sqs")
        urls = sqs.list_queues(QueueNamePrefix="SC-").get("QueueUrls", [])
        count = "ApproximateNumberOfMessages"
        return any(
            int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[count])["Attributes"][count])
            for url in urls
        )

    def without(self, grant):
        """Start over with one action less; return why that failed, empty if it did not.

        `grant` is holder, statement and action; what provisioning grants goes before the push.
        """
        self.sandbox.reset()
        holder, statement, action = grant
        key = holder.endswith("key")
        made = f"/seedbed-{ID}-" in holder or key
        try:
            with ExitStack() as stack:
                self.prepare()
                if not made:
                    stack.enter_context(revoked(self.sandbox, holder, statement, action))
                self.provision()
                if key:
                    kms = self.sandbox.client("kms")
                    found = kms.describe_key(KeyId=f"alias/seedbed-{ID}")
                    holder = found["KeyMetadata"]["Arn"]
                if made:
                    stack.enter_context(revoked(self.sandbox, holder, statement, action))
                self.push()
                self.deliver()
        except RunError as failed:
            return str(failed) or "failed"
        return ""

    def grants(self):
        """Return what each grant was worth; the project's key, in each run another, as `key`."""
        found = {}
        for one in self.sandbox.grants():
            holder, statement = one["holder"], one["statement"]
            if ":key/" in holder:
                holder, statement = "key", statement.replace(f"policy of {holder}", "policy")
            # Service Catalog's own bucket is none of ours.
            if "sandbox-servicecatalog-" not in holder:
                found[holder, statement, one["action"]] = one
        return found
