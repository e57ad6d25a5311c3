"""Service Catalog's catalogue: portfolios, products, versions, principals, constraints."""

from __future__ import annotations

import json

import pytest
from access import allow, make_role, refused
from catalogs import (
    launch_role,
    make_portfolio,
    make_product,
    product_ids,
    template,
    upload,
    version,
)

TAG = {"Key": "sagemaker:studio-visibility", "Value": "true"}


@pytest.fixture
def catalog(sandbox):
    return sandbox.client("servicecatalog", "hub")


@pytest.fixture
def url(sandbox):
    return upload(sandbox, "queue.json", template())


@pytest.fixture
def held(catalog, url):
    """A portfolio that holds a product: their ids."""
    portfolio = make_portfolio(catalog)
    product, _ = product_ids(make_product(catalog, url))
    catalog.associate_product_with_portfolio(ProductId=product, PortfolioId=portfolio)
    return portfolio, product


def test_a_portfolio_is_made_changed_and_deleted(catalog):
    made = catalog.create_portfolio(DisplayName="P", ProviderName="us", Tags=[TAG])
    port = made["PortfolioDetail"]["Id"]
    assert made["PortfolioDetail"]["ARN"].endswith(f":portfolio/{port}")
    changed = catalog.update_portfolio(
        Id=port,
        DisplayName="Q",
        AddTags=[{"Key": "team", "Value": "ml"}],
        RemoveTags=[TAG["Key"]],
    )
    read = catalog.describe_portfolio(Id=port)
    assert read["PortfolioDetail"] == changed["PortfolioDetail"]
    assert (read["PortfolioDetail"]["DisplayName"], read["PortfolioDetail"]["ProviderName"]) == (
        "Q",
        "us",
    )
    assert read["Tags"] == [{"Key": "team", "Value": "ml"}]
    assert [one["Id"] for one in catalog.list_portfolios()["PortfolioDetails"]] == [port]
    catalog.delete_portfolio(Id=port)
    with refused("ResourceNotFoundException", port):
        catalog.describe_portfolio(Id=port)


def test_a_product_is_made_changed_and_deleted(catalog, url):
    made = make_product(catalog, url, Description="d", SupportEmail="a@b", Tags=[TAG])
    product, artifact = product_ids(made)
    catalog.update_product(Id=product, Name="N", SupportUrl="https://x", RemoveTags=[TAG["Key"]])
    read = catalog.describe_product_as_admin(Id=product)
    told = read["ProductViewDetail"]["ProductViewSummary"]
    assert (told["Name"], told["Owner"], told["ShortDescription"]) == ("N", "ml", "d")
    assert (told["SupportEmail"], told["SupportUrl"]) == ("a@b", "https://x")
    assert read["Tags"] == []
    assert [one["Id"] for one in read["ProvisioningArtifactSummaries"]] == [artifact]
    assert catalog.describe_product_as_admin(Name="N")["ProductViewDetail"]["Status"] == "AVAILABLE"
    catalog.delete_product(Id=product)
    with refused("ResourceNotFoundException"):
        catalog.describe_product_as_admin(Id=product)


def test_a_token_makes_one_thing(catalog, url):
    first = make_product(catalog, url, IdempotencyToken="t1")
    assert (
        make_product(catalog, url, IdempotencyToken="t1")["ProductViewDetail"]
        == (first["ProductViewDetail"])
    )
    assert len(catalog.search_products_as_admin()["ProductViewDetails"]) == 1
    with refused("InvalidParametersException", "token"):
        make_product(catalog, url, name="Other", IdempotencyToken="t1")
    catalog.delete_product(Id=product_ids(first)[0])
    again = make_product(catalog, url, IdempotencyToken="t1")
    assert product_ids(again) != product_ids(first)


def test_a_creation_that_failed_after_its_effect_is_repeated_safely(sandbox, catalog, url):
    sandbox.chaos({"match": "servicecatalog:CreateProduct", "kind": "after", "times": 1})
    make_product(catalog, url, IdempotencyToken="t1")  # boto3 tries again by itself
    tries = sandbox.calls(service="servicecatalog", operation="CreateProduct")
    assert [one["chaos"] for one in tries] == ["after", None]
    assert len(catalog.search_products_as_admin()["ProductViewDetails"]) == 1


