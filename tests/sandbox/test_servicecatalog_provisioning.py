"""Service Catalog's launches: as whom, with what, and what becomes of product and record."""

from __future__ import annotations

import pytest
from access import allow, document, make_role, refused
from catalogs import (
    LAUNCH,
    QUEUES,
    READS_COPY,
    STACKS,
    Shop,
    launch_role,
    scientist,
    template,
    upload,
    version,
)


@pytest.fixture
def shop(sandbox):
    return Shop(sandbox)


@pytest.fixture
def open_shop(shop):
    """A shop whose product is launched by the launch role."""
    launch_role(shop.sandbox, "dev")
    shop.constrain()
    return shop


def test_a_product_is_launched_updated_and_terminated_by_the_launch_role(sandbox, open_shop):
    shop = open_shop
    record = shop.provision()
    assert (record["Status"], record["RecordType"]) == ("CREATED", "PROVISION_PRODUCT")
    assert record["LaunchRoleArn"].endswith(f":role/{LAUNCH}")
    found = shop.ended(record)
    assert found["RecordDetail"]["Status"] == "SUCCEEDED", found["RecordDetail"]["RecordErrors"]
    stack = f"SC-{sandbox.account('dev')}-{record['ProvisionedProductId']}"
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found["RecordOutputs"]}
    assert f":stack/{stack}/" in outputs["CloudformationStackARN"]
    assert outputs["Url"].endswith("/queue-a")
    assert shop.state()["Status"] == "AVAILABLE"
    assert shop.ended(shop.update())["RecordDetail"]["Status"] == "SUCCEEDED"
    assert shop.queues() == ["queue-b"]
    made = sandbox.calls(service="sqs", operation="CreateQueue")
    assert {one["principal"].rsplit("/", 1)[-1] for one in made} == {LAUNCH}
    assert all(one["decision"] == "allowed" for one in made)
    gone = shop.user.terminate_provisioned_product(ProvisionedProductName="one")["RecordDetail"]
    assert shop.ended(gone)["RecordDetail"]["Status"] == "SUCCEEDED"
    assert shop.queues() == []
    with refused("ResourceNotFoundException", "one"):
        shop.state()
    with refused("ResourceNotFoundException"):
        shop.user.terminate_provisioned_product(ProvisionedProductId=record["ProvisionedProductId"])
    history = shop.user.list_record_history()["RecordDetails"]
    assert [one["RecordType"].split("_")[0] for one in history] == [
        "TERMINATE",
        "UPDATE",
        "PROVISION",
    ]


@pytest.mark.parametrize(
    ("statements", "word"),
    [
        ((STACKS, READS_COPY), "sqs:"),
        ((STACKS, QUEUES), "s3:GetObject"),
        ((QUEUES, READS_COPY), "cloudformation:CreateStack"),
    ],
)
def test_a_launch_role_without_a_right_fails_and_says_so(shop, statements, word):
    launch_role(shop.sandbox, "dev", *statements)
    shop.constrain()
    found = shop.ended(shop.provision())["RecordDetail"]
    assert found["Status"] == "FAILED"
    assert word.lower() in found["RecordErrors"][0]["Description"].lower()
    assert shop.state()["Status"] == "ERROR"
    assert shop.queues() == []


def test_a_launch_role_that_does_not_trust_service_catalog_fails(shop):
    make_role(shop.sandbox, LAUNCH, STACKS, QUEUES, READS_COPY)
    shop.constrain()
    (error,) = shop.ended(shop.provision())["RecordDetail"]["RecordErrors"]
    assert error["Code"] == "AccessDenied"
    assert "sts:AssumeRole" in error["Description"]


