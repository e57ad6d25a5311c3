"""The stacks of hub and spokes deployed in the sandbox: what stands, who may what, what is left."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from functools import cache

import cfn_rules
import pytest
from botocore.exceptions import ClientError
from conftest import ROOT
from waiting import settled_project

from seedbed import cfn
from seedbed.packaging import product
from seedbed.sandbox.handle import Sandbox
from seedbed.sandbox.server import Server
from seedbed.sandbox.world import World

sys.path.append(str(ROOT / "tests" / "sandbox"))
from access import make_role, trusting
from cfn_stacks import ALL, history, outputs, parameters, settle

CATALOG, LAYERS = ROOT / "servicecatalog", ROOT / "layers"
HUB, DEV, PROD = "222222222222", "333333333333", "555555555555"
ORGANISATION = "o-seedbed0001"
NETWORK = {
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0",
    "SecurityGroupIds": "sg-0123456789abcdef0",
}
COMMON = {
    "AlertEmail": "team@example.com",
    "Branch": "main",
    "ConnectionArn": "",
    "GitHost": "codecommit",
    "HubBusArn": f"arn:aws:events:eu-west-1:{HUB}:event-bus/hub",
    "ReaderAccountIds": f"{HUB},{PROD}",
    **NETWORK,
}
# In the seeder's place: it answers at once, and seeds nothing.
SEEDER = """
import json, urllib.request
def handler(event, context):
    keys = ("StackId", "RequestId", "LogicalResourceId")
    said = {"Status": "SUCCESS", "PhysicalResourceId": "repository", **{k: event[k] for k in keys}}
    body, url = json.dumps(said).encode(), event["ResponseURL"]
    urllib.request.urlopen(urllib.request.Request(url, body, method="PUT"))
"""
# What only one data source asks; DataZone's members and Athena's data catalogs are not emulated.
OWN = {
    "s3": {"DataLocation": "s3://data-bucket/in/"},
    "athena": {
        "DataDatabase": "lake",
        "DataOwnerAccountId": "666666666666",
        "DataSharedDatabase": "shared",
        "DataLakeLocation": "s3://lake-bucket/lake/",
    },
    "featurestore": {
        "FeatureGroupArns": "arn:aws:sagemaker:eu-west-1:666666666666:feature-group/f",
        "OfflineStoreLocation": "s3://store-bucket/store/",
        "OwnerAccountId": "666666666666",
        "OwnerRoleArn": "arn:aws:iam::666666666666:role/seedbed-reader-x",
        "CatalogName": "churn_features",
        "WorkGroupName": "churn",
    },
    "datazone": {
        "DataDomainId": "dzd_4k2example9q",
        "DataEnvironmentId": "environment",
        "DataMembership": "false",
        "DataProjectId": "project",
    },
}


@cache
def composed(source: str) -> str:
    """Return the product of a template as packaging merges it."""
    names = ("project", "registry", "build", "source")
    paths = {name: LAYERS / "model-build" / "infra" / f"{name}.yml" for name in names}
    paths = {**paths, "data": LAYERS / f"data-{source}" / "infra" / "data.yml"}
    paths["seed"] = CATALOG / "products" / "parts" / "seed.yml"
    order = ("project", "registry", "data", "build", "source", "seed")
    files = {name: cfn.load(paths[name].read_text("utf-8"), name) for name in order}
    release = {"Name": source, "Version": "v1", "Address": "", "Bundle": ""}
    return cfn.dump(product.build(source, "Model build", files, {}, defaults={}, release=release))


def asked(source: str, name: str) -> dict[str, str]:
    """Return values for what the product's form asks."""
    known = cfn.load(composed(source), source)["Parameters"]
    values = {**COMMON, **OWN[source], "ModelPackageGroupName": name, "RepositoryId": name}
    return {key: value for key, value in values.items() if key in known}


