"""Service Catalog: TagOptions as launches meet them, and plans before launches."""

from __future__ import annotations

import pytest
from access import allow, make_role, refused
from catalogs import (
    LAUNCH,
    open_shop,
)
from waiting import until


@pytest.fixture
def shop(sandbox):
    return open_shop(sandbox)


def option(shop, key, value, *resources):
    made = shop.admin.create_tag_option(Key=key, Value=value)["TagOptionDetail"]["Id"]
    for one in resources:
        shop.admin.associate_tag_option_with_resource(ResourceId=one, TagOptionId=made)
    return made


def tags_of(shop, made):
    """Return the tags of a product's stack but AWS's own."""
    name = f"SC-{shop.sandbox.account('dev')}-{made}"
    (stack,) = shop.sandbox.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    pairs = {one["Key"]: one["Value"] for one in stack["Tags"]}
    return {key: value for key, value in pairs.items() if not key.startswith("aws:")}


def choices(shop):
    told = shop.user.describe_provisioning_parameters(
        ProductId=shop.product, ProvisioningArtifactId=shop.artifact
    )
    return {one["Key"]: one["Values"] for one in told["TagOptions"]}


def test_the_library_of_tag_options(shop):
    made = option(shop, "team", "a", shop.portfolio)
    with refused("DuplicateResourceException", "team=a"):
        option(shop, "team", "a")
    with refused("DuplicateResourceException", "associated"):
        shop.admin.associate_tag_option_with_resource(ResourceId=shop.portfolio, TagOptionId=made)
    with refused("ResourceInUseException", shop.portfolio):
        shop.admin.delete_tag_option(Id=made)
    (found,) = shop.admin.list_resources_for_tag_option(TagOptionId=made)["ResourceDetails"]
    assert found["Id"] == shop.portfolio
    (shown,) = shop.admin.describe_portfolio(Id=shop.portfolio)["TagOptions"]
    assert (shown["Id"], shown["Owner"]) == (made, shop.sandbox.account("dev"))
    shop.admin.update_tag_option(Id=made, Value="b", Active=False)
    read = shop.admin.describe_tag_option(Id=made)["TagOptionDetail"]
    assert (read["Value"], read["Active"]) == ("b", False)
    active = shop.admin.list_tag_options(Filters={"Active": True})["TagOptionDetails"]
    assert active == []
    shop.admin.disassociate_tag_option_from_resource(ResourceId=shop.portfolio, TagOptionId=made)
    shop.admin.delete_tag_option(Id=made)
    assert shop.admin.list_tag_options()["TagOptionDetails"] == []


def test_one_value_is_applied_and_several_are_chosen(shop):
    option(shop, "group", "finance", shop.portfolio)
    for value in ("x", "y"):
        option(shop, "team", value, shop.product)
    assert choices(shop) == {"group": ["finance"], "team": ["x", "y"]}
    with refused("InvalidParametersException", "team"):
        shop.provision()
    with refused("InvalidParametersException", "team"):
        shop.provision(Tags=[{"Key": "team", "Value": "z"}])
    own = [{"Key": "team", "Value": "y"}, {"Key": "mine", "Value": "1"}]
    made = shop.provisioned(Tags=own)
    assert tags_of(shop, made) == {"group": "finance", "team": "y", "mine": "1"}


def test_portfolio_and_product_narrow_each_other(shop):
    option(shop, "team", "x", shop.portfolio)
    option(shop, "team", "y", shop.portfolio, shop.product)
    assert choices(shop) == {"team": ["y"]}
    option(shop, "zone", "1", shop.portfolio)
    off = option(shop, "zone", "2", shop.product)
    assert choices(shop)["zone"] == []
    with refused("InvalidParametersException", "zone"):
        shop.provision(Tags=[{"Key": "zone", "Value": "1"}])
    made = shop.provisioned()
    conflict = f"sc-tagoption-conflict-{shop.portfolio}-{shop.product}"
    assert tags_of(shop, made) == {"team": "y", conflict: "zone"}
    shop.admin.update_tag_option(Id=off, Active=False)
    assert choices(shop)["zone"] == ["1"]


def test_tags_change_only_where_a_constraint_lets_them(shop):
    made = shop.provisioned()
    tags = [{"Key": "mine", "Value": "2"}]
    with refused("InvalidParametersException", "RESOURCE_UPDATE"):
        shop.update(Tags=tags)
    said = {"Version": "2.0", "Properties": {"TagUpdateOnProvisionedProduct": "ALLOWED"}}
    shop.constrain("RESOURCE_UPDATE", said)
    assert shop.ended(shop.update(Tags=tags))["RecordDetail"]["Status"] == "SUCCEEDED"
    assert tags_of(shop, made) == {"mine": "2"}