def test_without_a_launch_constraint_the_caller_needs_the_rights(shop):
    found = shop.ended(shop.provision())["RecordDetail"]
    assert "cloudformation:CreateStack" in found["RecordErrors"][0]["Description"]
    assert "LaunchRoleArn" not in found
    arn = make_role(shop.sandbox, "able", allow("servicecatalog:*"), STACKS, QUEUES, READS_COPY)
    shop.admin.associate_principal_with_portfolio(
        PortfolioId=shop.portfolio, PrincipalARN=arn, PrincipalType="IAM"
    )
    shop.user = shop.sandbox.client("servicecatalog", role=arn)
    shop.provisioned("two")


def test_an_update_that_rolls_back_taints(open_shop):
    shop = open_shop
    shop.provisioned()
    denied = {**allow("sqs:*", "arn:aws:sqs:*:*:queue-b"), "Effect": "Deny"}
    shop.sandbox.client("iam").put_role_policy(
        RoleName=LAUNCH, PolicyName="deny", PolicyDocument=document(denied)
    )
    found = shop.ended(shop.update())["RecordDetail"]
    assert found["Status"] == "FAILED"
    assert "queue-b" in found["RecordErrors"][0]["Description"]
    state = shop.state()
    assert state["Status"] == "TAINTED"
    assert state["LastSuccessfulProvisioningRecordId"] != state["LastRecordId"]
    assert shop.ended(shop.update(suffix="c"))["RecordDetail"]["Status"] == "SUCCEEDED"
    assert shop.state()["Status"] == "AVAILABLE"


def test_a_parameter_that_is_not_allowed_is_an_error(open_shop):
    found = open_shop.ended(open_shop.provision(suffix="1"))["RecordDetail"]
    assert "Suffix" in found["RecordErrors"][0]["Description"]
    state = open_shop.state()
    assert state["Status"] == "ERROR"
    assert "Suffix" in state["StatusMessage"]
    gone = open_shop.user.terminate_provisioned_product(ProvisionedProductName="one")
    assert open_shop.ended(gone["RecordDetail"])["RecordDetail"]["Status"] == "SUCCEEDED"


def test_a_token_launches_once(open_shop):
    shop = open_shop
    first = shop.provision(ProvisionToken="t")
    second = shop.provision(ProvisionToken="t")
    assert first["RecordId"] == second["RecordId"]
    shop.ended(first)
    assert shop.provision(ProvisionToken="t")["Status"] == "SUCCEEDED"
    with refused("InvalidParametersException", "token"):
        shop.provision("two", ProvisionToken="t")
    with refused("DuplicateResourceException", "one"):
        shop.provision()


def test_what_is_under_change_takes_no_other_change(open_shop):
    shop = open_shop
    shop.sandbox.chaos({"match": "sqs:CreateQueue", "kind": "throttle", "times": 2})
    record = shop.provision()
    with refused("InvalidParametersException", "UNDER_CHANGE"):
        shop.update()
    shop.ended(record)


def test_a_caller_without_a_path_finds_nothing(open_shop):
    other, arn = scientist(open_shop.sandbox, name="other")
    assert other.search_products()["ProductViewSummaries"] == []
    for call, said in (
        (other.describe_product, {"Id": open_shop.product}),
        (other.list_launch_paths, {"ProductId": open_shop.product}),
    ):
        with refused("ResourceNotFoundException"):
            call(**said)
    pattern = {
        "PortfolioId": open_shop.portfolio,
        "PrincipalARN": "arn:aws:iam:::role/o?ther*",
        "PrincipalType": "IAM_PATTERN",
    }
    open_shop.admin.associate_principal_with_portfolio(**pattern)
    (found,) = other.search_products()["ProductViewSummaries"]
    assert (found["ProductId"], found["HasDefaultPath"]) == (open_shop.product, True)
    (path,) = other.list_launch_paths(ProductId=open_shop.product)["LaunchPathSummaries"]
    assert path["Name"] == "Projects"
    assert [one["Type"] for one in path["ConstraintSummaries"]] == ["LAUNCH"]
    assert arn