class Account:
    """An account of the sandbox, and the stacks that are deployed there as its administrator."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self.sandbox, self.name = sandbox, name
        self.stacks = sandbox.client("cloudformation", name)

    def deploy(self, file: str, *, verb: str = "create", stack: str = "", **given: str) -> dict:
        """Create or update a stack and return its outputs."""
        path = CATALOG / file
        stack = stack or f"seedbed-{path.parent.name}-{path.stem}"
        known = cfn_rules.read(path).section("Parameters")
        assert set(given) <= set(known)
        ask = self.stacks.create_stack if verb == "create" else self.stacks.update_stack
        body = path.read_text("utf-8")
        ask(StackName=stack, TemplateBody=body, Parameters=parameters(given), Capabilities=ALL)
        return outputs(self.complete(stack))

    def complete(self, stack: str) -> dict:
        said = settle(self.stacks, stack)
        wanted = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE")
        assert said["StackStatus"] in wanted, history(self.stacks, stack)
        return said

    def delete(self, stack: str) -> None:
        id_ = self.stacks.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
        self.stacks.delete_stack(StackName=stack)
        self.complete(id_)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    server = Server(world).start()
    yield Sandbox(world.endpoint, world.folder, world.organisation)
    server.stop()


@pytest.fixture(scope="module")
def hub(sandbox):
    account = Account(sandbox, "hub")
    path = f"{ORGANISATION}/*"
    account.assets = account.deploy("hub/assets.yml", OrganizationPaths=path)
    return account


@pytest.fixture(scope="module")
def dev(sandbox):
    account = Account(sandbox, "dev")
    for file in ("spoke/roles.yml", "spoke/users.yml"):
        account.deploy(file, HubAccountId=HUB)
    account.deploy("spoke/admin.yml")
    trust = {"Service": "lambda.amazonaws.com"}
    role = make_role(sandbox, "seeder", trust=trusting(trust))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("index.py", SEEDER)
    sandbox.client("lambda").create_function(
        FunctionName="seedbed-seed",
        Role=role,
        Runtime="python3.13",
        Handler="index.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    return account


def become(account: Account, service: str, role: str):
    number = account.sandbox.account(account.name)
    return account.sandbox.become(service, f"arn:aws:iam::{number}:role/{role}")


def is_refused(call, **request) -> bool:
    """Tell whether IAM refuses a call; any other error is one."""
    try:
        call(**request)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"AccessDenied", "AccessDeniedException", "403"}:
            return True
        raise
    return False


# The hub


def test_assets_are_encrypted_versioned_and_open_to_studios_pages(sandbox, hub):
    s3, name = sandbox.client("s3", "hub"), hub.assets["AssetBucketName"]
    assert name == f"seedbed-assets-{HUB}-eu-west-1"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    rule = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    by = rule["ApplyServerSideEncryptionByDefault"]
    assert by == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": hub.assets["AssetKeyArn"]}
    (cors,) = s3.get_bucket_cors(Bucket=name)["CORSRules"]
    assert cors["AllowedOrigins"] == ["https://*.sagemaker.aws"]
    assert set(cors["AllowedMethods"]) == {"GET", "HEAD", "PUT", "POST", "DELETE"}
    assert "ETag" in cors["ExposeHeaders"]
    alias = sandbox.client("kms", "hub").describe_key(KeyId="alias/seedbed-assets")
    assert alias["KeyMetadata"]["Arn"] == hub.assets["AssetKeyArn"]
    log = s3.get_bucket_logging(Bucket=name)["LoggingEnabled"]
    assert log["TargetBucket"] == f"seedbed-assets-logs-{HUB}-eu-west-1"


def test_assets_are_read_within_the_paths_only(sandbox, hub):
    name = hub.assets["AssetBucketName"]
    for key in ("products/1/a.yml", "seedbed-publish/source.zip"):
        sandbox.client("s3", "hub").put_object(Bucket=name, Key=key, Body=b"x")
    read = {"Bucket": name, "Key": "products/1/a.yml"}
    unit = "/".join([sandbox.organisation.path(DEV).rstrip("/"), "*"])
    hub.deploy("hub/assets.yml", verb="update", OrganizationPaths=unit)
    find = {"Bucket": name, "Prefix": "studio/"}
    for account, allowed in (("dev", True), ("governance", False)):
        s3 = sandbox.client("s3", account)
        assert is_refused(s3.get_object, **read) is not allowed, account
        assert is_refused(s3.get_object_tagging, **read) is not allowed, "needs no key"
        assert is_refused(s3.list_objects_v2, **find) is not allowed, account
    source = {"Bucket": name, "Key": "seedbed-publish/source.zip"}
    assert is_refused(sandbox.client("s3", "dev").get_object, **source)
    hub.deploy("hub/assets.yml", verb="update", OrganizationPaths=f"{ORGANISATION}/*")
    assert not is_refused(sandbox.client("s3", "governance").get_object, **read)


def test_assets_stay_when_their_stack_goes(sandbox):
    account = Account(sandbox, "test")
    made = account.deploy("hub/assets.yml", OrganizationPaths=f"{ORGANISATION}/*")
    account.delete("seedbed-hub-assets")
    sandbox.client("s3", "test").head_bucket(Bucket=made["AssetBucketName"])
    key = sandbox.client("kms", "test").describe_key(KeyId=made["AssetKeyArn"])
    assert key["KeyMetadata"]["KeyState"] == "Enabled"


PUBLISH = "seedbed-hub-publish"


@pytest.fixture(scope="module")
def publishing(hub):
    """The request that made the publishing pipeline's stack."""
    given = {
        **hub.assets,
        **NETWORK,
        "AlertEmail": "team@example.com",
        "ConnectionArn": f"arn:aws:codeconnections:eu-west-1:{HUB}:connection/0a1b-2c3d",
        "RepositoryId": "ml-platform/seedbed",
    }
    body = (CATALOG / "hub/publish.yml").read_text("utf-8")
    said = {"StackName": PUBLISH, "TemplateBody": body, "Capabilities": ALL}
    hub.stacks.create_stack(**said, Parameters=parameters(given))
    hub.complete(PUBLISH)
    return said, given


