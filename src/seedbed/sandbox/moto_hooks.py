"""Everywhere that we reach into moto's internals; each hook has a contract test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import moto
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends
from moto.moto_api._internal import mock_random
from moto.organizations import utils as organization_ids
from moto.organizations.models import organizations_backends

from seedbed.sandbox import deliveries
from seedbed.sandbox.organisation import ADMIN_ROLE, ORGANISATION, ROOT, unit_id

if TYPE_CHECKING:
    from seedbed.sandbox.organisation import Organisation
    from seedbed.sandbox.world import World

PARTITION = "aws"
ANYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Admin", "Effect": "Allow", "Action": "*", "Resource": "*"}],
}


def reset(world: World) -> None:
    """Empty moto, seed its ids, and build the organisation and its roles in it."""
    BackendDict.reset()
    organizations_backends.master_accounts.clear()
    reset_model_data()
    mock_random.seed(world.seed)
    _build_tree(world.organisation)
    for account in world.organisation.accounts.values():
        _create_admin(account.id)


def _build_tree(organisation: Organisation) -> None:
    management = organisation.accounts["management"]
    backend = organizations_backends[management.id][PARTITION]
    with (
        patch.object(organization_ids, "make_random_org_id", lambda: ORGANISATION),
        patch.object(organization_ids, "make_random_root_id", lambda: ROOT),
        patch.object(organization_ids, "make_random_account_id", lambda: management.id),
    ):
        backend.create_organization(organisation.region)
    backend.accounts[0].name = management.name
    for unit in organisation.units():
        parent, _, name = unit.rpartition("/")
        with patch.object(organization_ids, "make_random_ou_id", lambda _, u=unit: unit_id(u)):
            backend.create_organizational_unit(Name=name, ParentId=_parent(parent))
    for account in organisation.accounts.values():
        if account is not management:
            with patch.object(organization_ids, "make_random_account_id", lambda a=account: a.id):
                email = f"{account.name}@example.com"
                backend.create_account(AccountName=account.name, Email=email)
        moved = {"SourceParentId": ROOT, "DestinationParentId": _parent(account.ou)}
        backend.move_account(AccountId=account.id, **moved)
        # AWS's default role; a template of ours must not lean on it.
        iam_backends[account.id][PARTITION].delete_role("OrganizationAccountAccessRole")


def _parent(unit: str) -> str:
    return unit_id(unit) if unit else ROOT


def _create_admin(account_id: str) -> None:
    trust: dict[str, Any] = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Organisation",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {"StringEquals": {"aws:PrincipalOrgID": ORGANISATION}},
            }
        ],
    }
    backend = iam_backends[account_id][PARTITION]
    role = backend.create_role(
        ADMIN_ROLE, json.dumps(trust), "/", None, "The sandbox's administrator", [], "43200"
    )
    role.put_policy("admin", json.dumps(ANYTHING))


MANAGED = "arn:aws:iam::aws:policy/"


def prepare(service: str, account: str, params: Mapping[str, Any]) -> None:
    """Mend what moto gets wrong, before it is asked for the first time."""
    if service == "iam":
        _provide_managed_policies(account, params)
        _take_older_policies()
    elif service == "s3":
        _let_buckets_log()
        _leave_policies_to_us()
        _notify_ourselves()
    elif service == "sns":
        _publish_ourselves()
    elif service == "lambda":
        _invoke_ourselves()
    elif service == "ram":
        _keep_tags_of_shares()


@cache
def _let_buckets_log() -> None:
    """Take server access logging as it comes, and deliver nothing.

    moto wants the target's policy first, which a stack makes after the buckets, and fails over a
    principal "*". AWS delivers within hours: a rollback finds an empty target.
    """
    from moto.s3.models import FakeBucket, S3Backend

    _replace(FakeBucket, "_log_permissions_enabled_policy", staticmethod(lambda **_: True))
    _replace(S3Backend, "log_incoming_request", lambda *_: None)


@cache
def _leave_policies_to_us() -> None:
    """Keep moto from judging a bucket's policy: it knows no conditions, and denies all to all."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    _replace(FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)


