"""Deploys the platform's own stacks into hub and spokes, by change set, and removes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from botocore.exceptions import ClientError

from seedbed import cfn, packaging, projects, settings
from seedbed.declaration import FILE, Declaration
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account, told
from seedbed.publishing.observe import CATALOG, PORTFOLIO_TAG, tags_of

TAGS = {"seedbed:platform": "true"}
SEED = "seed"
FOLDER = Path("servicecatalog")
# A project's infra/stack.py deploys by change set too: it is the one that does it.
STACK = Path("layers/model-build/infra/stack.py")


@dataclass(frozen=True)
class Part:
    """One stack. `once`: only in one region, as IAM is global. `needs`: left out without."""

    name: str
    file: str
    once: bool = False
    needs: tuple[str, ...] = ()


ROLES = (
    Part("seedbed-spoke-roles", "spoke/roles.yml", once=True),
    Part("seedbed-spoke-users", "spoke/users.yml", once=True),
    Part("seedbed-spoke-admin", "spoke/admin.yml", once=True),
)
SEEDER = Part("seedbed-spoke-seeder", "spoke/seeder.yml")
ASSETS = Part("seedbed-hub-assets", "hub/assets.yml")
HUB = (
    ASSETS,
    *ROLES,  # users of the hub launch products too
    SEEDER,
    Part("seedbed-hub-publish", "hub/publish.yml", True, ("ConnectionArn", "RepositoryId")),
)
SPOKE = (
    *ROLES,
    SEEDER,
    Part("seedbed-spoke-endpoints", "spoke/endpoints.yml", needs=("RouteTableIds",)),
)


@dataclass
class Change:
    """What a change set of one stack would do; nothing if `lines` is empty.

    `kept` are parameters that nobody gave now, and that are as they were set before.
    """

    part: Part
    region: str
    lines: list[str]
    stack: Any
    left_out: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return the change as `--json` prints it."""
        return {
            "stack": self.part.name,
            "region": self.region,
            "changes": [line.strip() for line in self.lines],
            "kept": dict(self.kept),
            "left_out": self.left_out,
        }