def test_publishing_deploys(sandbox, hub, publishing):
    said, given = publishing
    name = outputs(hub.complete(PUBLISH))["PipelineName"]

    def pipeline():
        return sandbox.client("codepipeline", "hub").get_pipeline(name=name)["pipeline"]

    stages = [stage["name"] for stage in pipeline()["stages"]]
    assert stages == ["Source", "Plan", "Approve", "Publish"]
    assert pipeline()["pipelineType"] == "V2"
    (trigger,) = pipeline()["triggers"]
    assert trigger["gitConfiguration"]["push"] == [{"tags": {"includes": ["v*"]}}]
    hub.stacks.update_stack(**said, Parameters=parameters({**given, "TagPattern": "release-*"}))
    hub.complete(PUBLISH)
    (trigger,) = pipeline()["triggers"]
    assert trigger["gitConfiguration"]["push"] == [{"tags": {"includes": ["release-*"]}}]


@pytest.mark.usefixtures("publishing")
def test_the_plan_role_cannot_publish(hub):
    bucket = hub.assets["AssetBucketName"]
    write = {"Bucket": bucket, "Key": "products/2/b.yml", "Body": b"x"}
    assert is_refused(become(hub, "s3", "seedbed-publish-plan").put_object, **write)
    assert not is_refused(become(hub, "s3", "seedbed-publish").put_object, **write)
    portfolio = {"DisplayName": "x", "ProviderName": "x"}
    plan = become(hub, "servicecatalog", "seedbed-publish-plan")
    assert is_refused(plan.create_portfolio, **portfolio)
    assert plan.list_portfolios()["PortfolioDetails"] == []
    publish = become(hub, "servicecatalog", "seedbed-publish")
    assert not is_refused(publish.create_portfolio, **portfolio)


@pytest.mark.usefixtures("publishing")
def test_the_publish_role_sets_one_tag_of_a_domain(sandbox, hub):
    role = make_role(sandbox, "studio", account="hub")
    made = sandbox.client("sagemaker", "hub").create_domain(
        DomainName="hub", AuthMode="IAM", DefaultUserSettings={"ExecutionRole": role}
    )
    tag = become(hub, "sagemaker", "seedbed-publish").add_tags
    place = {"ResourceArn": made["DomainArn"]}
    location = {"Key": "sagemaker:projectS3TemplatesLocation", "Value": "s3://a/studio/"}
    assert not is_refused(tag, **place, Tags=[location])
    assert is_refused(tag, **place, Tags=[location, {"Key": "owner", "Value": "me"}])
    assert is_refused(tag, **place, Tags=[{"Key": "owner", "Value": "me"}])


# The spoke


