"""Portfolios shared across the organisation: who sees them, and as whom they are launched."""

from __future__ import annotations

import json

import pytest
from access import allow, make_role, refused
from catalogs import (
    LAUNCH,
    launch_role,
    make_portfolio,
    make_product,
    product_ids,
    scientist,
    template,
    upload,
)
from waiting import until

WORKLOADS = {"Type": "ORGANIZATIONAL_UNIT", "Value": "ou-seed-workloads"}
DEV = {"Type": "ORGANIZATIONAL_UNIT", "Value": "ou-seed-workloadsdev"}
WHOLE = {"Type": "ORGANIZATION", "Value": "o-seedbed0001"}
SERVICE = "servicecatalog.amazonaws.com"


@pytest.fixture
def hub(sandbox):
    """The hub's client, with the hub as delegated administrator."""
    sandbox.client("servicecatalog", "management").enable_aws_organizations_access()
    sandbox.client("organizations", "management").register_delegated_administrator(
        AccountId=sandbox.account("hub"), ServicePrincipal=SERVICE
    )
    return sandbox.client("servicecatalog", "hub")


@pytest.fixture
def held(sandbox, hub):
    """A portfolio with a product that is launched by the role of one name in every account."""
    portfolio = make_portfolio(hub)
    url = upload(sandbox, "queue.json", template())
    product, artifact = product_ids(make_product(hub, url))
    hub.associate_product_with_portfolio(ProductId=product, PortfolioId=portfolio)
    launch_role(sandbox, "hub")
    hub.create_constraint(
        PortfolioId=portfolio,
        ProductId=product,
        Type="LAUNCH",
        Parameters=json.dumps({"LocalRoleName": LAUNCH}),
    )
    return portfolio, product, artifact


def pattern(hub, portfolio, arn="arn:aws:iam:::role/sci*"):
    hub.associate_principal_with_portfolio(
        PortfolioId=portfolio, PrincipalARN=arn, PrincipalType="IAM_PATTERN"
    )


def done(hub, answer):
    """Wait for a share's operation and return it."""
    token = answer["PortfolioShareToken"]

    def read():
        found = hub.describe_portfolio_share_status(PortfolioShareToken=token)
        return None if found["Status"] in ("NOT_STARTED", "IN_PROGRESS") else found

    return until(read)


def share(hub, portfolio, node=WORKLOADS, **more):
    return done(
        hub, hub.create_portfolio_share(PortfolioId=portfolio, OrganizationNode=node, **more)
    )


def seen(client):
    return [one["ProductId"] for one in client.search_products()["ProductViewSummaries"]]


def test_a_data_scientist_provisions_what_is_shared_with_an_ou(sandbox, hub, held):
    portfolio, product, artifact = held
    pattern(hub, portfolio)
    user, _ = scientist(sandbox)
    assert seen(user) == []
    told = share(hub, portfolio, SharePrincipals=True)
    assert told["Status"] == "COMPLETED"
    members = sorted(sandbox.account(name) for name in ("dev", "test", "prod"))
    assert told["ShareDetails"]["SuccessfulShares"] == members
    assert seen(user) == [product]
    launch_role(sandbox, "dev")
    record = user.provision_product(
        ProductId=product, ProvisioningArtifactId=artifact, ProvisionedProductName="mine"
    )["RecordDetail"]
    role = f"arn:aws:iam::{sandbox.account('dev')}:role/{LAUNCH}"
    assert record["LaunchRoleArn"] == role

    def read():
        found = user.describe_record(Id=record["RecordId"])["RecordDetail"]
        return found if found["Status"] in ("SUCCEEDED", "FAILED") else None

    assert until(read)["Status"] == "SUCCEEDED"
    assert sandbox.client("sqs", "dev").list_queues()["QueueUrls"]
    assert "QueueUrls" not in sandbox.client("sqs", "hub").list_queues()
    made = sandbox.calls(service="cloudformation", operation="CreateStack")
    assert {one["principal"] for one in made} == {role}


def test_a_missing_launch_role_in_the_recipient_is_told(sandbox, hub, held):
    portfolio, product, artifact = held
    pattern(hub, portfolio)
    share(hub, portfolio, SharePrincipals=True)
    user, _ = scientist(sandbox)
    record = user.provision_product(
        ProductId=product, ProvisioningArtifactId=artifact, ProvisionedProductName="mine"
    )["RecordDetail"]

    def read():
        return user.describe_record(Id=record["RecordId"])["RecordDetail"]["RecordErrors"]

    (error,) = until(read)
    assert LAUNCH in error["Description"]