@dataclass
class Bootstrap:
    """One account being made a hub or a spoke.

    Args:
        base: a checkout of the templates.
        declared: regions, and what the asset bucket is called.
        parts: HUB or SPOKE.
        account: the account, in the first region.
        hub: the hub's account id.
        given: parameters of the stacks; what is not given stays as it is in a stack that is there.
        regions: only these of the declared ones; none: all.
    """

    base: Path
    declared: Declaration
    parts: tuple[Part, ...]
    account: Account
    hub: str
    given: Mapping[str, str]
    regions: Sequence[str] = ()
    _places: dict[str, Account] = field(default_factory=dict)
    _before: dict[tuple[str, str], dict[str, str] | None] = field(default_factory=dict)

    def check(self) -> None:
        """Hold account and parameters against what is asked, before anything is done.

        Raises:
            SeedbedError: the spoke is the hub, no template has a parameter, or a value does not
                fit it, the declaration or another option.
        """
        if self.parts is SPOKE and self.account.id == self.hub:
            raise SeedbedError(f"account {self.hub} is the hub itself: use the spoke's credentials")
        rules: dict[str, list[Any]] = {}
        for part in self.parts:
            for key, rule in self._template(part)["Parameters"].items():
                rules.setdefault(key, []).append(rule)
        for key, value in self.given.items():
            if key not in rules:
                known = ", ".join(sorted(rules))
                raise SeedbedError(f"--set {key}: no stack has this parameter: use one of {known}")
            wrong = [cfn.misfit(rule, value) for rule in rules[key]]
            if all(wrong):  # one that fits a stack which is left out may not do for the others
                raise SeedbedError(f"--set {key} is {wrong[0]}")
            self._refuse_contradiction(key, value)

    def _refuse_contradiction(self, key: str, value: str) -> None:
        """Raise SeedbedError for what the declaration or another option says otherwise."""
        regions = self.regions or self.declared.regions
        settings.refuse_elsewhere(key, value, regions)
        assets = f"assets.bucket in {FILE}"
        match key:
            case "HubAccountId":
                settings.refuse_otherwise(key, value, "the hub", [self.hub])
            case "AssetBucketPrefix":
                settings.refuse_otherwise(key, value, assets, [self.declared.assets.bucket])
            case "AssetBucketName":
                names = [self.bucket(region) for region in regions]
                settings.refuse_otherwise(key, value, assets, names)
            case "SeedCodeKey":
                of = "the seeder of this commit"
                settings.refuse_otherwise(key, value, of, [self._seed_key()])

    def ready(self) -> None:
        """Look for all that would stop the stacks half-way, before the first one is made.

        Raises:
            SeedbedError: a parameter is missing or would do nothing, the hub lacks something, or
                the account is the other kind already.
        """
        if self.parts is HUB:
            self._refuse_spoke()
        elif self._has(ASSETS):
            why = f"account {self.account.id} is a hub: it has stack {ASSETS.name}"
            raise SeedbedError(f"{why}: use the spoke's credentials")
        used: set[str] = set()
        for there, part in self._all():
            if not self._left_out(there, part):
                self._values(there, part)
                used |= self._template(part)["Parameters"].keys()
        for key in sorted(self.given.keys() - used):
            self._refuse_unused(key)

    def _refuse_unused(self, key: str) -> None:
        """Raise SeedbedError for a parameter that only stacks have which are not deployed."""
        for part in self.parts:
            if key in self._template(part)["Parameters"]:
                if missing := [name for name in part.needs if not self.given.get(name)]:
                    raise SeedbedError(f"--set {key} needs --set {'=... --set '.join(missing)}=...")
                home = self._home(part)
                where = f"stack {part.name} is in {home} only"
                raise SeedbedError(f"--set {key}: {where}: add --region {home}")

    def changes(self) -> Iterator[Change]:
        """Yield the change set of each stack, in order: execute or discard one before the next.

        Raises:
            SeedbedError: a parameter is missing, or CloudFormation refuses.
        """
        for there, part in self._all():
            if missing := self._left_out(there, part):
                why = f"--set {'=... --set '.join(missing)}=... would deploy it"
                yield Change(part, there.region, [], None, why)
            else:
                yield self._change(there, part)

    def _left_out(self, there: Account, part: Part) -> list[str]:
        """Return what would have to be given for a stack that is not there."""
        missing = [key for key in part.needs if not self.given.get(key)]
        return missing if missing and self._set_before(there, part) is None else []

    def execute(self, change: Change) -> None:
        """Carry out a change set, and wait. Raises SeedbedError with CloudFormation's reason."""
        with told(change.part.name):
            if change.part is SEEDER and self.parts is HUB:
                self._upload_seeder(self._at(change.region))
            try:
                change.stack.execute()
            except _stack_module(self.base).StackError as error:
                raise SeedbedError(f"{error}: mend it and run the command again") from None

    def _change(self, there: Account, part: Part) -> Change:
        values, kept = self._values(there, part)
        module = _stack_module(self.base)
        with told(f"{part.name} in {there.region}"):
            stack = module.Stack(there.client("cloudformation"), part.name)
            if part is ASSETS and stack.new:
                self._nothing_stayed(there)
            body = (self.base / FOLDER / part.file).read_text("utf-8")
            try:
                lines = stack.prepare(body, values, TAGS)
            except module.StackError as error:
                raise SeedbedError(str(error)) from None
        return Change(part, there.region, lines, stack, kept=kept)

    def _values(self, there: Account, part: Part) -> tuple[dict[str, str], dict[str, str]]:
        """Return a stack's parameters, and those of them that are as they were set before."""
        found: dict[str, Callable[[], str]] = {
            "HubAccountId": lambda: self.hub,
            "AssetBucketPrefix": lambda: self.declared.assets.bucket,
            "AssetBucketName": lambda: self.bucket(there.region),
            "AssetKeyArn": lambda: self._asset_key(there),
            "SeedCodeKey": self._seed_key,
        }
        before = self._set_before(there, part)
        if before is None:
            before = self._set_elsewhere(there, part)
        if "OrganizationPaths" not in before:
            found["OrganizationPaths"] = lambda: f"{self._organization(there)}/*"
        if "OrganizationId" not in before:
            found["OrganizationId"] = lambda: self._organization(there)
        rules = self._template(part)["Parameters"]
        try:
            return settings.merged(rules, self.given, found, before)
        except SeedbedError as error:
            raise SeedbedError(f"{part.name} in {there.region}: {error}") from None

    def _set_elsewhere(self, there: Account, part: Part) -> dict[str, str]:
        """Return what a new region takes over from another one.

        Raises:
            SeedbedError: the other one's stack runs in a VPC, and no VPC is given.
        """
        for region in self.declared.regions:
            if set_ := self._set_before(self._at(region), part):
                if set_.get("VpcId") and "VpcId" not in self.given:
                    name = f"{part.name} in {there.region}: that in {region} runs in a VPC"
                    only = f"--region {there.region} --set VpcId=... (empty for none)"
                    raise SeedbedError(f"{name}: give {only}")
                return settings.anywhere(set_)
        return {}

    def _has(self, part: Part) -> bool:
        regions = self.declared.regions
        return any(self._set_before(self._at(region), part) is not None for region in regions)

    def _set_before(self, there: Account, part: Part) -> dict[str, str] | None:
        """Return the parameters of a stack that is there, or None."""
        at = there.region, part.name
        if at not in self._before:
            with told(f"{part.name} in {there.region}"):
                stack = _stack_module(self.base).Stack(there.client("cloudformation"), part.name)
                known = {} if stack.new else stack.describe()
            pairs = known.get("Parameters", ())
            set_ = {one["ParameterKey"]: one["ParameterValue"] for one in pairs}
            self._before[at] = set_ if known else None
        return self._before[at]

    def bucket(self, region: str) -> str:
        return self.declared.assets.name(self.hub, region)

    def _organization(self, there: Account) -> str:
        with told("organisation"):
            answer = there.client("organizations").describe_organization()
        return str(answer["Organization"]["Id"])

    @cached_property
    def _seed(self) -> bytes:
        """The seeder's zip."""
        return packaging.functions(self.base)[SEED]

    def _seed_key(self) -> str:
        return packaging.function_key(SEED, self._seed)

    def _asset_key(self, there: Account) -> str:
        """Return the key that encrypts what lies in the asset bucket.

        Raises:
            SeedbedError: the spoke cannot read the seeder's zip there.
        """
        bucket, key, s3 = self.bucket(there.region), self._seed_key(), there.client("s3")
        if self.parts is HUB:
            return self._bucket_key(there)
        try:
            head = s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise SeedbedError(
                f"s3://{bucket}/{key}: {code}: bootstrap the hub from this same commit first, "
                "and let this account's unit in by its --set OrganizationPaths=..."
            ) from None
        return str(head["SSEKMSKeyId"])

    def _bucket_key(self, there: Account) -> str:
        """Return the hub's key, or what stands for it until its stack is there."""
        bucket = self.bucket(there.region)
        try:
            said = there.client("s3").get_bucket_encryption(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
            where = f"arn:{there.partition}:kms:{there.region}:{there.id}"
            return f"{where}:key/made-by-{ASSETS.name}"
        rule = said["ServerSideEncryptionConfiguration"]["Rules"][0]
        return str(rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"])

    def _upload_seeder(self, there: Account) -> None:
        bucket, key = self.bucket(there.region), self._seed_key()
        there.client("s3").put_object(
            Bucket=bucket, Key=key, Body=self._seed, ChecksumAlgorithm="SHA256"
        )

    def _nothing_stayed(self, there: Account) -> None:
        """Refuse to make a bucket again that an earlier stack left behind."""
        bucket = self.bucket(there.region)
        try:
            there.client("s3").head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
                return
            raise
        raise SeedbedError(
            f"bucket {bucket} is there without its stack: an earlier one left it; empty and "
            "delete it, and its log bucket and key, or import them into the stack"
        )

    def _template(self, part: Part) -> cfn.Template:
        path = self.base / FOLDER / part.file
        try:
            return cfn.load(path.read_text("utf-8"), str(path))
        except FileNotFoundError:
            raise SeedbedError(f"{path}: missing; run in a checkout of the templates") from None

    # The opposite

    def remains(self) -> Iterator[tuple[str, str, str]]:
        """Yield what a teardown leaves: stack, type and physical id of each retained resource."""
        for region, part, there in self._deployed():
            template = self._template(part)["Resources"]
            pages = there.client("cloudformation").get_paginator("list_stack_resources")
            with told(f"{part.name} in {region}"):
                listed = [
                    item
                    for page in pages.paginate(StackName=part.name)
                    for item in page["StackResourceSummaries"]
                ]
            for item in listed:
                policy = template.get(item["LogicalResourceId"], {}).get("DeletionPolicy", "")
                if policy.startswith("Retain"):
                    yield part.name, item["ResourceType"], item["PhysicalResourceId"]

    def published(self) -> Iterator[str]:
        """Yield the ids of the hub's portfolios: a release made them, no stack."""
        for region in self.declared.regions:
            there = self._at(region)
            with told(f"portfolios in {region}"):
                for one in there.every(CATALOG, "list_portfolios", "PortfolioDetails"):
                    tags = there.client(CATALOG).describe_portfolio(Id=one["Id"])["Tags"]
                    if PORTFOLIO_TAG in tags_of(tags):
                        yield str(one["Id"])

    def refuse_teardown(self) -> None:
        """Look whether something needs the stacks.

        Raises:
            SeedbedError: the account has projects, whose deletion needs the launch role; or it is
                a spoke, not a hub.
        """
        if self.parts is HUB:
            self._refuse_spoke()
        found = [
            f"{name} ({region})"
            for region in self.declared.regions
            for name in projects.every(self._at(region))
        ]
        if found:
            verb = "1 project needs" if len(found) == 1 else f"{len(found)} projects need"
            how = "in Studio, or aws sagemaker delete-project --project-name NAME"
            raise SeedbedError(f"{verb} these roles: delete first ({how}): {', '.join(found)}")

    def _refuse_spoke(self) -> None:
        if any(map(self._has, (*ROLES, SEEDER))) and not self._has(ASSETS):
            raise SeedbedError(f"account {self.account.id} is a spoke: use the hub's credentials")

    def stacks(self) -> list[tuple[str, str]]:
        """Return region and name of each stack that is there, in the order of its removal."""
        return [(region, part.name) for region, part, _ in self._deployed()]

    def teardown(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Delete the stacks, the last one first.

        Raises:
            SeedbedError: a stack cannot be deleted.
        """
        for region, part, there in self._deployed():
            progress(f"{part.name} in {region}")
            client = there.client("cloudformation")
            with told(f"{part.name} in {region}"):
                id_ = client.describe_stacks(StackName=part.name)["Stacks"][0]["StackId"]
                client.delete_stack(StackName=id_)
                waiter = client.get_waiter("stack_delete_complete")
                waiter.wait(StackName=id_, WaiterConfig={"Delay": 2, "MaxAttempts": 900})

    def _deployed(self) -> Iterator[tuple[str, Part, Account]]:
        module = _stack_module(self.base)
        for there, part in reversed(self._all()):
            with told(part.name):
                stack = module.Stack(there.client("cloudformation"), part.name)
                known = stack.describe()
            if known and known["StackStatus"] != "REVIEW_IN_PROGRESS":
                yield there.region, part, there

    def _at(self, region: str) -> Account:
        """Return the account in a region, its clients made once."""
        if region not in self._places:
            self._places[region] = self.account.at(region)
        return self._places[region]

    def _all(self) -> list[tuple[Account, Part]]:
        """Return where each stack is deployed, in order."""
        return [
            (self._at(region), part)
            for region in self.regions or self.declared.regions
            for part in self.parts
            if not part.once or region == self._home(part)
        ]

    def _home(self, part: Part) -> str:
        """Return the region of a stack that an account has once: where it is, else the first."""
        regions = self.declared.regions
        there = [name for name in regions if self._set_before(self._at(name), part) is not None]
        return there[0] if there else regions[0]


@cache
def _stack_module(base: Path) -> ModuleType:
    """Return a project's infra/stack.py as a module.

    Raises:
        SeedbedError: this is no checkout.
    """
    path = base / STACK
    if not path.is_file():
        raise SeedbedError(f"{path}: missing; run in a checkout of the templates")
    module = ModuleType("seedbed_stack")
    exec(compile(path.read_text("utf-8"), str(path), "exec"), module.__dict__)  # noqa: S102 (ours)
    return module
