"""Studio's page "Create project": what a role is offered, and why something is missing."""

from __future__ import annotations

import pytest
from access import allow, make_role
from test_sagemaker_projects import BUCKET, TEMPLATE, put_template

VISIBLE = {"TagSet": [{"Key": "sagemaker:studio-visibility", "Value": "true"}]}
RULE = {
    "AllowedOrigins": ["https://*.sagemaker.aws"],
    "AllowedMethods": ["GET", "HEAD", "PUT", "POST", "DELETE"],
    "AllowedHeaders": ["*"],
}
OBJECTS = f"arn:aws:s3:::{BUCKET}/*"
LIST = allow("s3:ListBucket", f"arn:aws:s3:::{BUCKET}")
READ = allow("s3:GetObject", OBJECTS)
TAGS = allow("s3:GetObjectTagging", OBJECTS)
SEARCH = allow("servicecatalog:SearchProducts")


@pytest.fixture
def domain(sandbox):
    """A domain whose tag names a bucket with one template that is offered."""
    s3 = sandbox.client("s3")
    for key in ("templates/build.yml", "templates/hidden.yaml", "elsewhere/other.yml"):
        put_template(sandbox, TEMPLATE, key)
        if "hidden" not in key:
            s3.put_object_tagging(Bucket=BUCKET, Key=key, Tagging=VISIBLE)
    put_template(sandbox, "{}", "templates/readme.json")
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [RULE]})
    made = sandbox.client("sagemaker").create_domain(
        DomainName="d",
        AuthMode="IAM",
        DefaultUserSettings={},
        Tags=[
            {"Key": "sagemaker:projectS3TemplatesLocation", "Value": f"s3://{BUCKET}/templates/"}
        ],
    )
    return made["DomainId"]


def offered(sandbox, domain, *statements, tab="s3"):
    make_role(sandbox, "studio", *statements)
    return sandbox.studio_templates("dev", "studio", domain)[tab]


def test_a_tagged_template_below_the_location_is_offered(sandbox, domain):
    assert offered(sandbox, domain, LIST, READ, TAGS) == [
        {
            "name": "templates/build.yml",
            "url": f"https://{BUCKET}.s3.eu-west-1.amazonaws.com/templates/build.yml",
            "reason": "",
        }
    ]


@pytest.mark.parametrize(
    ("granted", "missing", "names"),
    [
        ([READ, TAGS], "s3:ListBucket", [f"s3://{BUCKET}/templates/"]),
        ([LIST, TAGS], "s3:GetObject", ["templates/build.yml"]),
        (
            [LIST, READ],
            "s3:GetObjectTagging",
            ["templates/build.yml", "templates/hidden.yaml"],
        ),
    ],
)
def test_a_missing_grant_is_the_reason(sandbox, domain, granted, missing, names):
    found = offered(sandbox, domain, *granted)
    assert [one["name"] for one in found] == names
    assert all(f"{missing} on" in one["reason"] for one in found)


def test_a_bucket_closed_to_studio_is_the_reason(sandbox, domain):
    s3 = sandbox.client("s3")
    other = {**RULE, "AllowedOrigins": ["https://example.com"]}
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [other]})
    (found,) = offered(sandbox, domain, LIST, READ, TAGS)
    assert "CORS: no rule" in found["reason"]
    s3.delete_bucket_cors(Bucket=BUCKET)
    (found,) = sandbox.studio_templates("dev", "studio", domain)["s3"]
    assert found["reason"].startswith("CORS: NoSuchCORSConfiguration")


def test_a_broken_template_is_the_reason(sandbox, domain):
    put_template(sandbox, "a: [", "templates/build.yml")
    tagged = {"Bucket": BUCKET, "Key": "templates/build.yml", "Tagging": VISIBLE}
    sandbox.client("s3").put_object_tagging(**tagged)
    (found,) = offered(sandbox, domain, LIST, READ, TAGS)
    assert found["reason"].startswith("no YAML")


def test_a_domain_without_the_tag_offers_none(sandbox, domain):
    client = sandbox.client("sagemaker")
    arn = client.describe_domain(DomainId=domain)["DomainArn"]
    client.delete_tags(ResourceArn=arn, TagKeys=["sagemaker:projectS3TemplatesLocation"])
    assert offered(sandbox, domain, LIST, READ, TAGS) == []


def share_products(sandbox, role):
    """Two products in dev's own portfolio, one of them tagged for Studio."""
    catalog = sandbox.client("servicecatalog")
    portfolio = catalog.create_portfolio(DisplayName="p", ProviderName="us")["PortfolioDetail"]
    url = put_template(sandbox)
    ids = {}
    for name, tags in (("build", VISIBLE["TagSet"]), ("hidden", [])):
        made = catalog.create_product(
            Name=name,
            Owner="us",
            ProductType="CLOUD_FORMATION_TEMPLATE",
            Tags=tags,
            ProvisioningArtifactParameters={
                "Name": "1",
                "Info": {"LoadTemplateFromURL": url},
                "Type": "CLOUD_FORMATION_TEMPLATE",
            },
        )
        ids[name] = made["ProductViewDetail"]["ProductViewSummary"]["ProductId"]
        catalog.associate_product_with_portfolio(ProductId=ids[name], PortfolioId=portfolio["Id"])
    catalog.associate_principal_with_portfolio(
        PortfolioId=portfolio["Id"], PrincipalARN=role, PrincipalType="IAM"
    )
    return ids


def test_a_tagged_product_of_the_role_is_offered(sandbox, domain):
    role = make_role(sandbox, "studio", SEARCH)
    ids = share_products(sandbox, role)
    other = make_role(sandbox, "other", SEARCH)
    none = make_role(sandbox, "none")
    page = sandbox.studio_templates("dev", role, domain)["organization"]
    assert page == [{"name": "build", "id": ids["build"], "reason": ""}]
    assert sandbox.studio_templates("dev", other, domain)["organization"] == []
    (refusal,) = sandbox.studio_templates("dev", none, domain)["organization"]
    assert "servicecatalog:SearchProducts" in refusal["reason"]
