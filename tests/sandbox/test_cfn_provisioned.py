"""A stack that launches a product: provisioned, updated, terminated, and rolled back."""

from __future__ import annotations

import pytest
from catalogs import open_shop
from cfn_stacks import create, delete, one, outputs, physical, reason, update

KIND = "AWS::ServiceCatalog::CloudFormationProvisionedProduct"
TOLD = {
    "Url": {"Value": {"Fn::GetAtt": ["Thing", "Outputs.Url"]}},
    "Stack": {"Value": {"Fn::GetAtt": ["Thing", "CloudformationStackArn"]}},
    "Record": {"Value": {"Fn::GetAtt": ["Thing", "RecordId"]}},
}


@pytest.fixture
def shop(sandbox):
    made = open_shop(sandbox)
    made.admin.associate_principal_with_portfolio(
        PortfolioId=made.portfolio,
        PrincipalARN=f"arn:aws:iam::{sandbox.account('dev')}:role/seedbed-admin",
        PrincipalType="IAM",
    )
    return made


@pytest.fixture
def cf(sandbox):
    return sandbox.client("cloudformation", "dev", role="seedbed-admin")


def launch(suffix="a", **more):
    given = {
        "ProductName": "Queue",
        "ProvisioningArtifactName": "v1",
        "ProvisioningParameters": [{"Key": "Suffix", "Value": suffix}],
        "Tags": [{"Key": "team", "Value": "ml"}],
        **more,
    }
    return one(KIND, given)


def test_it_is_provisioned_updated_and_terminated(shop, cf):
    said = outputs(create(cf, "s", launch(), Outputs=TOLD))
    made = physical(cf, "s")
    detail = shop.admin.describe_provisioned_product(Id=made)["ProvisionedProductDetail"]
    assert (detail["Status"], detail["LastRecordId"]) == ("AVAILABLE", said["Record"])
    assert detail["ProductId"] == shop.product
    assert shop.queues() == ["queue-a"]
    (stack,) = cf.describe_stacks(StackName=said["Stack"])["Stacks"]
    assert {"Key": "team", "Value": "ml"} in stack["Tags"]
    assert said["Url"] == outputs(stack)["Url"]
    then = update(cf, "s", launch("b"), Outputs=TOLD)
    assert then["StackStatus"] == "UPDATE_COMPLETE"
    assert (physical(cf, "s"), shop.queues()) == (made, ["queue-b"])
    assert outputs(then)["Record"] != said["Record"]
    assert outputs(then)["Url"].endswith("queue-b")
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"
    assert shop.queues() == []
    with pytest.raises(shop.admin.exceptions.ResourceNotFoundException):
        shop.admin.describe_provisioned_product(Id=made)


def test_a_launch_that_fails_tells_why_and_leaves_nothing(shop, cf):
    stack = create(cf, "s", launch("UPPER"))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Thing" in reason(cf, "s")
    assert "Suffix" in reason(cf, "s")
    assert shop.admin.search_provisioned_products()["ProvisionedProducts"] == []


def test_a_failed_update_is_undone(shop, cf):
    create(cf, "s", launch())
    bad = {"Type": "AWS::SQS::Queue", "DependsOn": "Thing", "Properties": {"QueueName": "a b"}}
    broken = {**launch("b"), "Bad": bad}
    assert update(cf, "s", broken)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert shop.queues() == ["queue-a"]