def test_what_a_form_needs_is_told(open_shop):
    told = open_shop.user.describe_provisioning_parameters(
        ProductId=open_shop.product, ProvisioningArtifactName="v1", PathName="Projects"
    )
    (parameter,) = told["ProvisioningArtifactParameters"]
    assert (parameter["ParameterKey"], parameter["DefaultValue"]) == ("Suffix", "a")
    assert parameter["ParameterConstraints"] == {"AllowedPattern": "[a-z]+"}
    assert parameter["IsNoEcho"] is False
    assert [one["Type"] for one in told["ConstraintSummaries"]] == ["LAUNCH"]
    assert {"Type": "version", "Value": "2010-09-09"} in told["UsageInstructions"]
    assert told["ProvisioningArtifactOutputKeys"] == [{"Key": "Url", "Description": "Where."}]


def test_retired_versions(open_shop):
    shop = open_shop
    shop.provisioned()
    other = upload(shop.sandbox, "two.json", template(Description="E."), "dev")
    made = shop.admin.create_provisioning_artifact(
        ProductId=shop.product, Parameters=version(other, "v2")
    )["ProvisioningArtifactDetail"]["Id"]
    retire = {"ProductId": shop.product, "ProvisioningArtifactId": made}
    shop.admin.update_provisioning_artifact(**retire, Guidance="DEPRECATED")
    with refused("InvalidParametersException", "deprecated"):
        shop.provision("two", ProvisioningArtifactId=made)
    found = shop.ended(shop.update(ProvisioningArtifactId=made))["RecordDetail"]
    assert found["Status"] == "SUCCEEDED"
    assert shop.state()["ProvisioningArtifactId"] == made
    shop.admin.update_provisioning_artifact(**retire, Active=False)
    with refused("ResourceNotFoundException", made):
        shop.update(ProvisioningArtifactId=made)
    shown = shop.user.describe_product(Id=shop.product)["ProvisioningArtifacts"]
    assert [one["Id"] for one in shown] == [shop.artifact]


def test_a_template_constraint_adds_its_rules(open_shop):
    rule = {"Assertions": [{"Assert": {"Fn::Equals": [{"Ref": "Suffix"}, "z"]}}]}
    open_shop.constrain("TEMPLATE", {"Rules": {"OnlyZ": rule}})
    found = open_shop.ended(open_shop.provision())["RecordDetail"]
    assert "OnlyZ" in found["RecordErrors"][0]["Description"]
    open_shop.provisioned("two", "z")


def test_a_notification_constraint_is_passed_on(open_shop):
    sns = open_shop.sandbox.client("sns")
    arn = sns.create_topic(Name="t")["TopicArn"]
    open_shop.constrain("NOTIFICATION", {"NotificationArns": [arn]})
    made = open_shop.provisioned()
    stack = f"SC-{open_shop.sandbox.account('dev')}-{made}"
    (found,) = open_shop.sandbox.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    assert found["NotificationARNs"] == [arn]


def test_a_product_and_its_stack_tell_where_they_come_from(open_shop):
    shop = open_shop
    made = shop.provisioned()
    stack = f"SC-{shop.sandbox.account('dev')}-{made}"
    (found,) = shop.sandbox.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    tags = {one["Key"]: one["Value"] for one in found["Tags"]}
    (said,) = shop.user.search_provisioned_products()["ProvisionedProducts"]
    assert tags == {one["Key"]: one["Value"] for one in said["Tags"]}
    own = {key: one for key, one in tags.items() if key.startswith("aws:servicecatalog:")}
    assert {key.rpartition(":")[2] for key in own} == {
        "portfolioArn",
        "productArn",
        "provisionedProductArn",
        "provisioningArtifactIdentifier",
        "provisioningPrincipalArn",
    }
    assert own["aws:servicecatalog:provisionedProductArn"] == said["Arn"]
    assert own["aws:servicecatalog:provisioningPrincipalArn"] == said["UserArnSession"]
    assert (
        own["aws:servicecatalog:provisioningArtifactIdentifier"] == said["ProvisioningArtifactId"]
    )


