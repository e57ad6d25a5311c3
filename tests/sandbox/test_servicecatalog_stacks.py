"""Catalogues that CloudFormation makes, and calls that fail in the middle."""

from __future__ import annotations

import json

import pytest
from access import refused
from catalogs import LAUNCH, REGION, launch_role, open_shop, scientist, template, upload
from cfn_stacks import delete, settle

PLACE = {"PortfolioId": {"Ref": "Portfolio"}, "ProductId": {"Ref": "Product"}}


def catalogue(url, *more):
    """Return a template of a portfolio with a product that the role scientist may launch."""
    versions = [{"Name": name, "Info": {"LoadTemplateFromURL": url}} for name in ("v1", *more)]
    kinds = {
        "Portfolio": ("Portfolio", {"DisplayName": "P", "ProviderName": "us"}),
        "Product": (
            "CloudFormationProduct",
            {"Name": "Queue", "Owner": "ml", "ProvisioningArtifactParameters": versions},
        ),
        "Inside": ("PortfolioProductAssociation", PLACE),
        "Who": (
            "PortfolioPrincipalAssociation",
            {
                "PortfolioId": {"Ref": "Portfolio"},
                "PrincipalARN": "arn:aws:iam:::role/scientist",
                "PrincipalType": "IAM_PATTERN",
            },
        ),
        "Launch": ("LaunchRoleConstraint", {**PLACE, "LocalRoleName": LAUNCH}),
        "Team": ("TagOption", {"Key": "team", "Value": "ml"}),
        "Teams": (
            "TagOptionAssociation",
            {"ResourceId": {"Ref": "Portfolio"}, "TagOptionId": {"Ref": "Team"}},
        ),
    }
    resources = {
        name: {"Type": f"AWS::ServiceCatalog::{kind}", "Properties": properties}
        for name, (kind, properties) in kinds.items()
    }
    resources["Launch"]["DependsOn"] = ["Inside"]
    outputs = {"Product": {"Value": {"Ref": "Product"}}}
    return json.dumps({"Resources": resources, "Outputs": outputs})


def test_a_stack_makes_changes_and_removes_a_catalogue(sandbox):
    url = upload(sandbox, "queue.json", template(), "dev")
    launch_role(sandbox, "dev")
    user, _ = scientist(sandbox)
    cfn = sandbox.client("cloudformation")
    cfn.create_stack(StackName="catalogue", TemplateBody=catalogue(url))
    stack = settle(cfn, "catalogue")
    assert stack["StackStatus"] == "CREATE_COMPLETE", cfn.describe_stack_events(
        StackName="catalogue"
    )
    product = stack["Outputs"][0]["OutputValue"]
    (path,) = user.list_launch_paths(ProductId=product)["LaunchPathSummaries"]
    assert [one["Type"] for one in path["ConstraintSummaries"]] == ["LAUNCH"]
    told = user.describe_provisioning_parameters(ProductId=product, ProvisioningArtifactName="v1")
    assert told["TagOptions"] == [{"Key": "team", "Values": ["ml"]}]
    cfn.update_stack(StackName="catalogue", TemplateBody=catalogue(url, "v2"))
    assert settle(cfn, "catalogue")["StackStatus"] == "UPDATE_COMPLETE"
    shown = user.describe_product(Id=product)["ProvisioningArtifacts"]
    assert "v2" in [one["Name"] for one in shown]
    assert delete(cfn, "catalogue")["StackStatus"] == "DELETE_COMPLETE"
    admin = sandbox.client("servicecatalog")
    assert admin.list_portfolios()["PortfolioDetails"] == []
    assert admin.search_products_as_admin()["ProductViewDetails"] == []
    assert admin.list_tag_options()["TagOptionDetails"] == []


@pytest.fixture
def shop(sandbox):
    return open_shop(sandbox)


@pytest.mark.parametrize("kind", ["throttle", "after", "twice"])
@pytest.mark.parametrize("operation", ["ProvisionProduct", "UpdateProvisionedProduct"])
def test_a_call_that_fails_once_has_one_effect(shop, operation, kind):
    updates = operation == "UpdateProvisionedProduct"
    if updates:
        shop.provisioned()
    shop.sandbox.chaos({"match": f"servicecatalog:{operation}", "kind": kind, "times": 1})
    record = shop.update() if updates else shop.provision()
    assert shop.ended(record)["RecordDetail"]["Status"] == "SUCCEEDED"
    history = shop.user.list_record_history()["RecordDetails"]
    assert len(history) == 1 + updates
    assert history[0]["RecordId"] == record["RecordId"]


@pytest.mark.parametrize("operation", ["CreateStack", "UpdateStack", "DeleteStack"])
def test_a_hop_that_fails_after_its_effect_is_repeated_safely(shop, operation):
    shop.sandbox.chaos({"match": f"cloudformation:{operation}", "kind": "after", "times": 1})
    shop.provisioned()
    assert shop.ended(shop.update())["RecordDetail"]["Status"] == "SUCCEEDED"
    assert shop.queues() == ["queue-b"]
    gone = shop.user.terminate_provisioned_product(ProvisionedProductName="one")["RecordDetail"]
    assert shop.ended(gone)["RecordDetail"]["Status"] == "SUCCEEDED"
    assert shop.queues() == []


def test_what_is_terminated_is_not_found_by_the_same_token(shop):
    made = shop.provisioned(ProvisionToken="t")
    said = {"ProvisionedProductId": made, "TerminateToken": "gone"}
    shop.ended(shop.user.terminate_provisioned_product(**said)["RecordDetail"])
    with refused("ResourceNotFoundException", made):
        shop.user.terminate_provisioned_product(**said)
    assert shop.provisioned(ProvisionToken="t") != made


def test_a_stack_that_cannot_be_deleted_taints_unless_errors_are_ignored(shop):
    shop.provisioned()
    denied = {"Effect": "Deny", "Action": "sqs:DeleteQueue", "Resource": "*"}
    shop.sandbox.client("iam").put_role_policy(
        RoleName=LAUNCH,
        PolicyName="deny",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denied]}),
    )
    call = shop.user.terminate_provisioned_product
    found = shop.ended(call(ProvisionedProductName="one")["RecordDetail"])["RecordDetail"]
    assert found["Status"] == "FAILED"
    assert "sqs:DeleteQueue" in found["RecordErrors"][0]["Description"]
    assert shop.state()["Status"] == "TAINTED"
    shop.ended(call(ProvisionedProductName="one", IgnoreErrors=True)["RecordDetail"])
    with refused("ResourceNotFoundException"):
        shop.state()
    assert shop.queues() == ["queue-a"]


def test_a_large_template_is_launched(shop):
    body = json.loads(template())
    body["Metadata"] = {"Text": "x" * 60_000}
    url = upload(shop.sandbox, "large.json", json.dumps(body), "dev")
    made = shop.admin.create_provisioning_artifact(
        ProductId=shop.product,
        Parameters={
            "Name": "v2",
            "Type": "CLOUD_FORMATION_TEMPLATE",
            "Info": {"LoadTemplateFromURL": url},
        },
    )["ProvisioningArtifactDetail"]["Id"]
    shop.sandbox.client("s3").delete_object(
        Bucket=url.split("/")[2].split(".")[0], Key="large.json"
    )
    shop.provisioned(ProvisioningArtifactId=made)
    assert REGION in shop.state()["Arn"]
