"""Helpers of the Service Catalog tests: templates in S3, a portfolio with a product, roles."""

from __future__ import annotations

import json

from access import allow, make_role, trusting
from waiting import until

REGION = "eu-west-1"
BUCKET = "seedbed-assets"
LAUNCH = "seedbed-launch"
READS_COPY = allow(
    "s3:GetObject",
    Condition={"StringEquals": {"s3:ExistingObjectTag/servicecatalog:provisioning": "true"}},
)
STACKS = allow("cloudformation:*", "arn:aws:cloudformation:*:*:stack/SC-*")
QUEUES = allow("sqs:*")


def template(**parameters):
    """Return a template of one queue whose name ends with the parameter Suffix."""
    suffix = {"Type": "String", "Default": "a", "AllowedPattern": "[a-z]+", "Description": "End."}
    tree = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "A queue.",
        "Parameters": {"Suffix": {**suffix, **parameters}},
        "Resources": {
            "Queue": {
                "Type": "AWS::SQS::Queue",
                "Properties": {"QueueName": {"Fn::Sub": "queue-${Suffix}"}},
            }
        },
        "Outputs": {"Url": {"Description": "Where.", "Value": {"Ref": "Queue"}}},
    }
    return json.dumps(tree)


def upload(sandbox, key, body, account="hub"):
    """Put a template into the account's bucket and return its address."""
    s3 = sandbox.client("s3", account)
    bucket = f"{BUCKET}-{account}"
    if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
    return f"https://{bucket}.s3.{REGION}.amazonaws.com/{key}"


def version(url, name="v1", **more):
    return {
        "Name": name,
        "Info": {"LoadTemplateFromURL": url},
        "Type": "CLOUD_FORMATION_TEMPLATE",
        **more,
    }


def make_product(catalog, url, name="Queue", **more):
    said = {"Name": name, "Owner": "ml", "ProductType": "CLOUD_FORMATION_TEMPLATE", **more}
    return catalog.create_product(ProvisioningArtifactParameters=version(url), **said)


def product_ids(made):
    view = made["ProductViewDetail"]["ProductViewSummary"]
    return view["ProductId"], made["ProvisioningArtifactDetail"]["Id"]


def make_portfolio(catalog, name="Projects"):
    made = catalog.create_portfolio(DisplayName=name, ProviderName="platform")
    return made["PortfolioDetail"]["Id"]


def launch_role(sandbox, account, *statements, name=LAUNCH):
    """Create the role that Service Catalog assumes for launches."""
    trust = trusting({"Service": "servicecatalog.amazonaws.com"})
    said = statements or (STACKS, QUEUES, READS_COPY)
    return make_role(sandbox, name, *said, account=account, trust=trust)


def scientist(sandbox, account="dev", name="scientist"):
    """Create a role that may use Service Catalog and nothing else; return its client."""
    arn = make_role(sandbox, name, allow("servicecatalog:*"), account=account)
    return sandbox.client("servicecatalog", account, role=arn), arn


class Shop:
    """A portfolio of one product in dev, its launch role, and a data scientist who may use it."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.admin = sandbox.client("servicecatalog", "dev")
        self.url = upload(sandbox, "queue.json", template(), "dev")
        self.portfolio = make_portfolio(self.admin)
        self.product, self.artifact = product_ids(make_product(self.admin, self.url))
        self.admin.associate_product_with_portfolio(
            ProductId=self.product, PortfolioId=self.portfolio
        )
        self.user, arn = scientist(sandbox)
        self.admin.associate_principal_with_portfolio(
            PortfolioId=self.portfolio, PrincipalARN=arn, PrincipalType="IAM"
        )

    def constrain(self, kind="LAUNCH", said=None):
        return self.admin.create_constraint(
            PortfolioId=self.portfolio,
            ProductId=self.product,
            Type=kind,
            Parameters=json.dumps(said or {"LocalRoleName": LAUNCH}),
        )["ConstraintDetail"]["ConstraintId"]

    def provision(self, name="one", suffix="a", **more):
        said = {"ProvisioningParameters": [{"Key": "Suffix", "Value": suffix}], **more}
        said.setdefault("ProvisioningArtifactId", self.artifact)
        return self.user.provision_product(
            ProductId=self.product, ProvisionedProductName=name, **said
        )["RecordDetail"]

    def ended(self, record):
        def read():
            found = self.user.describe_record(Id=record["RecordId"])
            running = found["RecordDetail"]["Status"] in ("CREATED", "IN_PROGRESS")
            return None if running else found

        return until(read)

    def provisioned(self, name="one", suffix="a", **more):
        found = self.ended(self.provision(name, suffix, **more))
        assert found["RecordDetail"]["Status"] == "SUCCEEDED", found["RecordDetail"]["RecordErrors"]
        return found["RecordDetail"]["ProvisionedProductId"]

    def update(self, name="one", suffix="b", **more):
        said = {"ProvisioningParameters": [{"Key": "Suffix", "Value": suffix}], **more}
        return self.user.update_provisioned_product(ProvisionedProductName=name, **said)[
            "RecordDetail"
        ]

    def state(self, name="one"):
        return self.user.describe_provisioned_product(Name=name)["ProvisionedProductDetail"]

    def queues(self):
        urls = self.sandbox.client("sqs").list_queues().get("QueueUrls", [])
        return sorted(url.rsplit("/", 1)[-1] for url in urls)


def open_shop(sandbox):
    """Return a shop whose product the launch role may make."""
    made = Shop(sandbox)
    launch_role(sandbox, "dev")
    made.constrain()
    return made