def test_versions_are_added_retired_and_deleted(sandbox, catalog, url):
    product, first = product_ids(make_product(catalog, url))
    other = upload(sandbox, "two.json", template(Default="b"))
    made = catalog.create_provisioning_artifact(
        ProductId=product, Parameters=version(other, "v2", Description="sha256:x")
    )
    second = made["ProvisioningArtifactDetail"]["Id"]
    assert made["Info"] == {"TemplateUrl": other}
    catalog.update_provisioning_artifact(
        ProductId=product, ProvisioningArtifactId=first, Guidance="DEPRECATED", Active=False
    )
    read = catalog.list_provisioning_artifacts(ProductId=product)["ProvisioningArtifactDetails"]
    assert [(one["Name"], one["Active"], one["Guidance"]) for one in read] == [
        ("v1", False, "DEPRECATED"),
        ("v2", True, "DEFAULT"),
    ]
    described = catalog.describe_provisioning_artifact(
        ProductId=product,
        ProvisioningArtifactName="v2",
        Verbose=True,
        IncludeProvisioningArtifactParameters=True,
    )
    assert described["ProvisioningArtifactDetail"]["Description"] == "sha256:x"
    assert described["Info"] == {"TemplateUrl": other}
    assert described["ProvisioningArtifactParameters"][0]["DefaultValue"] == "b"
    catalog.delete_provisioning_artifact(ProductId=product, ProvisioningArtifactId=first)
    with refused("ResourceInUseException", "last version"):
        catalog.delete_provisioning_artifact(ProductId=product, ProvisioningArtifactId=second)


def test_a_hundred_versions_are_the_most(catalog, url):
    product, _ = product_ids(make_product(catalog, url))
    for number in range(2, 101):
        said = version(url, f"v{number}", DisableTemplateValidation=True)
        catalog.create_provisioning_artifact(ProductId=product, Parameters=said)
    with refused("LimitExceededException", "100"):
        catalog.create_provisioning_artifact(ProductId=product, Parameters=version(url, "v101"))


def test_a_version_must_be_a_valid_template_that_the_caller_may_read(sandbox, catalog):
    broken = upload(sandbox, "broken.json", template().replace("AWS::SQS::Queue", "AWS::SQS::Cue"))
    with refused("InvalidParametersException", "AWS::SQS::Cue"):
        make_product(catalog, broken)
    good = upload(sandbox, "good.json", template())
    role = make_role(
        sandbox,
        "publisher",
        allow(["servicecatalog:*", "cloudformation:ValidateTemplate"]),
        account="hub",
    )
    with refused("InvalidParametersException", "s3:GetObject"):
        make_product(sandbox.client("servicecatalog", "hub", role=role), good)
    with refused("InvalidParametersException", "NoSuchKey"):
        make_product(catalog, good.replace("good", "absent"))
    assert catalog.search_products_as_admin()["ProductViewDetails"] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ProductType": "EXTERNAL"}, "NotImplementedInSandbox"),
        ({"ProductType": "BOOK"}, "ValidationException"),
        ({"SupportUrl": "ftp://x"}, "InvalidParametersException"),
        ({"IdempotencyToken": "no spaces"}, "ValidationException"),
        ({"AcceptLanguage": "fr"}, "InvalidParametersException"),
    ],
)
def test_a_product_is_refused(catalog, url, change, code):
    with refused(code):
        make_product(catalog, url, **change)


def test_what_is_held_cannot_be_deleted(catalog, held):
    portfolio, product = held
    with refused("ResourceInUseException", "products"):
        catalog.delete_portfolio(Id=portfolio)
    with refused("ResourceInUseException", portfolio):
        catalog.delete_product(Id=product)
    told = catalog.list_portfolios_for_product(ProductId=product)["PortfolioDetails"]
    assert [one["Id"] for one in told] == [portfolio]
    catalog.disassociate_product_from_portfolio(ProductId=product, PortfolioId=portfolio)
    catalog.delete_product(Id=product)
    catalog.delete_portfolio(Id=portfolio)


@pytest.mark.parametrize(
    ("kind", "arn", "code"),
    [
        ("IAM_PATTERN", "arn:aws:iam:::role/team-*", None),
        ("IAM", "arn:aws:iam::222222222222:role/seedbed-admin", None),
        ("IAM", "arn:aws:iam::222222222222:role/absent", "InvalidParametersException"),
        ("IAM", "arn:aws:iam::333333333333:role/seedbed-admin", "InvalidParametersException"),
        ("IAM", "arn:aws:iam:::role/x", "InvalidParametersException"),
        ("IAM_PATTERN", "arn:aws:iam:::*/x", "InvalidParametersException"),
        ("IAM_PATTERN", "arn:aws:iam:::group/x", "NotImplementedInSandbox"),
    ],
)
def test_principals(catalog, held, kind, arn, code):
    said = {"PortfolioId": held[0], "PrincipalARN": arn, "PrincipalType": kind}
    if code:
        with refused(code):
            catalog.associate_principal_with_portfolio(**said)
        return
    for _ in range(2):
        catalog.associate_principal_with_portfolio(**said)
    read = catalog.list_principals_for_portfolio(PortfolioId=held[0])["Principals"]
    assert read == [{"PrincipalARN": arn, "PrincipalType": kind}]
    catalog.disassociate_principal_from_portfolio(**said)
    assert catalog.list_principals_for_portfolio(PortfolioId=held[0])["Principals"] == []