def test_roles_come_and_go_without_a_trace(sandbox):
    account = Account(sandbox, "prod")
    iam = sandbox.client("iam", "prod")
    before = {role["RoleName"] for role in iam.list_roles()["Roles"]}
    for file in ("spoke/roles.yml", "spoke/users.yml"):
        account.deploy(file, HubAccountId=HUB)
    account.deploy("spoke/admin.yml")
    account.deploy("spoke/roles.yml", verb="update", HubAccountId=HUB, ProjectBoundary="seedbed")
    made = {role["RoleName"] for role in iam.list_roles()["Roles"]} - before
    assert made == {
        "seedbed-launch",
        "seedbed-launch-admin",
        "seedbed-inventory",
        "seedbed-data-scientist",
        "seedbed-lead-data-scientist",
        "seedbed-ml-engineer",
        "seedbed-governance-officer",
    }
    for stack in ("seedbed-spoke-admin", "seedbed-spoke-users", "seedbed-spoke-roles"):
        account.delete(stack)
    assert {role["RoleName"] for role in iam.list_roles()["Roles"]} == before
    assert iam.list_policies(Scope="Local")["Policies"] == []


def test_endpoints_are_made_in_the_vpc(sandbox, dev):
    ec2 = sandbox.client("ec2", "dev")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=vpc)["GroupId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    given = {
        "VpcId": vpc,
        "SubnetIds": subnet,
        "RouteTableIds": table,
        "SourceSecurityGroupId": group,
        "OrganizationId": ORGANISATION,
        "Studio": "false",
    }
    dev.deploy("spoke/endpoints.yml", **given)
    found = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    services = {one["ServiceName"] for one in found["VpcEndpoints"]}
    listed = cfn_rules.read(CATALOG / "spoke/endpoints.yml").section("Metadata")["SeedbedEndpoints"]
    wanted = [*listed["Always"], *listed["CodeCommit"], *listed["DataLake"]]
    assert services == {one.format(region="eu-west-1") for one in wanted}
    dev.delete("seedbed-spoke-endpoints")


# Projects, by both routes, as a data scientist


def why(sandbox: Sandbox, said: dict) -> list[str]:
    """Return what failed in a project's stack."""
    detail = said["TemplateProviderDetails"][0]["CfnTemplateProviderDetail"]["StackDetail"]
    events = history(sandbox.client("cloudformation"), detail["Id"])
    return [str(event) for event in events if event[1].endswith("_FAILED")]


def from_s3(hub: Account, source: str) -> str:
    """Put a template where Studio finds it and return its address."""
    bucket, key = hub.assets["AssetBucketName"], f"studio/{source}.yml"
    s3 = hub.sandbox.client("s3", "hub")
    s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=composed(source).encode(),
        Tagging="sagemaker:studio-visibility=true",
    )
    return f"https://{bucket}.s3.eu-west-1.amazonaws.com/{key}"


def provider(url: str, given: dict[str, str], **more: str) -> list[dict]:
    pairs = [{"Key": key, "Value": value} for key, value in given.items()]
    said = {"TemplateName": "seedbed", "TemplateURL": url, "Parameters": pairs, **more}
    return [{"CfnTemplateProvider": said}]


def denials(sandbox: Sandbox, since: int) -> list[str]:
    calls = sandbox.calls()[since:]
    return [f"{c['operation']}: {c['reason']}" for c in calls if c.get("decision") == "denied"]


LAUNCH = f"arn:aws:iam::{DEV}:role/seedbed-launch"


@pytest.mark.parametrize("source", OWN)
def test_a_data_scientist_creates_a_project_from_s3(sandbox, hub, dev, source):
    user, name = become(dev, "sagemaker", "seedbed-data-scientist"), f"churn-{source}"
    given = asked(source, name)
    start = len(sandbox.calls())
    url = from_s3(hub, source)
    user.create_project(ProjectName=name, TemplateProviders=provider(url, given, RoleARN=LAUNCH))
    said = settled_project(user, name)
    assert said["ProjectStatus"] == "CreateCompleted", why(sandbox, said)
    id_ = said["ProjectId"]
    role = sandbox.client("iam").get_role(RoleName=f"seedbed-{id_}-execution-eu-west-1")["Role"]
    assert {t["Key"]: t["Value"] for t in role["Tags"]}["sagemaker:project-id"] == id_
    sandbox.client("s3").head_bucket(Bucket=f"seedbed-{id_}-{DEV}-eu-west-1")
    listed = sandbox.client("sagemaker").list_code_repositories()["CodeRepositorySummaryList"]
    (code,) = [one for one in listed if "StudioRepository" in one["CodeRepositoryName"]]
    assert code["GitConfig"]["RepositoryUrl"].endswith(f"/v1/repos/{name}")
    given |= {"AlertEmail": "others@example.com", "ReaderAccountIds": HUB}
    update = provider(url, given)
    user.update_project(ProjectName=name, TemplateProvidersToUpdate=update)
    said = settled_project(user, name)
    assert said["ProjectStatus"] == "UpdateCompleted", why(sandbox, said)
    user.delete_project(ProjectName=name)
    ended = settled_project(user, name)["ProjectStatus"]
    assert ended == "DeleteCompleted", denials(sandbox, start)
    assert denials(sandbox, start) == []
    left = [
        r["RoleName"] for r in sandbox.client("iam").list_roles()["Roles"] if id_ in r["RoleName"]
    ]
    assert left == []
    # Data, models and code stay.
    sandbox.client("s3").head_bucket(Bucket=f"seedbed-{id_}-{DEV}-eu-west-1")
    sandbox.client("sagemaker").describe_model_package_group(ModelPackageGroupName=name)
    sandbox.client("codecommit").get_repository(repositoryName=name)