def test_without_shared_principals_the_recipient_associates_its_own(sandbox, hub, held):
    portfolio, product, _ = held
    pattern(hub, portfolio)
    own = f"arn:aws:iam::{sandbox.account('hub')}:role/seedbed-admin"  # never shared
    hub.associate_principal_with_portfolio(
        PortfolioId=portfolio, PrincipalARN=own, PrincipalType="IAM"
    )
    share(hub, portfolio)
    user, arn = scientist(sandbox)
    assert seen(user) == []
    admin = sandbox.client("servicecatalog", "dev")
    assert admin.list_principals_for_portfolio(PortfolioId=portfolio)["Principals"] == []
    admin.associate_principal_with_portfolio(
        PortfolioId=portfolio, PrincipalARN=arn, PrincipalType="IAM"
    )
    assert seen(user) == [product]
    told = done(
        hub,
        hub.update_portfolio_share(
            PortfolioId=portfolio, OrganizationNode=WORKLOADS, SharePrincipals=True
        ),
    )
    assert told["Status"] == "COMPLETED"
    read = admin.list_principals_for_portfolio(PortfolioId=portfolio)["Principals"]
    assert [one["PrincipalType"] for one in read] == ["IAM_PATTERN", "IAM"]


def test_tag_options_are_shared_if_the_share_says_so(sandbox, hub, held):
    portfolio, product, artifact = held
    pattern(hub, portfolio)
    for resource, value in ((portfolio, "a"), (portfolio, "b"), (product, "b")):
        known = hub.list_tag_options(Filters={"Value": value})["TagOptionDetails"]
        option = (
            known[0] if known else hub.create_tag_option(Key="k", Value=value)["TagOptionDetail"]
        )
        hub.associate_tag_option_with_resource(ResourceId=resource, TagOptionId=option["Id"])
    share(hub, portfolio, SharePrincipals=True)
    user, _ = scientist(sandbox)
    said = {"ProductId": product, "ProvisioningArtifactId": artifact}
    assert user.describe_provisioning_parameters(**said)["TagOptions"] == []
    node = {"PortfolioId": portfolio, "OrganizationNode": WORKLOADS}
    done(hub, hub.update_portfolio_share(**node, ShareTagOptions=True))
    told = user.describe_provisioning_parameters(**said)["TagOptions"]
    assert told == [{"Key": "k", "Values": ["b"]}]
    admin = sandbox.client("servicecatalog", "dev")
    shown = admin.describe_portfolio(Id=portfolio)["TagOptions"]
    assert {one["Owner"] for one in shown} == {sandbox.account("hub")}
    assert [one["Value"] for one in shown] == ["a", "b"]


def test_an_ou_reaches_units_nested_later(sandbox, hub, held):
    portfolio, product, _ = held
    pattern(hub, portfolio)
    share(hub, portfolio, DEV, SharePrincipals=True)
    user, _ = scientist(sandbox, "governance")
    assert seen(user) == []
    organisation = sandbox.client("organizations", "management")
    unit = organisation.create_organizational_unit(ParentId=DEV["Value"], Name="late")
    governance = sandbox.account("governance")
    (parent,) = organisation.list_parents(ChildId=governance)["Parents"]
    organisation.move_account(
        AccountId=governance,
        SourceParentId=parent["Id"],
        DestinationParentId=unit["OrganizationalUnit"]["Id"],
    )
    assert seen(user) == [product]