@cache
def _take_older_policies() -> None:
    """Take policies without a version, and numbers in conditions without quotation marks.

    moto asks every policy for the newest version, as IAM does managed ones alone.
    """
    from moto.iam.policy_validation import BaseIAMPolicyValidator

    checked = BaseIAMPolicyValidator._validate_condition_syntax  # noqa: SLF001 (moto's own)

    def unquoted(statement: dict[str, Any]) -> None:
        checked(json.loads(json.dumps(statement), parse_int=str, parse_float=str))

    _replace(BaseIAMPolicyValidator, "_validate_version", lambda _: None)
    _replace(BaseIAMPolicyValidator, "_validate_condition_syntax", staticmethod(unquoted))


@cache
def _notify_ourselves() -> None:
    from moto.s3 import notifications

    _replace(notifications, "send_event", deliveries.send_event)
    _replace(notifications, "send_test_event", deliveries.send_test_event)


@cache
def _publish_ourselves() -> None:
    from moto.sns.models import Subscription

    _replace(Subscription, "publish", deliveries.publish)


@cache
def _invoke_ourselves() -> None:
    from moto.awslambda.models import LambdaBackend, LambdaFunction
    from moto.awslambda.policy import Policy

    _replace(Policy, "principal_formatter", lambda _, said: _principal(said))
    _replace(LambdaFunction, "invoke", deliveries.refuse_invocation)
    _replace(LambdaBackend, "send_log_event", deliveries.send_log_event)


def _principal(said: str) -> str | dict[str, str]:
    """Return whom a function's permission names, as its policy tells it."""
    if said == "*":
        return said
    if said.endswith(".amazonaws.com"):
        return {"Service": said}
    return {"AWS": f"arn:aws:iam::{said}:root" if said.isdigit() else said}


@cache
def _keep_tags_of_shares() -> None:
    """Keep and tell a resource share's tags, which moto forgets."""
    from moto.ram.models import ResourceShare

    make, describe = ResourceShare.__init__, ResourceShare.describe

    def made(share: Any, account_id: str, region: str, **kwargs: Any) -> None:
        make(share, account_id, region, **kwargs)
        share.tags = kwargs.get("tags", [])

    _replace(ResourceShare, "__init__", made)
    _replace(ResourceShare, "describe", lambda share: {**describe(share), "tags": share.tags})


def _replace(owner: object, name: str, value: object) -> None:
    getattr(owner, name)  # a moto that renames it must not take our patch in silence
    setattr(owner, name, value)


def _provide_managed_policies(account: str, params: Mapping[str, Any]) -> None:
    """Put the AWS-managed policies that a request names into an account's IAM.

    moto would parse all of them (5 MB) for every account; we take only what is asked for.
    """
    backend = iam_backends[account][PARTITION]
    for value in params.values():
        if isinstance(value, str) and value.startswith(MANAGED):
            name = value.rsplit("/", 1)[-1]
            if value not in backend.managed_policies and name in _managed():
                policy = AWSManagedPolicy.from_data(name, account, "us-east-1", _managed()[name])
                if policy.arn == value:
                    backend.managed_policies[value] = policy


@cache
def _managed() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(aws_managed_policies_data)
    return parsed


# botocore name -> moto's, where not the same without hyphens
MOTO_NAMES = {"lambda": "awslambda", "sagemaker-runtime": "sagemakerruntime"}


def package(service: str) -> str:
    """Return the name of moto's package of a service."""
    return MOTO_NAMES.get(service, service.replace("-", ""))


def has_service(service: str) -> bool:
    """Tell whether moto has a service of that botocore name at all."""
    return (Path(moto.__file__).parent / package(service)).is_dir()