def test_a_project_at_github_takes_a_connection_and_a_workflows_role(sandbox, hub, dev):
    connections = sandbox.client("codeconnections")
    made = connections.create_connection(ProviderType="GitHub", ConnectionName="github")
    user, name = become(dev, "sagemaker", "seedbed-ml-engineer"), "churn-github"
    given = asked("s3", name) | {
        "ConnectionArn": made["ConnectionArn"],
        "GitHost": "github",
        "GitHubActions": "true",
        "RepositoryId": "team/churn",
    }
    start, url = len(sandbox.calls()), from_s3(hub, "s3")
    user.create_project(ProjectName=name, TemplateProviders=provider(url, given, RoleARN=LAUNCH))
    said = settled_project(user, name)
    assert said["ProjectStatus"] == "CreateCompleted", why(sandbox, said)
    pipeline = sandbox.client("codepipeline").get_pipeline(name=said["ProjectId"])["pipeline"]
    source = pipeline["stages"][0]["actions"][0]["configuration"]
    assert source["ConnectionArn"] == made["ConnectionArn"]
    role = f"seedbed-{said['ProjectId']}-workflow-eu-west-1"
    assert sandbox.client("iam").get_role(RoleName=role)["Role"]["MaxSessionDuration"] == 21600
    user.delete_project(ProjectName=name)
    ended = settled_project(user, name)["ProjectStatus"]
    assert ended == "DeleteCompleted", why(sandbox, said)
    assert denials(sandbox, start) == []


@pytest.fixture(scope="module")
def shop(sandbox, hub):
    """A portfolio in the spoke with the product of the S3 template."""
    catalog = sandbox.client("servicecatalog")
    portfolio = catalog.create_portfolio(DisplayName="Projects", ProviderName="platform")
    portfolio = {"PortfolioId": portfolio["PortfolioDetail"]["Id"]}
    url = from_s3(hub, "s3")
    version = {"Name": "v1", "Type": "CLOUD_FORMATION_TEMPLATE"}
    made = catalog.create_product(
        Name="model-build-s3",
        Owner="platform",
        ProductType="CLOUD_FORMATION_TEMPLATE",
        ProvisioningArtifactParameters={**version, "Info": {"LoadTemplateFromURL": url}},
    )
    id_ = made["ProductViewDetail"]["ProductViewSummary"]["ProductId"]
    catalog.associate_product_with_portfolio(ProductId=id_, **portfolio)
    limits = json.dumps({"LocalRoleName": "seedbed-launch"})
    catalog.create_constraint(ProductId=id_, Type="LAUNCH", Parameters=limits, **portfolio)
    catalog.associate_principal_with_portfolio(
        PrincipalARN="arn:aws:iam:::role/seedbed-data-scientist",
        PrincipalType="IAM_PATTERN",
        **portfolio,
    )
    return {"ProductId": id_, "ProvisioningArtifactId": made["ProvisioningArtifactDetail"]["Id"]}


