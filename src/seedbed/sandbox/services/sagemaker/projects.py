"""Projects, by both routes: a product of Service Catalog, or a template in S3.

All that a project does is done as whoever called CreateProject, UpdateProject or DeleteProject.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from seedbed.sandbox.cloudformation.errors import StackError
from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.sagemaker.records import Kind, Record, Store, tag_map, who
from seedbed.sandbox.services.sagemaker.stacks import (
    TEMPLATES,
    ProjectError,
    ProjectStacks,
    injected,
    tags_of,
    template_of,
)
from seedbed.sandbox.services.servicecatalog.templates import SERVICE_ACCOUNT
from seedbed.sandbox.world import Context

PROJECT = Kind(
    "Project", ("ProjectName",), "project/{ProjectName}", status=("ProjectStatus", "Pending")
)
CATALOG = "ServiceCatalogProvisioningDetails"
PORTFOLIO = "Amazon SageMaker Solutions and ML Ops products"
PROVISIONED = "ServiceCatalogProvisionedProductDetails"
UPDATABLE = frozenset({"CreateCompleted", "UpdateCompleted", "UpdateFailed"})


class Projects(ProjectStacks):
    """Projects of all accounts and regions."""

    kinds: ClassVar[tuple[Kind, ...]] = (PROJECT,)

    def create_project(
        self,
        ctx: Context,
        *,
        ProjectName: str,
        TemplateProviders: list[dict[str, Any]] | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        """Start a project; what comes of it is told by DescribeProject.

        Raises:
            ServiceError: The name is taken, or not exactly one of both routes is asked for.
        """
        if (CATALOG in params) == bool(TemplateProviders):
            message = f"Specify either {CATALOG} or TemplateProviders."
            raise ServiceError("ValidationException", message)
        more: dict[str, Any] = {"ProjectId": f"p-{self.world.token(12)}"}
        for one in TemplateProviders or []:
            detail = {
                **one["CfnTemplateProvider"],
                "StackDetail": {"StatusMessage": "The stack is not created yet."},
            }
            more[TEMPLATES] = [{"CfnTemplateProviderDetail": detail}]
        with self.lock:
            old = self.table(ctx, PROJECT.noun).get((ProjectName,))
            if old is not None and old.said["ProjectStatus"] == "DeleteCompleted":
                del self.table(ctx, PROJECT.noun)[(ProjectName,)]
        answer = self.make(ctx, PROJECT, {"ProjectName": ProjectName, **params}, **more)
        record = self.find(ctx, PROJECT, {"ProjectName": ProjectName})
        work = self.make_stack if TemplateProviders else self._provision
        self._start(record, "Create", lambda: work(ctx, record))
        return answer

    def update_project(
        self,
        ctx: Context,
        *,
        ProjectName: str,
        ProjectDescription: str | None = None,
        ServiceCatalogProvisioningUpdateDetails: dict[str, Any] | None = None,
        TemplateProvidersToUpdate: list[dict[str, Any]] | None = None,
        Tags: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Start an update of a project's stack or product; a description alone starts nothing.

        Raises:
            ServiceError: The project is busy, or of the other route.
        """
        record = self.find(ctx, PROJECT, {"ProjectName": ProjectName})
        by_stack = TEMPLATES in record.said
        details = ServiceCatalogProvisioningUpdateDetails
        if by_stack and details is not None:
            raise ServiceError("ValidationException", f"{ProjectName} is not of Service Catalog.")
        if not by_stack and TemplateProvidersToUpdate:
            raise ServiceError("ValidationException", f"{ProjectName} is of Service Catalog.")
        tags = tag_map(Tags or [])
        said: dict[str, Any] = {}
        if TemplateProvidersToUpdate:
            said = TemplateProvidersToUpdate[0]["CfnTemplateProvider"]
            known = template_of(record)["TemplateName"]
            if said["TemplateName"] != known:
                message = f"The project has no template {said['TemplateName']}: it has {known}."
                raise ServiceError("ValidationException", message)
        starts = bool(said or details is not None or tags)
        with self.lock:
            if starts:
                self._reserve(record, "Update", UPDATABLE)
            if ProjectDescription is not None:
                record.said["ProjectDescription"] = ProjectDescription
            record.tags |= tags
            record.said["LastModifiedTime"] = self.now()
            record.said["LastModifiedBy"] = who(ctx)
        if starts and by_stack:
            self._start(record, "Update", lambda: self.change_stack(ctx, record, said, tags))
        elif starts:
            asked = dict(record.said[CATALOG]) if details is None else details
            self._start(record, "Update", lambda: self._reprovision(ctx, record, asked, tags))
        return {"ProjectArn": record.arn}

    def delete_project(self, ctx: Context, ProjectName: str) -> None:
        """Start the deletion of a project with its stack, or its provisioned product.

        Raises:
            ServiceError: The project is busy.
        """
        record = self.find(ctx, PROJECT, {"ProjectName": ProjectName})
        if record.said["ProjectStatus"] == "DeleteCompleted":
            raise ServiceError("ValidationException", f"Project {ProjectName} does not exist.")
        with self.lock:
            self._reserve(record, "Delete", UPDATABLE | {"CreateFailed", "DeleteFailed"})
        work = self.remove_stack if TEMPLATES in record.said else self._terminate
        self._start(record, "Delete", lambda: work(ctx, record))

    # SageMaker's own portfolio: AWS shares it, its products are not here

    def enable_sagemaker_servicecatalog_portfolio(self, ctx: Context) -> None:
        self._switch_portfolio(ctx, on=True)

    def disable_sagemaker_servicecatalog_portfolio(self, ctx: Context) -> None:
        self._switch_portfolio(ctx, on=False)

    def get_sagemaker_servicecatalog_portfolio_status(self, ctx: Context) -> dict[str, Any]:
        store: Store = self.state(ctx)
        return {"Status": "Enabled" if store.portfolio else "Disabled"}

    def _switch_portfolio(self, ctx: Context, *, on: bool) -> None:
        """Share SageMaker's portfolio with the account and accept it there, or take it back."""
        store: Store = self.state(ctx)
        with self.lock:
            was, store.portfolio = store.portfolio, on
        if was == on:
            return
        aws = ctx.client("servicecatalog", account=SERVICE_ACCOUNT)
        known = aws.list_portfolios()["PortfolioDetails"]
        found = next((one["Id"] for one in known if one["DisplayName"] == PORTFOLIO), None)
        if found is None:
            made = aws.create_portfolio(DisplayName=PORTFOLIO, ProviderName="Amazon SageMaker")
            found = made["PortfolioDetail"]["Id"]
        if not on:
            aws.delete_portfolio_share(PortfolioId=found, AccountId=ctx.owner)
            return
        aws.create_portfolio_share(PortfolioId=found, AccountId=ctx.owner)
        mine = ctx.client("servicecatalog", account=ctx.owner)
        mine.accept_portfolio_share(PortfolioId=found)

    # States

    def _reserve(self, record: Record, verb: str, allowed: frozenset[str]) -> None:
        """Enter the state in which something happens to a project, so that nothing else does.

        Raises:
            ServiceError: Its state does not allow it.
        """
        state = record.said["ProjectStatus"]
        if state not in allowed:
            name = record.said["ProjectName"]
            message = f"Project {name} cannot be {verb.lower()}d in state {state}."
            raise ServiceError("ConflictException", message)
        record.said["ProjectStatus"] = f"{verb}InProgress"

    def _start(self, record: Record, verb: str, work: Callable[[], None]) -> None:
        """Carry it out in the background; whatever goes wrong is told in the project's details."""

        def carry_out() -> None:
            self._tell(record, f"{verb}InProgress")
            try:
                work()
            except (BotoCoreError, ClientError, ProjectError, StackError) as error:
                self._tell(record, f"{verb}Failed", str(error))
            except Exception as error:  # noqa: BLE001 (a project must never be left in progress)
                traceback.print_exc()
                said = f"defect of the sandbox: {type(error).__name__}: {error}"
                self._tell(record, f"{verb}Failed", said)
            else:
                self._tell(record, f"{verb}Completed")

        self.world.spawn("project", carry_out)

    def _tell(self, record: Record, state: str, message: str = "") -> None:
        with self.lock:
            if message and TEMPLATES in record.said:
                template_of(record)["StackDetail"]["StatusMessage"] = message[:4096]
            elif message:
                details = record.said.setdefault(PROVISIONED, {})
                details["ProvisionedProductStatusMessage"] = message
            record.said["ProjectStatus"] = state

    # The product of Service Catalog

    def _provision(self, ctx: Context, record: Record) -> None:
        catalog, details = ctx.client("servicecatalog"), record.said[CATALOG]
        product = details["ProductId"]
        artifact = version(catalog, product, details.get("ProvisioningArtifactId"))
        with self.lock:
            details["ProvisioningArtifactId"] = artifact
        path = {"PathId": details["PathId"]} if "PathId" in details else {}
        made = catalog.provision_product(
            ProductId=product,
            ProvisioningArtifactId=artifact,
            ProvisionedProductName=f"{record.said['ProjectName']}-{record.said['ProjectId']}",
            ProvisioningParameters=self._filled(record, details),
            Tags=tags_of(record),
            **path,
        )["RecordDetail"]
        with self.lock:
            record.said[PROVISIONED] = {"ProvisionedProductId": made["ProvisionedProductId"]}
        self._settle_product(catalog, record)

    def _reprovision(
        self,
        ctx: Context,
        record: Record,
        said: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> None:
        catalog, details = ctx.client("servicecatalog"), record.said[CATALOG]
        artifact = version(catalog, details["ProductId"], said.get("ProvisioningArtifactId"))
        labels = {"Tags": tags_of(record)} if tags else {}
        catalog.update_provisioned_product(
            ProvisionedProductId=self._provisioned(record),
            ProductId=details["ProductId"],
            ProvisioningArtifactId=artifact,
            ProvisioningParameters=self._filled(record, said),
            **labels,
        )
        self._settle_product(catalog, record)
        with self.lock:
            details["ProvisioningArtifactId"] = artifact
            if "ProvisioningParameters" in said:
                details["ProvisioningParameters"] = said["ProvisioningParameters"]
            record.said[PROVISIONED].pop("ProvisionedProductStatusMessage", None)

    def _terminate(self, ctx: Context, record: Record) -> None:
        if "ProvisionedProductId" not in record.said.get(PROVISIONED, {}):
            return
        catalog = ctx.client("servicecatalog")
        made = catalog.terminate_provisioned_product(ProvisionedProductId=self._provisioned(record))
        self._terminated(catalog, made["RecordDetail"]["RecordId"])

    def _provisioned(self, record: Record) -> str:
        found = record.said.get(PROVISIONED, {}).get("ProvisionedProductId")
        if found is None:
            raise ProjectError("The project has no provisioned product.")
        return str(found)

    def _filled(self, record: Record, said: Mapping[str, Any]) -> list[dict[str, str]]:
        own = injected(record)
        given = [one for one in said.get("ProvisioningParameters", []) if one["Key"] not in own]
        return given + [{"Key": key, "Value": value} for key, value in own.items()]

    def _settle_product(self, catalog: Any, record: Record) -> None:
        """Wait until the provisioned product is at rest.

        Raises:
            ProjectError: It is not what was asked for.
        """
        wanted = {"Id": self._provisioned(record)}
        while True:
            found = catalog.describe_provisioned_product(**wanted)["ProvisionedProductDetail"]
            if found["Status"] != "UNDER_CHANGE":
                break
            if self.world.wait(0.1):
                raise ProjectError("the sandbox is stopping")
        if found["Status"] != "AVAILABLE":
            raise ProjectError(f"{found['Status']}: {found.get('StatusMessage', '')}")

    def _terminated(self, catalog: Any, record_id: str) -> None:
        """Wait for the end of a termination.

        Raises:
            ProjectError: It failed; the record's errors are told.
        """
        while True:
            found = catalog.describe_record(Id=record_id)["RecordDetail"]
            if found["Status"] in {"SUCCEEDED", "FAILED"}:
                break
            if self.world.wait(0.1):
                raise ProjectError("the sandbox is stopping")
        if found["Status"] == "FAILED":
            errors = [one.get("Description", "") for one in found.get("RecordErrors", [])]
            raise ProjectError("; ".join(errors) or "FAILED")


def version(catalog: Any, product: str, wanted: str | None) -> str:
    """Return the version asked for, or the newest one, which SageMaker takes where none is named.

    Raises:
        ProjectError: The product has none.
    """
    found = catalog.describe_product(Id=product)["ProvisioningArtifacts"]
    if wanted is None:
        if not found:
            raise ProjectError(f"{product} has no provisioning artifact.")
        wanted = str(max(found, key=lambda one: one["CreatedTime"])["Id"])
    catalog.describe_provisioning_artifact(ProductId=product, ProvisioningArtifactId=wanted)
    return wanted
