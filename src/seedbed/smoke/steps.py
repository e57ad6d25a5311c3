"""The steps of a run, by the modules that the commands use."""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from seedbed import bootstrap, declaration, packaging, portfolios, publishing
from seedbed.declaration import Declaration
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account, told
from seedbed.publishing.observe import CATALOG
from seedbed.smoke.debts import Debt, Debts
from seedbed.smoke.project import PRODUCT, Project

FOLDER = "training-data/"
QUOTAS = ("ml.m5.xlarge for processing job usage", "ml.m5.xlarge for training job usage")
COSTS = """\
What AWS charges for (each service's pricing page says how much):
  KMS         four keys, by the month while they exist: the hub's assets, a seeder's in each
              account, the project's
  CodeBuild   two builds on the smallest Linux machine; the second waits for SageMaker's jobs
  SageMaker   two processing jobs and a training job, each some minutes of one ml.m5.xlarge
  S3, CodePipeline, Lambda, CloudWatch, SNS, SQS, EventBridge, Service Catalog: by their use"""


@dataclass(frozen=True)
class Step:
    """One step: `run` returns what is to be said of it; `remedy` is where to look if it fails."""

    title: str
    remedy: str
    run: Callable[[], str]


@dataclass
class Smoke:
    """One run.

    Args:
        base: a checkout of the templates.
        declared: the declaration, for one region.
        hub: the account that publishes.
        spoke: the account in which the project is made.
        flags: how commands name the profiles of hub and spoke, such as `--profile x`.
        release: a folder for the release.
        debts: what is to be removed afterwards.
        project: the project, of the spoke.
        version: what to call HEAD; None: its tag.
        data: a CSV file to learn from; None: the template's own sample.
        whole: remove what the platform consists of too.
    """

    base: Path
    declared: Declaration
    hub: Account
    spoke: Account
    flags: dict[str, str]
    release: Path
    debts: Debts
    project: Project
    version: str | None = None
    data: Path | None = None
    whole: bool = False

    @property
    def bucket(self) -> str:
        return f"seedbed-{self.project.name}-{self.spoke.id}-{self.spoke.region}"

    def steps(self) -> tuple[Step, ...]:
        hub, spoke, name = self.flags["hub"], self.flags["spoke"], self.project.name
        doctor = f"seedbed doctor --as admin --project {name} {spoke}"
        builds = f"{doctor}; the log group /aws/codebuild/seedbed-p-... tells what the build said"
        into = f"seedbed bootstrap spoke --hub {self.hub.id} --plan {spoke}"
        made, data = self.project, f"s3://{self.bucket}/{FOLDER}"
        return (
            Step("bootstrap hub", f"seedbed bootstrap hub --plan {hub}", lambda: self.boot("hub")),
            Step("bootstrap spoke", into, lambda: self.boot("spoke")),
            Step("package", "commit, then tag HEAD or give --version", self.package),
            Step("publish", f"seedbed doctor --as hub {hub}", self.publish),
            Step("import the portfolio", f"seedbed doctor --as admin {spoke}", self.take),
            Step("data bucket", f"aws s3 ls {spoke}", self.upload),
            Step(f"create {name}", doctor, lambda: made.create(data, self.hub.id)),
            Step("build, train, register", builds, made.build),
            Step("plan again", f"seedbed plan {hub}", self.plan),
            Step(f"delete {name}", doctor, made.delete),
        )

    # Beforehand

    def check(self) -> None:
        """Look whether the run can begin.

        Raises:
            SeedbedError: it cannot, with what to do.
        """
        if self.hub.id == self.spoke.id:
            raise SeedbedError(f"hub and spoke are both {self.hub.id}: use two accounts")
        if self.data and not self.data.is_file():
            raise SeedbedError(f"--data {self.data}: there is no such file")
        shares = next(p.shares for p in self.declared.portfolios.values() if PRODUCT in p.products)
        if not (shares.organization or shares.units):
            raise SeedbedError(
                f"{declaration.FILE} shares {PRODUCT} with no unit: add that of {self.spoke.id} to "
                "its portfolio's shares.units, commit, tag"
            )
        self.principal()
        for kind in ("hub", "spoke"):
            if self.whole and self._boot(kind).stacks():
                command = f"seedbed teardown {kind} {self.flags[kind]}"
                raise SeedbedError(f"--teardown: the {kind} has stacks already: use `{command}`")

    def about(self) -> str:
        """Say where the run works, what it makes, what that costs and which quotas it needs."""
        hub, spoke = (
            ", ".join(part.name for part in parts if not part.needs)
            for parts in (bootstrap.HUB, bootstrap.SPOKE)
        )
        return f"""\
Region {self.hub.region}
Hub {self.hub.id} gets
  stacks {hub}
  what `seedbed publish` sends for {", ".join(self.declared.products)}
Spoke {self.spoke.id} gets
  stacks {spoke}
  bucket {self.bucket} with a CSV file
  project {self.project.name} of {PRODUCT}: its stack, a CodeCommit repository, a SageMaker
  pipeline, a model package group
  {self.principal()} in the shared portfolios, for the while
{COSTS}
Quotas of the spoke (`seedbed doctor --as hub` looks at Service Catalog's):
{self.quotas()}"""

    def quotas(self) -> str:
        """Return the quotas of the jobs' instances, a line each.

        Raises:
            SeedbedError: no such job may run.
        """
        known: dict[str, float] = {}
        try:
            pages = self.spoke.client("service-quotas").get_paginator("list_service_quotas")
            for page in pages.paginate(ServiceCode="sagemaker"):
                known |= {one["QuotaName"]: one["Value"] for one in page["Quotas"]}
        except (BotoCoreError, ClientError):
            where = "not readable here: look into Service Quotas in the console"
            return "\n".join(f"  {name}: at least 1 ({where})" for name in QUOTAS)
        for name in QUOTAS:
            if known.get(name, 1) < 1:
                raise SeedbedError(f"quota {name!r} is 0 in {self.spoke.id}: ask for 1")
        return "\n".join(f"  {name}: at least 1 of {known.get(name, '?')}" for name in QUOTAS)

    def principal(self) -> str:
        """Return the ARN of the spoke's caller, as Service Catalog lets it in.

        Raises:
            SeedbedError: it is the account's root.
        """
        with told("caller"):
            arn = str(self.spoke.client("sts").get_caller_identity()["Arn"])
            if ":assumed-role/" in arn:  # this ARN lacks the role's path
                name = arn.split("/")[1]
                arn = str(self.spoke.client("iam").get_role(RoleName=name)["Role"]["Arn"])
        if arn.endswith(":root"):
            raise SeedbedError("the spoke's profile is the account's root: use a role or a user")
        return arn

    # Steps

    def boot(self, kind: str) -> str:
        made, count = self._boot(kind), 0
        made.check()
        other = f" --hub {self.hub.id}" if kind == "spoke" else ""
        remedy = f"seedbed teardown {kind}{other} {self.flags[kind]}"
        what = f"the {kind}'s stacks in {made.account.id}"
        self._platform(Debt(what, remedy, lambda: self._teardown(kind)), remove=self.whole)
        for change in made.changes():
            if change.lines:
                self.debts.progress(f"{change.part.name} in {change.region}")
                made.execute(change)
                count += 1
        return f"{count} stacks made or changed"

    def package(self) -> str:
        made = packaging.package(
            self.base, self.release, version=self.version, progress=self.debts.progress
        )
        return f"{made.version}, {len(made.products)} products"

    def publish(self) -> str:
        plan = self._plan()
        created = [one for one in plan.changes if one.operation == "CreatePortfolio"]
        remedy = "`seedbed teardown hub --portfolios`"
        debt = Debt(f"portfolios and products in {self.hub.id}", remedy, self._unpublish)
        ours = len(created) == len(self.declared.portfolios)
        self._platform(debt, remove=self.whole and ours)
        self._apply(plan)
        return f"{len(plan.changes)} requests"

    def take(self) -> str:
        """Take the portfolios, and let the caller see them.

        Raises:
            SeedbedError: the product is not among them, or its launch role is missing.
        """
        title, arn = self.declared.products[PRODUCT].title, self.principal()
        before = portfolios.take(self.spoke, self.declared)
        found = [one for one in before if title in one.products]
        if not found:
            raise SeedbedError(
                f"no portfolio with {title!r} is shared with {self.spoke.id}: add its unit to the "
                f"portfolio's shares.units in {declaration.FILE}, commit, tag"
            )
        if missing := found[0].missing_roles:
            raise SeedbedError(f"role {missing[0]} is missing in {self.spoke.id}")
        if arn not in found[0].principals:
            self.debts.owe(self._principal(found[0].id, arn))
            key = next(k for k, one in self.declared.portfolios.items() if PRODUCT in one.products)
            portfolios.take(self.spoke, self.declared, [arn], [key])
        return f"{found[0].title}, {len(found[0].products)} products"

    def upload(self) -> str:
        """Make a bucket of its own for the data."""
        s3, region = self.spoke.client("s3"), self.spoke.region
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with tempfile.TemporaryDirectory() as scratch, told(f"bucket {self.bucket}"):
            path = self.data or Path(scratch) / "data.csv"
            if not self.data:
                sample = runpy.run_path(str(self.base / "layers/model-build/pipeline/sample.py"))
                sample["write"]("binary_classification", "target", path)
            self.debts.owe(self.debts.bucket(self.spoke, self.bucket, self.flags["spoke"]))
            s3.create_bucket(Bucket=self.bucket, **({} if region == "us-east-1" else where))
            s3.upload_file(str(path), self.bucket, f"{FOLDER}{path.name}")
            return f"{path.stat().st_size:,} bytes"

    def plan(self) -> str:
        """Look that a second publish would do nothing. Raises SeedbedError if it would."""
        plan = self._plan()
        if plan.changes:
            first = plan.changes[0]
            raise SeedbedError(f"{len(plan.changes)} requests: {first.target}: {first.summary}")
        return f"nothing to do ({plan.calls} calls)"

    def _boot(self, kind: str) -> bootstrap.Bootstrap:
        parts = bootstrap.HUB if kind == "hub" else bootstrap.SPOKE
        account = self.hub if kind == "hub" else self.spoke
        return bootstrap.Bootstrap(self.base, self.declared, parts, account, self.hub.id, {})

    def _plan(self) -> publishing.Plan:
        manifest = packaging.read(self.release)
        return publishing.plan(self.hub, self.declared, manifest, self.release)

    def _apply(self, plan: publishing.Plan) -> None:
        publishing.apply(
            self.hub, plan, self.release, lambda one: self.debts.progress(f"{one.summary}")
        )

    # The opposite

    def _platform(self, debt: Debt, *, remove: bool) -> None:
        """Owe what the platform consists of, or say that it stays."""
        if remove:
            self.debts.owe(debt)
        else:
            self.debts.stays.append(f"{debt.what}: {debt.remedy}")

    def _principal(self, portfolio: str, arn: str) -> Debt:
        def pay() -> None:
            self.spoke.client(CATALOG).disassociate_principal_from_portfolio(
                PortfolioId=portfolio, PrincipalARN=arn
            )

        command = "aws servicecatalog disassociate-principal-from-portfolio --portfolio-id"
        remedy = f"{command} {portfolio} --principal-arn {arn} {self.flags['spoke']}"
        return Debt(f"{arn} in portfolio {portfolio}", remedy, pay)

    def _unpublish(self) -> None:
        """Take back what this run was the first to publish."""
        self._apply(publishing.withdrawal(self.hub, self.declared))

    def _teardown(self, kind: str) -> None:
        """Remove stacks, and make debts of what they leave.

        Raises:
            SeedbedError: there are projects.
        """
        made = self._boot(kind)
        made.refuse_teardown()
        listed = [(type_, id_) for _, type_, id_ in made.remains()]
        made.teardown(self.debts.progress)
        self.debts.owe(*self.debts.removable(made.account, listed, self.flags[kind]))
