"""SageMaker projects by Service Catalog: provisioned, updated and terminated as the caller."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from access import allow, make_role, refused, trusting
from test_sagemaker_projects import TEMPLATE, note, pairs, put_template
from waiting import settled_project

LAUNCH_TRUST = trusting({"Service": "servicecatalog.amazonaws.com"})
TYPE = "CLOUD_FORMATION_TEMPLATE"
USER = (
    "DescribeProduct",
    "DescribeProvisionedProduct",
    "DescribeProvisioningArtifact",
    "DescribeRecord",
    "ProvisionProduct",
    "TerminateProvisionedProduct",
    "UpdateProvisionedProduct",
)
GRANTS = {one: allow(f"servicecatalog:{one}") for one in USER}
SECOND = TEMPLATE.replace(" is ", " was ")
PROJECTS = allow(["sagemaker:*Project", "sagemaker:AddTags"])


@pytest.fixture
def shop(sandbox):
    """A product with one version, launched as a role, and a role that may launch it."""
    catalog = sandbox.client("servicecatalog")
    portfolio = catalog.create_portfolio(DisplayName="p", ProviderName="us")["PortfolioDetail"]
    made = catalog.create_product(
        Name="build",
        Owner="us",
        ProductType=TYPE,
        ProvisioningArtifactParameters={
            "Name": "1",
            "Info": {"LoadTemplateFromURL": put_template(sandbox)},
            "Type": TYPE,
        },
    )
    product = made["ProductViewDetail"]["ProductViewSummary"]["ProductId"]
    place = {"PortfolioId": portfolio["Id"], "ProductId": product}
    catalog.associate_product_with_portfolio(**place)
    launch = make_role(
        sandbox,
        "launch",
        allow(["cloudformation:*", "ssm:*", "s3:GetObject"]),
        trust=LAUNCH_TRUST,
    )
    catalog.create_constraint(**place, Type="LAUNCH", Parameters=json.dumps({"RoleArn": launch}))
    role = make_role(sandbox, "studio", PROJECTS, *GRANTS.values())
    catalog.associate_principal_with_portfolio(
        PortfolioId=portfolio["Id"], PrincipalARN=role, PrincipalType="IAM"
    )
    return SimpleNamespace(
        catalog=catalog,
        product=product,
        place=place,
        first=made["ProvisioningArtifactDetail"]["Id"],
        launch=launch,
        user=sandbox.become("sagemaker", role),
    )


def add_version(sandbox, shop, body=SECOND):
    url = put_template(sandbox, body, "templates/v2.yml")
    parameters = {"Name": "2", "Info": {"LoadTemplateFromURL": url}, "Type": TYPE}
    made = shop.catalog.create_provisioning_artifact(ProductId=shop.product, Parameters=parameters)
    return made["ProvisioningArtifactDetail"]["Id"]


def create(shop, **more):
    details = {"ProductId": shop.product, **more}
    return shop.user.create_project(
        ProjectName="churn", ServiceCatalogProvisioningDetails=details, Tags=pairs(team="a")
    )


def product_of(shop, said):
    product_id = said["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductId"]
    found = shop.catalog.search_provisioned_products(
        AccessLevelFilter={"Key": "Account", "Value": "self"}
    )["ProvisionedProducts"]
    return next((one for one in found if one["Id"] == product_id), None)


def test_a_product_is_provisioned_as_the_caller(sandbox, shop):
    given = {
        "ProvisioningArtifactId": shop.first,
        "ProvisioningParameters": pairs(Colour="blue"),
    }
    create(shop, **given)
    said = settled_project(shop.user)
    assert said["ProjectStatus"] == "CreateCompleted", said
    assert said["ServiceCatalogProvisioningDetails"] == {"ProductId": shop.product, **given}
    assert note(sandbox, said) == "churn is blue"
    product = product_of(shop, said)
    assert {tag["Key"]: tag["Value"] for tag in product["Tags"]}.items() >= {
        ("team", "a"),
        ("sagemaker:project-name", "churn"),
        ("sagemaker:project-id", said["ProjectId"]),
    }
    (call,) = sandbox.calls(service="servicecatalog", operation="ProvisionProduct")
    assert call["principal"].endswith(":role/studio")
    made_by = sandbox.calls(service="ssm", operation="PutParameter")
    assert {one["principal"] for one in made_by} == {shop.launch}


def test_an_omitted_version_is_the_latest(sandbox, shop):
    second = add_version(sandbox, shop)
    create(shop)
    said = settled_project(shop.user)
    assert said["ServiceCatalogProvisioningDetails"]["ProvisioningArtifactId"] == second
    assert note(sandbox, said) == "churn was grey"


def test_an_update_goes_to_the_version_asked_for(sandbox, shop):
    create(shop)
    settled_project(shop.user)
    second = add_version(sandbox, shop)
    details = {"ProvisioningArtifactId": second, "ProvisioningParameters": pairs(Colour="red")}
    shop.user.update_project(ProjectName="churn", ServiceCatalogProvisioningUpdateDetails=details)
    said = settled_project(shop.user)
    assert said["ProjectStatus"] == "UpdateCompleted", said
    assert said["ServiceCatalogProvisioningDetails"] == {"ProductId": shop.product, **details}
    assert note(sandbox, said) == "churn was red"


def test_an_update_without_a_version_takes_the_latest(sandbox, shop):
    create(shop, ProvisioningArtifactId=shop.first)
    settled_project(shop.user)
    second = add_version(sandbox, shop)
    shop.user.update_project(ProjectName="churn", ServiceCatalogProvisioningUpdateDetails={})
    said = settled_project(shop.user)
    assert said["ServiceCatalogProvisioningDetails"]["ProvisioningArtifactId"] == second


def test_a_failed_update_is_told_and_keeps_the_version(sandbox, shop):
    create(shop)
    settled_project(shop.user)
    broken = add_version(sandbox, shop, TEMPLATE + "  Queue: {Type: AWS::SQS::Queue}\n")
    details = {"ProvisioningArtifactId": broken}
    shop.user.update_project(ProjectName="churn", ServiceCatalogProvisioningUpdateDetails=details)
    said = settled_project(shop.user)
    assert said["ProjectStatus"] == "UpdateFailed"
    assert said["ServiceCatalogProvisioningDetails"]["ProvisioningArtifactId"] == shop.first
    assert said["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductStatusMessage"]


def test_tags_need_the_constraint_and_keep_the_version(sandbox, shop):
    create(shop, ProvisioningParameters=pairs(Colour="blue"))
    settled_project(shop.user)
    add_version(sandbox, shop)
    shop.user.update_project(ProjectName="churn", Tags=pairs(team="b"))
    assert settled_project(shop.user)["ProjectStatus"] == "UpdateFailed"
    allowed = {"Version": "2.0", "Properties": {"TagUpdateOnProvisionedProduct": "ALLOWED"}}
    shop.catalog.create_constraint(
        **shop.place, Type="RESOURCE_UPDATE", Parameters=json.dumps(allowed)
    )
    shop.user.update_project(ProjectName="churn", Tags=pairs(team="c"))
    said = settled_project(shop.user)
    assert said["ProjectStatus"] == "UpdateCompleted", said
    assert said["ServiceCatalogProvisioningDetails"]["ProvisioningArtifactId"] == shop.first
    assert note(sandbox, said) == "churn is blue"


def test_a_deleted_project_terminates_its_product(sandbox, shop):
    create(shop)
    said = settled_project(shop.user)
    assert product_of(shop, said)
    shop.user.delete_project(ProjectName="churn")
    assert settled_project(shop.user)["ProjectStatus"] == "DeleteCompleted"
    assert product_of(shop, said) is None
    with refused("ParameterNotFound"):
        note(sandbox, said)


@pytest.mark.parametrize("missing", USER)
def test_every_grant_of_the_caller_is_needed(sandbox, shop, missing):
    iam = sandbox.client("iam")
    kept = [PROJECTS, *(one for name, one in GRANTS.items() if name != missing)]
    document = json.dumps({"Version": "2012-10-17", "Statement": kept})
    iam.put_role_policy(RoleName="studio", PolicyName="own", PolicyDocument=document)
    create(shop)
    said = settled_project(shop.user)
    if said["ProjectStatus"] == "CreateCompleted":
        details = {"ProvisioningArtifactId": add_version(sandbox, shop)}
        shop.user.update_project(
            ProjectName="churn", ServiceCatalogProvisioningUpdateDetails=details
        )
        said = settled_project(shop.user)
    if said["ProjectStatus"] == "UpdateCompleted":
        shop.user.delete_project(ProjectName="churn")
        said = settled_project(shop.user)
    assert said["ProjectStatus"].endswith("Failed")
    message = said["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductStatusMessage"]
    assert f"servicecatalog:{missing}" in message


def test_a_template_without_sagemaker_s_parameters_fails(sandbox, shop):
    plain = "Resources: {T: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: a}}}"
    add_version(sandbox, shop, plain)
    create(shop)
    said = settled_project(shop.user)
    assert said["ProjectStatus"] == "CreateFailed"
    message = said["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductStatusMessage"]
    assert "SageMakerProject" in message
    shop.user.delete_project(ProjectName="churn")
    assert settled_project(shop.user)["ProjectStatus"] == "DeleteCompleted"


def test_the_other_route_is_refused(shop):
    create(shop)
    settled_project(shop.user)
    template = {"TemplateName": "t", "TemplateURL": "https://b.s3.amazonaws.com/k.yml"}
    with refused("ValidationException", "is of Service Catalog"):
        shop.user.update_project(
            ProjectName="churn", TemplateProvidersToUpdate=[{"CfnTemplateProvider": template}]
        )