def test_a_data_scientist_creates_a_project_from_service_catalog(sandbox, dev, shop):
    user, name = become(dev, "sagemaker", "seedbed-data-scientist"), "churn-catalog"
    given = asked("s3", name)
    start = len(sandbox.calls())
    pairs = [{"Key": key, "Value": value} for key, value in given.items()]
    details = {**shop, "ProvisioningParameters": pairs}
    user.create_project(ProjectName=name, ServiceCatalogProvisioningDetails=details)
    said = settled_project(user, name)
    assert said["ProjectStatus"] == "CreateCompleted", denials(sandbox, start)
    id_ = said["ProjectId"]
    sandbox.client("codebuild").batch_get_projects(names=[f"seedbed-{id_}"])["projects"][0]
    assert (
        "seedbed-launch"
        in sandbox.calls(service="codebuild", operation="CreateProject")[-1]["principal"]
    )
    user.delete_project(ProjectName=name)
    ended = settled_project(user, name)["ProjectStatus"]
    assert ended == "DeleteCompleted", denials(sandbox, start)
    assert denials(sandbox, start) == []


def test_no_template_of_ones_own_is_launched_with_the_launch_role(sandbox, hub, dev):
    s3 = sandbox.client("s3")
    where = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="own-templates", CreateBucketConfiguration=where)
    s3.put_object(Bucket="own-templates", Key="studio/mine.yml", Body=composed("s3").encode())
    url = "https://own-templates.s3.eu-west-1.amazonaws.com/studio/mine.yml"
    stacks = become(dev, "cloudformation", "seedbed-data-scientist")
    said = {"StackName": "SP-mine", "RoleARN": LAUNCH, "Capabilities": ALL}
    assert is_refused(stacks.create_stack, TemplateURL=url, **said)
    assert is_refused(stacks.create_stack, TemplateBody=composed("s3"), **said)
    allowed = from_s3(hub, "s3")
    own = {"StackName": "SP-mine", "TemplateURL": allowed, "Capabilities": ALL}
    assert is_refused(stacks.create_stack, **own), "as oneself: without the launch role"


# What the launch role cannot reach


def test_the_launch_role_reaches_neither_itself_nor_others(sandbox, dev):
    iam = become(dev, "iam", "seedbed-launch")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    for name in ("seedbed-launch", "seedbed-data-scientist", "seedbed-admin", "other"):
        put = {"RoleName": name, "PolicyName": "x", "PolicyDocument": document}
        assert is_refused(iam.put_role_policy, **put), name
    assert is_refused(iam.create_role, RoleName="other", AssumeRolePolicyDocument=trust)
    kms = sandbox.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    own = become(dev, "kms", "seedbed-launch")
    assert is_refused(own.schedule_key_deletion, KeyId=key)
    assert is_refused(own.create_key)
    group = sandbox.client("sagemaker")
    group.create_model_package_group(ModelPackageGroupName="others")
    delete = become(dev, "sagemaker", "seedbed-launch").delete_model_package_group
    assert is_refused(delete, ModelPackageGroupName="others")
    buckets = become(dev, "s3", "seedbed-launch")
    assert is_refused(buckets.delete_bucket, Bucket=f"seedbed-assets-{HUB}-eu-west-1")


def test_a_role_takes_no_policy_of_others(dev):
    iam = become(dev, "iam", "seedbed-launch")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    trust = json.dumps(
        {"Statement": {**trust, "Principal": {"Service": "codebuild.amazonaws.com"}}}
    )
    iam.create_role(RoleName="seedbed-p-x-build", AssumeRolePolicyDocument=trust)
    policy = {
        "RoleName": "seedbed-p-x-build",
        "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess",
    }
    assert is_refused(iam.attach_role_policy, **policy)
    iam.delete_role(RoleName="seedbed-p-x-build")


def test_with_a_boundary_every_role_of_a_project_has_it(hub, dev):
    made = dev.deploy("spoke/roles.yml", verb="update", HubAccountId=HUB, ProjectBoundary="seedbed")
    user, name = become(dev, "sagemaker", "seedbed-data-scientist"), "churn-bounded"
    given = asked("s3", name)
    url = from_s3(hub, "s3")
    user.create_project(ProjectName=name, TemplateProviders=provider(url, given, RoleARN=LAUNCH))
    ended = settled_project(user, name)["ProjectStatus"]
    assert ended == "CreateFailed", "a role without the boundary"
    given["PermissionsBoundaryArn"] = made["ProjectBoundaryArn"]
    name = "churn-within"
    given["ModelPackageGroupName"] = name
    user.create_project(ProjectName=name, TemplateProviders=provider(url, given, RoleARN=LAUNCH))
    said = settled_project(user, name)
    assert said["ProjectStatus"] == "CreateCompleted"
    role = f"seedbed-{said['ProjectId']}-execution-eu-west-1"
    iam = become(dev, "iam", "seedbed-launch")
    assert is_refused(iam.delete_role_permissions_boundary, RoleName=role)
    group = {"ModelPackageGroupName": name, "ModelPackageDescription": "x"}
    models = become(dev, "sagemaker", role)
    waiting = {"ModelApprovalStatus": "PendingManualApproval"}
    assert is_refused(models.create_model_package, **group, ModelApprovalStatus="Approved")
    assert not is_refused(models.create_model_package, **group, **waiting)
    user.delete_project(ProjectName=name)
    assert settled_project(user, name)["ProjectStatus"] == "DeleteCompleted"
    dev.deploy("spoke/roles.yml", verb="update", HubAccountId=HUB, ProjectBoundary="")