def plan(shop, name="one", suffix="a"):
    return shop.user.create_provisioned_product_plan(
        PlanName="p",
        PlanType="CLOUDFORMATION",
        ProductId=shop.product,
        ProvisionedProductName=name,
        ProvisioningArtifactId=shop.artifact,
        ProvisioningParameters=[{"Key": "Suffix", "Value": suffix}],
    )["PlanId"]


def read_plan(shop, made, status):
    def read():
        found = shop.user.describe_provisioned_product_plan(PlanId=made)
        said = found["ProvisionedProductPlanDetails"]
        if said["Status"].endswith("_IN_PROGRESS"):
            return None
        assert said["Status"] == status, said.get("StatusMessage")
        return found

    return until(read)


def test_a_plan_shows_what_its_execution_then_makes(shop):
    made = plan(shop)
    found = read_plan(shop, made, "CREATE_SUCCESS")
    (change,) = found["ResourceChanges"]
    assert (change["Action"], change["LogicalResourceId"]) == ("ADD", "Queue")
    assert shop.state()["Status"] == "PLAN_IN_PROGRESS"
    assert shop.queues() == []
    record = shop.user.execute_provisioned_product_plan(PlanId=made)["RecordDetail"]
    assert record["RecordType"] == "PROVISION_PRODUCT"
    assert shop.ended(record)["RecordDetail"]["Status"] == "SUCCEEDED"
    assert shop.state()["Status"] == "AVAILABLE"
    assert shop.queues() == ["queue-a"]
    with refused("InvalidStateException", "EXECUTE_SUCCESS"):
        shop.user.execute_provisioned_product_plan(PlanId=made)
    calls = shop.sandbox.calls(service="cloudformation")
    made = [one for one in calls if one["operation"].endswith("ChangeSet")]
    assert {one["principal"].rsplit("/", 1)[-1] for one in made} == {LAUNCH}


def test_a_plan_updates_what_is_there(shop):
    shop.provisioned()
    made = plan(shop, suffix="b")
    (change,) = read_plan(shop, made, "CREATE_SUCCESS")["ResourceChanges"]
    assert (change["Action"], change["Replacement"]) == ("MODIFY", "TRUE")
    assert change["Details"][0]["Target"] == {
        "Attribute": "PROPERTIES",
        "Name": "QueueName",
        "RequiresRecreation": "ALWAYS",
    }
    (listed,) = shop.user.list_provisioned_product_plans()["ProvisionedProductPlans"]
    assert listed["PlanId"] == made
    record = shop.user.execute_provisioned_product_plan(PlanId=made)["RecordDetail"]
    assert record["RecordType"] == "UPDATE_PROVISIONED_PRODUCT"
    shop.ended(record)
    assert shop.queues() == ["queue-b"]
    shop.user.delete_provisioned_product_plan(PlanId=made)
    assert shop.state()["Status"] == "AVAILABLE"


def test_a_plan_that_is_deleted_leaves_nothing(shop):
    made = plan(shop)
    read_plan(shop, made, "CREATE_SUCCESS")
    shop.user.delete_provisioned_product_plan(PlanId=made)
    with refused("ResourceNotFoundException", made):
        shop.user.describe_provisioned_product_plan(PlanId=made)
    with refused("ResourceNotFoundException", "one"):
        shop.state()
    until(lambda: not shop.sandbox.client("cloudformation").describe_stacks()["Stacks"])


def test_a_plan_of_a_wrong_parameter_fails(shop):
    made = plan(shop, suffix="1")
    found = read_plan(shop, made, "CREATE_FAILED")["ProvisionedProductPlanDetails"]
    assert "Suffix" in found["StatusMessage"]
    with refused("InvalidStateException"):
        shop.user.execute_provisioned_product_plan(PlanId=made)


def test_a_role_hangs_tag_options_on_what_it_may(shop):
    made = option(shop, "team", "a")
    resource = f"arn:aws:catalog:*:*:portfolio/{shop.portfolio}"
    actions = ["servicecatalog:AssociateTagOptionWithResource"]
    arn = make_role(shop.sandbox, "tagger", allow(actions, resource))
    tagger = shop.sandbox.client("servicecatalog", role=arn)
    tagger.associate_tag_option_with_resource(ResourceId=shop.portfolio, TagOptionId=made)
    with refused("AccessDeniedException", shop.product):
        tagger.associate_tag_option_with_resource(ResourceId=shop.product, TagOptionId=made)