def test_a_share_with_one_account_is_accepted_there(sandbox, hub, held):
    portfolio, product, _ = held
    dev = sandbox.account("dev")
    assert "PortfolioShareToken" not in hub.create_portfolio_share(
        PortfolioId=portfolio, AccountId=dev
    )
    admin = sandbox.client("servicecatalog", "dev")
    with refused("ResourceNotFoundException", portfolio):
        admin.describe_portfolio(Id=portfolio)
    shares = hub.describe_portfolio_shares
    (found,) = shares(PortfolioId=portfolio, Type="ACCOUNT")["PortfolioShareDetails"]
    assert (found["PrincipalId"], found["Accepted"]) == (dev, False)
    admin.accept_portfolio_share(PortfolioId=portfolio)
    (found,) = shares(PortfolioId=portfolio, Type="ACCOUNT")["PortfolioShareDetails"]
    assert found["Accepted"] is True
    (listed,) = admin.list_accepted_portfolio_shares()["PortfolioDetails"]
    assert listed["Id"] == portfolio
    assert admin.list_portfolios()["PortfolioDetails"] == []
    inside = admin.search_products_as_admin(PortfolioId=portfolio)["ProductViewDetails"]
    assert [one["ProductViewSummary"]["ProductId"] for one in inside] == [product]
    assert hub.list_portfolio_access(PortfolioId=portfolio)["AccountIds"] == [dev]
    admin.reject_portfolio_share(PortfolioId=portfolio)
    assert admin.list_accepted_portfolio_shares()["PortfolioDetails"] == []
    hub.delete_portfolio_share(PortfolioId=portfolio, AccountId=dev)
    with refused("ResourceNotFoundException"):
        admin.accept_portfolio_share(PortfolioId=portfolio)


def test_a_recipient_changes_nothing_of_what_it_imported(sandbox, hub, held):
    portfolio, product, artifact = held
    share(hub, portfolio, WHOLE)
    admin = sandbox.client("servicecatalog", "dev")
    assert admin.describe_portfolio(Id=portfolio)["PortfolioDetail"]["Id"] == portfolio
    for call, said in (
        (admin.update_portfolio, {"Id": portfolio, "DisplayName": "x"}),
        (admin.update_product, {"Id": product, "Name": "x"}),
        (
            admin.update_provisioning_artifact,
            {"ProductId": product, "ProvisioningArtifactId": artifact, "Active": False},
        ),
        (
            admin.create_portfolio_share,
            {"PortfolioId": portfolio, "AccountId": sandbox.account("test")},
        ),
    ):
        with refused("ResourceNotFoundException"):
            call(**said)


def test_an_imported_product_goes_into_a_local_portfolio(sandbox, hub, held):
    portfolio, product, _ = held
    share(hub, portfolio)
    admin = sandbox.client("servicecatalog", "dev")
    local = make_portfolio(admin, "Local")
    said = {"ProductId": product, "PortfolioId": local}
    with refused("InvalidParametersException", "SourcePortfolioId"):
        admin.associate_product_with_portfolio(**said)
    admin.associate_product_with_portfolio(**said, SourcePortfolioId=portfolio)
    user, arn = scientist(sandbox)
    admin.associate_principal_with_portfolio(
        PortfolioId=local, PrincipalARN=arn, PrincipalType="IAM"
    )
    assert seen(user) == [product]
    with refused("InvalidParametersException", "shared product"):
        admin.create_portfolio_share(PortfolioId=local, AccountId=sandbox.account("test"))


def test_sharing_again_changes_nothing_and_unsharing_ends_it(sandbox, hub, held):
    portfolio, *_ = held
    share(hub, portfolio, SharePrincipals=True)
    arn = f"arn:aws:organizations::{sandbox.account('management')}:ou/o-seedbed0001/"
    again = {**WORKLOADS, "Value": arn + WORKLOADS["Value"]}
    assert share(hub, portfolio, again)["Status"] == "COMPLETED"
    read = hub.describe_portfolio_shares(PortfolioId=portfolio, Type="ORGANIZATIONAL_UNIT")
    (found,) = read["PortfolioShareDetails"]
    assert (found["PrincipalId"], found["SharePrincipals"]) == (WORKLOADS["Value"], True)
    nodes = hub.list_organization_portfolio_access(
        PortfolioId=portfolio, OrganizationNodeType="ORGANIZATIONAL_UNIT"
    )["OrganizationNodes"]
    assert nodes == [WORKLOADS]
    below = hub.list_portfolio_access(
        PortfolioId=portfolio, OrganizationParentId=WORKLOADS["Value"]
    )
    assert len(below["AccountIds"]) == 3
    admin = sandbox.client("servicecatalog", "dev")
    imported = {"PortfolioShareType": "AWS_ORGANIZATIONS"}
    assert len(admin.list_accepted_portfolio_shares(**imported)["PortfolioDetails"]) == 1
    done(hub, hub.delete_portfolio_share(PortfolioId=portfolio, OrganizationNode=WORKLOADS))
    assert admin.list_accepted_portfolio_shares(**imported)["PortfolioDetails"] == []
    with refused("ResourceNotFoundException"):
        hub.delete_portfolio_share(PortfolioId=portfolio, OrganizationNode=WORKLOADS)


