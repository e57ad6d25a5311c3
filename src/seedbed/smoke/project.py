"""The run's project: created, built, deleted, and what it leaves."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from seedbed import projects
from seedbed.declaration import Declaration
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account, told
from seedbed.publishing.observe import CATALOG
from seedbed.smoke.debts import Debt, Debts, absent

PRODUCT = "model-build-s3"
PAUSE = 3.0  # seconds between two looks
BUILD_LIMIT = 10_800.0  # seconds of the first build, which waits for the SageMaker pipeline
HALT_LIMIT = 900.0
RUNNING = ("InProgress", "Stopping")
STAY = (
    "log groups /aws/sagemaker/ProcessingJobs and TrainingJobs, and the jobs' records, which no "
    "call deletes: aws logs delete-log-group, if nobody else's jobs log there"
)
T = TypeVar("T")


@dataclass
class Project:
    """The project `name` of the spoke; `id` is known once SageMaker has given it."""

    spoke: Account
    declared: Declaration
    debts: Debts
    flags: str
    pause: Callable[[float], None] = time.sleep
    name: str = field(default_factory=lambda: f"smoke-{secrets.token_hex(3)}")
    id: str = ""

    @cached_property
    def debt(self) -> Debt:
        remedy = f"aws sagemaker delete-project --project-name {self.name} {self.flags}"
        return Debt(f"project {self.name}", remedy, self._undo)

    def create(self, data: str, hub: str) -> str:
        """Create it by the Service Catalog route, with CodeCommit; return its id."""
        form = {
            "GitHost": "codecommit",
            "RepositoryId": self.name,
            "ConnectionArn": "",
            "ModelPackageGroupName": self.name,
            "DataLocation": data,
        }
        self.debts.owe(self.debt)
        projects.create(self.spoke, self.declared, self.name, PRODUCT, form, hub=hub)
        self.id = self._settled().id
        self.debts.stays.append(STAY)
        return self.id

    def build(self) -> str:
        """Wait for the execution that a new pipeline starts, and for the model that it registers.

        Raises:
            SeedbedError: it failed, did not end, or registered nothing.
        """
        ended = self._until(self._delivered, BUILD_LIMIT, f"pipeline {self.id}")
        if ended != "Succeeded":
            raise SeedbedError(f"pipeline {self.id}: {ended}: {self._why()}")
        found = self._models()
        if not found:
            raise SeedbedError(f"pipeline {self.id} succeeded, but {self.name} holds no model")
        return found[0].rpartition(":")[2]

    def delete(self) -> str:
        """Delete it; look that its stack is gone and that the repository stayed.

        Raises:
            SeedbedError: it is otherwise.
        """
        stack = self._stack()
        self.debts.settle(self.debt)
        with told(f"stack {stack}"):
            (known,) = self.spoke.client("cloudformation").describe_stacks(StackName=stack)[
                "Stacks"
            ]
            if known["StackStatus"] != "DELETE_COMPLETE":
                raise SeedbedError(f"stack {stack} is {known['StackStatus']}")
        with told(f"repository {self.name}"):
            self.spoke.client("codecommit").get_repository(repositoryName=self.name)
        return "its stack is gone, its repository stayed"

    def _delivered(self) -> str:
        """Return how the newest execution of its CodePipeline ended, empty while it runs."""
        with told(f"pipeline {self.id}"):
            found = self.spoke.client("codepipeline").list_pipeline_executions(
                pipelineName=self.id
            )["pipelineExecutionSummaries"]
        status = str(found[0]["status"]) if found else ""
        self.debts.progress(f"pipeline {self.id}: {status or 'not begun'}")
        return "" if status in RUNNING else status

    def _why(self) -> str:
        with told(f"pipeline {self.id}"):
            stages = self.spoke.client("codepipeline").get_pipeline_state(name=self.id)
        said = [
            action["latestExecution"]["errorDetails"]["message"]
            for stage in stages["stageStates"]
            for action in stage["actionStates"]
            if "errorDetails" in action.get("latestExecution", {})
        ]
        return " ".join("; ".join(said).split())

    def _settled(self) -> projects.Project:
        return projects.wait(
            self.spoke,
            self.name,
            lambda one: self.debts.progress(f"project {one.name}: {one.status}"),
            self.pause,
        )

    # Removing it

    def _undo(self) -> None:
        """Stop what it does, and delete it; what it leaves are new debts."""
        if self.name not in projects.every(self.spoke):
            return
        with suppress(SeedbedError):  # one that failed is deleted all the same
            self._settled()
        self.id = projects.show(self.spoke, self.name).id
        self._halt()
        self.debts.owe_below(self.debt, list(self._leaves()))
        with told(f"project {self.name}"):
            self.spoke.client("sagemaker").delete_project(ProjectName=self.name)
        self._settled()

    def _halt(self) -> None:
        """Stop its executions and builds: no deletion of a stack would."""
        delivery, code = self.spoke.client("codepipeline"), self.spoke.client("codebuild")
        with told(f"pipeline {self.id}"), absent():
            found = delivery.list_pipeline_executions(pipelineName=self.id)
            for one in found["pipelineExecutionSummaries"]:
                if one["status"] == "InProgress":
                    delivery.stop_pipeline_execution(
                        pipelineName=self.id,
                        pipelineExecutionId=one["pipelineExecutionId"],
                        abandon=True,
                    )
        with told(f"builds of {self.name}"), absent():
            ids = code.list_builds_for_project(projectName=f"seedbed-{self.id}")["ids"]
            for build in code.batch_get_builds(ids=ids[:100])["builds"] if ids else ():
                if build["buildStatus"] == "IN_PROGRESS":
                    code.stop_build(id=build["id"])
        with told(f"SageMaker pipeline {self.name}"), absent():
            for arn in self._executions():
                self.spoke.client("sagemaker").stop_pipeline_execution(
                    PipelineExecutionArn=arn, ClientRequestToken=secrets.token_hex(16)
                )
            self._until(lambda: not self._executions(), HALT_LIMIT, f"stopping {self.name}")

    def _executions(self) -> list[str]:
        found = self.spoke.client("sagemaker").list_pipeline_executions(PipelineName=self.name)
        return [
            one["PipelineExecutionArn"]
            for one in found["PipelineExecutionSummaries"]
            if one["PipelineExecutionStatus"] in ("Executing", "Stopping")
        ]

    def _stack(self) -> str:
        """Return its stack's id, empty without a stack."""
        with told(f"project {self.name}"):
            said = self.spoke.client("sagemaker").describe_project(ProjectName=self.name)
            product = said.get("ServiceCatalogProvisionedProductDetails", {})
            if "ProvisionedProductId" not in product:
                return ""
            found = self.spoke.client(CATALOG).search_provisioned_products(
                AccessLevelFilter={"Key": "Account", "Value": "self"},
                Filters={"SearchQuery": [f"id:{product['ProvisionedProductId']}"]},
            )["ProvisionedProducts"]
        return str(found[0].get("PhysicalId", "")) if found else ""

    def _leaves(self) -> Iterator[Debt]:
        """Yield what it leaves when it is deleted, the key first: that is paid last."""
        aws, stack = self.spoke.client, self._stack()
        if stack:
            yield from self.debts.retained(self.spoke, stack, self.flags)
        yield Debt(
            f"SageMaker pipeline {self.name}",
            f"aws sagemaker delete-pipeline --pipeline-name {self.name} {self.flags}",
            self._delete_pipeline,
        )
        yield Debt(
            f"models and model package group {self.name}",
            "delete its model packages, then aws sagemaker delete-model-package-group "
            f"--model-package-group-name {self.name} {self.flags}",
            self._delete_models,
        )
        yield Debt(
            f"repository {self.name}",
            f"aws codecommit delete-repository --repository-name {self.name} {self.flags}",
            lambda: aws("codecommit").delete_repository(repositoryName=self.name),
        )

    def _delete_pipeline(self) -> None:
        with absent():
            self.spoke.client("sagemaker").delete_pipeline(
                PipelineName=self.name, ClientRequestToken=secrets.token_hex(16)
            )

    def _models(self) -> list[str]:
        with told(f"model package group {self.name}"):
            pages = self.spoke.client("sagemaker").get_paginator("list_model_packages")
            return [
                one["ModelPackageArn"]
                for page in pages.paginate(ModelPackageGroupName=self.name)
                for one in page["ModelPackageSummaryList"]
            ]

    def _delete_models(self) -> None:
        sagemaker = self.spoke.client("sagemaker")
        with absent():
            sagemaker.describe_model_package_group(ModelPackageGroupName=self.name)
            for arn in self._models():
                sagemaker.delete_model_package(ModelPackageName=arn)
            sagemaker.delete_model_package_group(ModelPackageGroupName=self.name)

    def _until(self, look: Callable[[], T], limit: float, what: str) -> T:
        waited = 0.0
        while not (found := look()):
            if waited >= limit:
                raise SeedbedError(f"{what}: not done after {limit:.0f} s")
            self.pause(PAUSE)
            waited += PAUSE
        return found