def test_searching_provisioned_products(open_shop):
    shop = open_shop
    made = shop.provisioned()
    search = shop.admin.search_provisioned_products
    for query in (f"productId:{shop.product}", f"provisioningArtifactId:{shop.artifact}", "one"):
        found = search(Filters={"SearchQuery": [query]})
        assert found["TotalResultsCount"] == 1
        assert found["ProvisionedProducts"][0]["Id"] == made
    assert search(Filters={"SearchQuery": ["status:TAINTED"]})["ProvisionedProducts"] == []
    with refused("NotImplementedInSandbox", "createdTime"):
        search(Filters={"SearchQuery": ["createdTime:1"]})
    mine = {"AccessLevelFilter": {"Key": "User", "Value": "self"}}
    assert search(**mine)["TotalResultsCount"] == 0
    assert shop.user.search_provisioned_products(**mine)["TotalResultsCount"] == 1
    assert shop.admin.scan_provisioned_products()["ProvisionedProducts"] == []
    (seen,) = shop.user.scan_provisioned_products()["ProvisionedProducts"]
    assert seen["Id"] == made
    outputs = shop.user.get_provisioned_product_outputs(
        ProvisionedProductName="one", OutputKeys=["Url"]
    )["Outputs"]
    assert [one["OutputKey"] for one in outputs] == ["Url"]


def test_the_stack_can_be_kept(open_shop):
    made = open_shop.provisioned()
    gone = open_shop.user.terminate_provisioned_product(
        ProvisionedProductId=made, RetainPhysicalResources=True
    )["RecordDetail"]
    assert open_shop.ended(gone)["RecordDetail"]["Status"] == "SUCCEEDED"
    assert open_shop.queues() == ["queue-a"]


def test_the_launch_role_and_the_owner_can_be_changed(open_shop):
    shop = open_shop
    made = shop.provisioned()
    role = launch_role(shop.sandbox, "dev", name="other-launch")
    owner = f"arn:aws:iam::{shop.sandbox.account('dev')}:role/seedbed-admin"
    shop.admin.update_provisioned_product_properties(
        ProvisionedProductId=made,
        ProvisionedProductProperties={"LAUNCH_ROLE": role, "OWNER": owner},
    )
    assert shop.state()["LaunchRoleArn"] == role
    assert shop.user.scan_provisioned_products()["ProvisionedProducts"] == []
    shop.ended(shop.update())
    callers = {one["principal"] for one in shop.sandbox.calls(operation="UpdateStack")}
    assert callers == {role}


def test_preferences_of_stack_sets_are_refused(open_shop):
    with refused("NotImplementedInSandbox", "ProvisioningPreferences"):
        open_shop.provision(ProvisioningPreferences={"StackSetRegions": ["eu-west-1"]})


LEVELLED = ["servicecatalog:DescribeProvisionedProduct", "servicecatalog:UpdateProvisionedProduct"]


def test_a_policy_may_leave_each_user_its_own(open_shop):
    shop = open_shop
    own = {"StringEquals": {"servicecatalog:userLevel": "self"}}
    free = [
        "servicecatalog:ProvisionProduct",
        "servicecatalog:DescribeRecord",
        "servicecatalog:ScanProvisionedProducts",
    ]
    clients = {}
    for name in ("ann", "bob"):
        arn = make_role(shop.sandbox, name, allow(free), allow(LEVELLED, Condition=own))
        shop.admin.associate_principal_with_portfolio(
            PortfolioId=shop.portfolio, PrincipalARN=arn, PrincipalType="IAM"
        )
        clients[name] = shop.sandbox.client("servicecatalog", role=arn)
    shop.user = clients["ann"]
    shop.provisioned()
    assert shop.ended(shop.update())["RecordDetail"]["Status"] == "SUCCEEDED"
    shop.user = clients["bob"]
    for call in (shop.state, shop.update):
        with refused("AccessDeniedException", "servicecatalog:"):
            call()
    with refused("ResourceNotFoundException"):
        shop.state("absent")