def test_a_suspended_account_is_a_partial_error(sandbox, hub, held):
    test = sandbox.account("test")
    sandbox.client("organizations", "management").close_account(AccountId=test)
    told = share(hub, held[0])
    assert told["Status"] == "COMPLETED_WITH_ERRORS"
    (error,) = told["ShareDetails"]["ShareErrors"]
    assert error["Accounts"] == [test]
    assert test not in told["ShareDetails"]["SuccessfulShares"]


def test_a_share_that_is_being_withdrawn_is_no_share_to_rely_on(hub, held):
    said = {"PortfolioId": held[0], "OrganizationNode": WORKLOADS}
    share(hub, held[0])
    token = hub.delete_portfolio_share(**said)
    for change in (hub.create_portfolio_share, hub.delete_portfolio_share):
        with refused("InvalidStateException", "in progress"):
            change(**said)
    assert done(hub, token)["Status"] == "COMPLETED"
    assert done(hub, hub.create_portfolio_share(**said))["Status"] == "COMPLETED"


def test_a_share_that_is_being_made_cannot_be_changed(hub, held):
    said = {"PortfolioId": held[0], "OrganizationNode": WORKLOADS}
    made = hub.create_portfolio_share(**said)
    with refused("InvalidStateException", "in progress"):
        hub.update_portfolio_share(**said, ShareTagOptions=True)
    done(hub, made)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"AccountId": "333333333333", "SharePrincipals": True}, "InvalidParametersException"),
        ({"AccountId": "222222222222"}, "InvalidParametersException"),
        ({}, "InvalidParametersException"),
        (
            {"OrganizationNode": {"Type": "ORGANIZATIONAL_UNIT", "Value": "ou-seed-nowhere0"}},
            "InvalidParametersException",
        ),
        (
            {
                "OrganizationNode": {"Type": "ACCOUNT", "Value": "333333333333"},
                "SharePrincipals": True,
            },
            "InvalidParametersException",
        ),
    ],
)
def test_a_share_is_refused(hub, held, change, code):
    with refused(code):
        hub.create_portfolio_share(PortfolioId=held[0], **change)


def test_only_delegated_administrators_share_with_the_organisation(sandbox):
    dev, management = (sandbox.client("servicecatalog", one) for one in ("dev", "management"))
    portfolio = make_portfolio(dev)
    said = {"PortfolioId": portfolio, "OrganizationNode": WORKLOADS}
    for call in (
        lambda: dev.create_portfolio_share(**said),
        dev.enable_aws_organizations_access,
        dev.get_aws_organizations_access_status,
    ):
        with refused("OperationNotSupportedException"):
            call()
    own = {"PortfolioId": make_portfolio(management), "OrganizationNode": WORKLOADS}
    with refused("InvalidStateException", "AWSOrganizationsAccess"):
        management.create_portfolio_share(**own)
    management.enable_aws_organizations_access()
    assert management.get_aws_organizations_access_status()["AccessStatus"] == "ENABLED"
    assert share(management, own["PortfolioId"])["Status"] == "COMPLETED"
    organisation = sandbox.client("organizations", "management")
    enabled = organisation.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
    assert [one["ServicePrincipal"] for one in enabled] == [SERVICE]


def test_access_is_not_disabled_under_a_delegated_administrator(sandbox, hub):
    management = sandbox.client("servicecatalog", "management")
    with refused("InvalidStateException", "delegated"):
        management.disable_aws_organizations_access()
    sandbox.client("organizations", "management").deregister_delegated_administrator(
        AccountId=sandbox.account("hub"), ServicePrincipal=SERVICE
    )
    management.disable_aws_organizations_access()
    assert management.get_aws_organizations_access_status()["AccessStatus"] == "DISABLED"
    with refused("OperationNotSupportedException"):
        hub.get_aws_organizations_access_status()


def test_sharing_is_judged_by_iam(sandbox, hub, held):
    role = make_role(sandbox, "reader", allow("servicecatalog:Describe*"), account="hub")
    reader = sandbox.client("servicecatalog", "hub", role=role)
    with refused("AccessDeniedException", "servicecatalog:CreatePortfolioShare"):
        reader.create_portfolio_share(PortfolioId=held[0], OrganizationNode=WORKLOADS)
    read = hub.describe_portfolio_shares(PortfolioId=held[0], Type="ORGANIZATIONAL_UNIT")
    assert read["PortfolioShareDetails"] == []