def test_only_a_lead_approves(sandbox, dev):
    models = sandbox.client("sagemaker")
    models.create_model_package_group(ModelPackageGroupName="fraud")
    group = {"ModelPackageGroupName": "fraud", "ModelPackageDescription": "x"}
    made = models.create_model_package(**group, ModelApprovalStatus="PendingManualApproval")
    arn = {"ModelPackageArn": made["ModelPackageArn"]}
    for role in ("seedbed-data-scientist", "seedbed-ml-engineer", "seedbed-governance-officer"):
        update = become(dev, "sagemaker", role).update_model_package
        assert is_refused(update, **arn, ModelApprovalStatus="Approved"), role
    lead = become(dev, "sagemaker", "seedbed-lead-data-scientist")
    assert not is_refused(lead.update_model_package, **arn, ModelApprovalStatus="Approved")
    officer = become(dev, "sagemaker", "seedbed-governance-officer")
    assert not is_refused(officer.update_model_package, **arn, ModelApprovalStatus="Rejected")
    assert (
        models.describe_model_package(ModelPackageName=arn["ModelPackageArn"])[
            "ModelApprovalStatus"
        ]
        == "Rejected"
    )


@pytest.mark.usefixtures("publishing")
def test_the_hub_asks_a_spoke_what_is_in_use(hub, dev):
    hub.deploy("spoke/roles.yml", HubAccountId=HUB)
    ask = {"RoleArn": f"arn:aws:iam::{DEV}:role/seedbed-inventory", "RoleSessionName": "plan"}
    assert not is_refused(become(hub, "sts", "seedbed-publish-plan").assume_role, **ask)
    assert is_refused(become(hub, "sts", "seedbed-launch").assume_role, **ask)
    assert is_refused(hub.sandbox.client("sts", "prod").assume_role, **ask)
    inventory = become(dev, "servicecatalog", "seedbed-inventory")
    level = {"AccessLevelFilter": {"Key": "Account", "Value": "self"}}
    assert not is_refused(inventory.search_provisioned_products, **level)
    assert is_refused(inventory.list_portfolios)


# The ML Admin portfolio: Service Catalog launches as the role itself


@pytest.fixture(scope="module")
def admin(dev):
    """The account as Service Catalog uses it for the ML Admin portfolio."""
    account = Account(dev.sandbox, "dev")
    account.stacks = become(dev, "cloudformation", "seedbed-launch-admin")
    return account


@pytest.fixture(scope="module")
def domain(sandbox, admin):
    ec2 = sandbox.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="studio", Description="x", VpcId=vpc)["GroupId"]
    given = {
        "DomainName": "main",
        "AuthMode": "IAM",
        "HubAccountId": HUB,
        "VpcId": vpc,
        "SubnetIds": subnet,
        "SecurityGroupIds": group,
    }
    made = admin.deploy("products/studio-domain.yml", stack="SC-1-pp-domain", **given)
    return {**made, "given": given}