def test_ten_patterns_are_the_most(catalog):
    portfolio = make_portfolio(catalog)
    for number in range(10):
        catalog.associate_principal_with_portfolio(
            PortfolioId=portfolio,
            PrincipalARN=f"arn:aws:iam:::role/r{number}",
            PrincipalType="IAM_PATTERN",
        )
    with refused("LimitExceededException", "10"):
        catalog.associate_principal_with_portfolio(
            PortfolioId=portfolio,
            PrincipalARN="arn:aws:iam:::role/more",
            PrincipalType="IAM_PATTERN",
        )


def constrain(catalog, held, kind, said, **more):
    portfolio, product = held
    return catalog.create_constraint(
        PortfolioId=portfolio, ProductId=product, Type=kind, Parameters=json.dumps(said), **more
    )


def test_a_launch_constraint_is_one_and_can_be_changed(sandbox, catalog, held):
    launch_role(sandbox, "hub")
    made = constrain(catalog, held, "LAUNCH", {"LocalRoleName": "seedbed-launch"})
    cons = made["ConstraintDetail"]["ConstraintId"]
    with refused("DuplicateResourceException", "LAUNCH"):
        constrain(catalog, held, "LAUNCH", {"LocalRoleName": "seedbed-launch"})
    said = json.dumps({"LocalRoleName": "seedbed-admin"})
    catalog.update_constraint(Id=cons, Parameters=said, Description="d")
    read = catalog.describe_constraint(Id=cons)
    assert (read["ConstraintParameters"], read["ConstraintDetail"]["Description"]) == (said, "d")
    with refused("ResourceInUseException", "constraints"):
        catalog.disassociate_product_from_portfolio(PortfolioId=held[0], ProductId=held[1])
    listed = catalog.list_constraints_for_portfolio(PortfolioId=held[0])["ConstraintDetails"]
    assert [one["ConstraintId"] for one in listed] == [cons]
    catalog.delete_constraint(Id=cons)
    with refused("ResourceNotFoundException"):
        catalog.describe_constraint(Id=cons)


ROLE = "arn:aws:iam::222222222222:role/seedbed-admin"


@pytest.mark.parametrize(
    ("kind", "said", "code"),
    [
        ("LAUNCH", {"RoleArn": ROLE, "LocalRoleName": "x"}, "InvalidParametersException"),
        ("LAUNCH", {"LocalRoleName": "absent"}, "InvalidParametersException"),
        ("LAUNCH", {"RoleArn": "seedbed-admin"}, "InvalidParametersException"),
        ("TEMPLATE", {"Rules": {"A": {}}}, "InvalidParametersException"),
        ("RESOURCE_UPDATE", {"Version": "2.0"}, "InvalidParametersException"),
        ("NOTIFICATION", {"Topics": []}, "InvalidParametersException"),
        ("STACKSET", {"Version": "1"}, "NotImplementedInSandbox"),
        ("OTHER", {}, "InvalidParametersException"),
    ],
)
def test_a_constraint_is_refused(catalog, held, kind, said, code):
    with refused(code):
        constrain(catalog, held, kind, said)


def test_passing_the_launch_role_is_judged(sandbox, held):
    role = make_role(sandbox, "publisher", allow("servicecatalog:*"), account="hub")
    publisher = sandbox.client("servicecatalog", "hub", role=role)
    with refused("AccessDeniedException", "iam:PassRole"):
        constrain(publisher, held, "LAUNCH", {"RoleArn": ROLE})


def test_tags_decide(sandbox, catalog, url):
    product, _ = product_ids(make_product(catalog, url, Tags=[TAG]))
    said = {"StringEquals": {f"aws:ResourceTag/{TAG['Key']}": "true"}}
    role = make_role(sandbox, "r", allow("servicecatalog:*", Condition=said), account="hub")
    mine = sandbox.client("servicecatalog", "hub", role=role)
    mine.update_product(Id=product, Name="N")
    catalog.update_product(Id=product, RemoveTags=[TAG["Key"]])
    with refused("AccessDeniedException", "servicecatalog:UpdateProduct"):
        mine.update_product(Id=product, Name="O")


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("list_service_actions", {}),
        ("list_provisioning_artifacts_for_service_action", {"ServiceActionId": "act-1"}),
        ("copy_product", {"SourceProductArn": "arn:aws:catalog:eu-west-1:222222222222:product/p"}),
    ],
)
def test_what_is_not_emulated_is_refused_by_name(catalog, operation, said):
    name = catalog.meta.method_to_api_mapping[operation]
    with refused("NotImplementedInSandbox", f"servicecatalog:{name}"):
        getattr(catalog, operation)(**said)