def test_a_domain_is_closed_and_shows_the_hubs_templates(sandbox, admin, domain):
    studio = sandbox.client("sagemaker")
    said = studio.describe_domain(DomainId=domain["DomainId"])
    assert said["AppNetworkAccessType"] == "VpcOnly"
    assert said["KmsKeyId"] == domain["KmsKeyArn"]
    assert said["DomainSettings"]["ExecutionRoleIdentityConfig"] == "USER_PROFILE_NAME"
    idle = said["DefaultUserSettings"]["JupyterLabAppSettings"]["AppLifecycleManagement"]
    assert idle["IdleSettings"]["LifecycleManagement"] == "ENABLED"
    assert idle["IdleSettings"]["IdleTimeoutInMinutes"] == 120
    tags = studio.list_tags(ResourceArn=said["DomainArn"])["Tags"]
    location = f"s3://seedbed-assets-{HUB}-eu-west-1/studio/"
    assert {"Key": "sagemaker:projectS3TemplatesLocation", "Value": location} in tags
    given = {**domain["given"], "IdleMinutes": "240"}
    admin.deploy("products/studio-domain.yml", stack="SC-1-pp-domain", verb="update", **given)
    said = studio.describe_domain(DomainId=domain["DomainId"])["DefaultUserSettings"]
    idle = said["CodeEditorAppSettings"]["AppLifecycleManagement"]["IdleSettings"]
    assert idle["IdleTimeoutInMinutes"] == 240


PERSONAS = {
    "data-scientist": {"projects", "work"},
    "lead-data-scientist": {"projects", "work", "lead"},
    "ml-engineer": {"projects", "work", "engineer"},
    "governance-officer": {"governance"},
}


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_user_may_do_their_work(sandbox, admin, domain, persona):
    stack, name = f"SC-1-pp-{persona}", f"a-{persona}"
    given = {"DomainId": domain["DomainId"], "UserName": name, "Persona": persona}
    made = admin.deploy("products/user-profile.yml", stack=stack, **given)
    profile = sandbox.client("sagemaker").describe_user_profile(
        DomainId=domain["DomainId"], UserProfileName=name
    )
    assert profile["UserSettings"]["ExecutionRole"] == made["RoleArn"]
    role = made["RoleArn"].rsplit("/", 1)[-1]
    attached = sandbox.client("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    wanted = {f"seedbed-{policy}" for policy in PERSONAS[persona] | {"studio"}}
    assert {one["PolicyName"] for one in attached} == wanted
    admin.delete(stack)


def test_a_team_has_its_buckets_and_its_members_read_them(sandbox, admin, domain):
    given = {"Team": "vision", "FeatureReaderAccountIds": PROD}
    made = admin.deploy("products/team-buckets.yml", stack="SC-1-pp-team", **given)
    user = {"DomainId": domain["DomainId"], "UserName": "member", "Team": "vision"}
    role = admin.deploy("products/user-profile.yml", stack="SC-1-pp-member", **user)["RoleArn"]
    member = sandbox.become("s3", role)
    for kind in ("Team", "Feature", "Dataset", "Automation", "Model"):
        bucket = made[f"{kind}BucketName"]
        write = {"Bucket": bucket, "Key": "a/b", "Body": b"x"}
        assert is_refused(member.put_object, **write) is (kind == "Model"), kind
        sandbox.client("s3").put_object(**write)
        assert not is_refused(member.get_object, Bucket=bucket, Key="a/b")
    read = {"Key": "a/b", "Bucket": made["FeatureBucketName"]}
    assert not is_refused(sandbox.client("s3", "prod").get_object, **read)
    assert is_refused(sandbox.client("s3", "test").get_object, **read)
    given = {"Team": "vision", "ModelReaderAccountIds": PROD}
    admin.deploy("products/team-buckets.yml", stack="SC-1-pp-team", verb="update", **given)
    assert is_refused(sandbox.client("s3", "prod").get_object, **read)
    admin.delete("SC-1-pp-member")
    admin.delete("SC-1-pp-team")
    sandbox.client("s3").head_bucket(Bucket=made["ModelBucketName"])


def test_a_data_lake_is_shared(sandbox, admin):
    given = {"DatabaseName": "lake", "ConsumerPrincipal": PROD}
    admin.deploy("products/data-lake-share.yml", stack="SC-1-pp-lake", **given)
    found = sandbox.client("lakeformation").list_permissions()["PrincipalResourcePermissions"]
    assert PROD in {one["Principal"]["DataLakePrincipalIdentifier"] for one in found}
    admin.delete("SC-1-pp-lake")


def test_the_admin_role_makes_no_other_roles(dev):
    iam = become(dev, "iam", "seedbed-launch-admin")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    for name in ("seedbed-launch", "seedbed-p-x-build", "other"):
        assert is_refused(iam.create_role, RoleName=name, AssumeRolePolicyDocument=trust), name
