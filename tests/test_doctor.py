"""`seedbed doctor`: a healthy platform has no problem, each defect is found with its own remedy."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager

import boto3
import pytest
from botocore.stub import Stubber
from conftest import commit, git, make_repository
from publishing import DEV, READS, REGION
from typer.testing import CliRunner
from waiting import settled_share

from seedbed import catalog, cfn, declaration, doctor
from seedbed.cli import app
from seedbed.declaration import Shares
from seedbed.doctor.checks import wanted
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account
from seedbed.publishing.observe import LOCATION_TAG

RUN = CliRunner()
SCIENTIST = "seedbed-data-scientist"
CATALOG = "servicecatalog"
ENDPOINTS = "servicecatalog/spoke/endpoints.yml"
SERVICE = "servicecatalog.amazonaws.com"


class Platform:
    """Hub and spoke as bootstrap and publish make them; commands run as administrator or role."""

    def __init__(self, sandbox, checkout):
        self.sandbox, self.checkout = sandbox, checkout
        self.hub, self.dev = sandbox.account("hub"), sandbox.account("dev")
        self.bucket = f"seedbed-assets-{self.hub}-{REGION}"

    def client(self, service, account="dev"):
        return self.sandbox.client(service, account)

    def run(self, account, *words, role=""):
        environment = self.sandbox.environment(account)
        if role:
            arn = f"arn:aws:iam::{self.sandbox.account(account)}:role/{role}"
            said = self.sandbox.admin("POST", "become", {"role_arn": arn})
            environment |= {key.upper(): value for key, value in said.items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(catalog, "CHECKOUT", self.checkout)
            patch.chdir(self.checkout)
            for name, value in environment.items():
                patch.setenv(name, value)
            done = RUN.invoke(app, list(words))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        broken = words[0] == "doctor" and ("PROBLEM" in done.stdout or '"ok": false' in done.stdout)
        assert done.exit_code == broken, done.output
        return done.stdout

    def doctor(self, view, *words):
        """Return what doctor finds from a point of view, as JSON."""
        account = "hub" if view == "hub" else "dev"
        role = SCIENTIST if view == "scientist" else ""
        said = json.loads(self.run(account, "doctor", "--as", view, "--json", *words, role=role))
        assert said["ok"] == (of(said["results"], "problem") == [])
        return said["results"]


@pytest.fixture(scope="module")
def platform(sandbox_server, tmp_path_factory):
    """Hub and one spoke, made once: each test puts back what it breaks."""
    sandbox_server.reset()
    checkout = make_repository(tmp_path_factory.mktemp("doctor") / "checkout", "v0.1.0")
    declared = checkout / declaration.FILE
    declared.write_text(declared.read_text().replace("units: []", f"units: [{DEV}]"))
    commit(checkout, "v0.2.0")
    made = Platform(sandbox_server, checkout)
    made.client(CATALOG, "management").enable_aws_organizations_access()
    made.client("organizations", "management").register_delegated_administrator(
        AccountId=made.hub, ServicePrincipal=SERVICE
    )
    made.run("hub", "bootstrap", "hub", "--yes")
    made.run("dev", "bootstrap", "spoke", "--hub", made.hub, "--yes")
    made.run("hub", "package")
    made.run("hub", "publish", "--yes")
    return made


def of(results, state):
    return [one for one in results if one["state"] == state]


@pytest.mark.parametrize("view", ["hub", "admin", "scientist"])
def test_a_healthy_platform_has_no_problem(platform, view):
    results = platform.doctor(view)
    assert of(results, "problem") == []


def test_an_account_that_is_no_hub_is_told_in_a_few_lines(platform):
    said = json.loads(platform.run("test", "doctor", "--as", "hub", "--json"))["results"]
    found = {one["check"] for one in of(said, "problem")}
    assert {"portfolios", "asset bucket", "delegated administrator", "launch roles"} <= found
    skipped = {one["check"] for one in of(said, "skipped")}
    assert {"products", "versions", "principals", "CORS", "templates in S3"} <= skipped


def test_a_scientist_is_told_what_cannot_be_seen(platform):
    unknown = of(platform.doctor("scientist"), "unknown")
    assert [one["check"] for one in unknown] == ["permissions"]


def test_people_get_a_line_a_finding_and_the_last_one_counts(platform):
    with untagged_product(platform):
        said = platform.run("hub", "doctor", "--as", "hub")
    lines = said.splitlines()
    (found,) = [at for at, line in enumerate(lines) if line.startswith("PROBLEM")]
    assert "visibility tag" in lines[found]
    assert "remedy: run `seedbed publish`" in lines[found + 1]
    assert lines[-1] == "19 ok, 1 problems, 0 not known, 2 skipped"


def test_it_only_reads(platform):
    before = len(platform.sandbox.calls())
    for view in ("hub", "admin", "scientist"):
        platform.doctor(view)
    sent = platform.sandbox.calls()[before:]
    assert len(sent) > 100
    assert {one["operation"] for one in sent if not one["operation"].startswith(READS)} <= {
        "BatchGetProjects",
        "SimulatePrincipalPolicy",
    }


# Defects: each a context in which one thing is broken


@contextmanager
def no_delegation(at):
    said = {"AccountId": at.hub, "ServicePrincipal": SERVICE}
    organizations = at.client("organizations", "management")
    organizations.deregister_delegated_administrator(**said)
    yield
    organizations.register_delegated_administrator(**said)


def no_role(name, account="dev"):
    @contextmanager
    def defect(at):
        iam = at.client("iam", account)
        role = iam.get_role(RoleName=name)["Role"]
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        own = {
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        }
        for item in attached:
            iam.detach_role_policy(RoleName=name, PolicyArn=item["PolicyArn"])
        for policy in own:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        iam.delete_role(RoleName=name)
        yield
        trust = json.dumps(role["AssumeRolePolicyDocument"])
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        for item in attached:
            iam.attach_role_policy(RoleName=name, PolicyArn=item["PolicyArn"])
        for policy, document in own.items():
            text = json.dumps(document)
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=text)

    return defect


def distrusted(name, service, account="dev"):
    @contextmanager
    def defect(at):
        iam = at.client("iam", account)
        before = json.dumps(iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"])
        after = before.replace(service, "ec2.amazonaws.com")
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=after)
        yield
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=before)

    return defect


def refusing(action, name=SCIENTIST):
    @contextmanager
    def defect(at):
        iam, said = at.client("iam"), {"RoleName": name, "PolicyName": "refuse"}
        deny = {"Effect": "Deny", "Action": action, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": deny})
        iam.put_role_policy(**said, PolicyDocument=document)
        yield
        iam.delete_role_policy(**said)

    return defect


@contextmanager
def no_project_policy(at):
    said = {"RoleName": SCIENTIST, "PolicyArn": f"arn:aws:iam::{at.dev}:policy/seedbed-projects"}
    at.client("iam").detach_role_policy(**said)
    yield
    at.client("iam").attach_role_policy(**said)


@contextmanager
def bounded(at):
    words = ("bootstrap", "spoke", "--hub", at.hub, "--yes")
    at.run("dev", *words, "--set", "ProjectBoundary=seedbed")
    yield
    at.run("dev", *words, "--set", "ProjectBoundary=")


@contextmanager
def governed(at):
    lake = at.client("lakeformation")
    before = lake.get_data_lake_settings()["DataLakeSettings"]
    lake.put_data_lake_settings(DataLakeSettings={**before, "CreateTableDefaultPermissions": []})
    yield
    lake.put_data_lake_settings(DataLakeSettings=before)


def held(at, title="Model build from S3"):
    """Return the hub's portfolio and one of its products, by id."""
    hub = at.client(CATALOG, "hub")
    portfolios = {
        one["DisplayName"]: one["Id"] for one in hub.list_portfolios()["PortfolioDetails"]
    }
    views = hub.search_products_as_admin()["ProductViewDetails"]
    ids = {
        one["ProductViewSummary"]["Name"]: one["ProductViewSummary"]["ProductId"] for one in views
    }
    return hub, {"PortfolioId": portfolios["SageMaker Projects"]}, {"ProductId": ids[title]}


@contextmanager
def untagged_product(at):
    hub, _, product = held(at)
    tag = {"Key": "sagemaker:studio-visibility", "Value": "true"}
    hub.update_product(Id=product["ProductId"], RemoveTags=[tag["Key"]])
    yield
    hub.update_product(Id=product["ProductId"], AddTags=[tag])


@contextmanager
def withdrawn(at):
    hub, _, product = held(at)
    found = hub.list_provisioning_artifacts(**product)["ProvisioningArtifactDetails"]
    said = {**product, "ProvisioningArtifactId": found[0]["Id"]}
    hub.update_provisioning_artifact(**said, Guidance="DEPRECATED")
    yield
    hub.update_provisioning_artifact(**said, Guidance="DEFAULT")


@contextmanager
def unconstrained(at):
    hub, portfolio, product = held(at)
    found = hub.list_constraints_for_portfolio(**portfolio, **product)["ConstraintDetails"]
    hub.delete_constraint(Id=found[0]["ConstraintId"])
    yield
    text = json.dumps({"LocalRoleName": "seedbed-launch"})
    hub.create_constraint(
        **portfolio, **product, Type="LAUNCH", Parameters=text, IdempotencyToken="again"
    )


@contextmanager
def launched_otherwise(at):
    hub, portfolio, product = held(at)
    found = hub.list_constraints_for_portfolio(**portfolio, **product)["ConstraintDetails"]
    for role in ("seedbed-launch-admin", "seedbed-launch"):
        text = json.dumps({"LocalRoleName": role})
        hub.update_constraint(Id=found[0]["ConstraintId"], Parameters=text)
        if role != "seedbed-launch":
            yield


@contextmanager
def no_product(at):
    with unconstrained(at):
        hub, portfolio, product = held(at)
        hub.disassociate_product_from_portfolio(**portfolio, **product)
        yield
        hub.associate_product_with_portfolio(**portfolio, **product)


@contextmanager
def not_let_in(at):
    hub, portfolio, _ = held(at)
    said = {**portfolio, "PrincipalType": "IAM_PATTERN"}
    said["PrincipalARN"] = f"arn:aws:iam:::role/{SCIENTIST}"
    hub.disassociate_principal_from_portfolio(**said)
    yield
    hub.associate_principal_with_portfolio(**said)


@contextmanager
def crowded(at):
    hub, portfolio, _ = held(at)
    said = {**portfolio, "PrincipalType": "IAM_PATTERN"}
    said["PrincipalARN"] = "arn:aws:iam:::role/another-team"
    hub.associate_principal_with_portfolio(**said)
    yield
    hub.disassociate_principal_from_portfolio(**said)


@contextmanager
def unshared(at):
    hub, portfolio, _ = held(at)
    node = {"OrganizationNode": {"Type": "ORGANIZATIONAL_UNIT", "Value": DEV}}
    settled_share(hub, hub.delete_portfolio_share(**portfolio, **node))
    yield
    settled_share(hub, hub.create_portfolio_share(**portfolio, **node, SharePrincipals=True))


@contextmanager
def shared_alone(at):
    hub, portfolio, _ = held(at)
    node = {"OrganizationNode": {"Type": "ORGANIZATIONAL_UNIT", "Value": DEV}}
    settled_share(hub, hub.update_portfolio_share(**portfolio, **node, SharePrincipals=False))
    yield
    settled_share(hub, hub.update_portfolio_share(**portfolio, **node, SharePrincipals=True))


@contextmanager
def other_bucket(at):
    path = at.checkout / declaration.FILE
    before = path.read_text()
    path.write_text(before + "assets: {bucket: seedbed-other}\n")
    yield
    path.write_text(before)


@contextmanager
def no_cors(at):
    s3 = at.client("s3", "hub")
    rules = s3.get_bucket_cors(Bucket=at.bucket)["CORSRules"]
    s3.delete_bucket_cors(Bucket=at.bucket)
    yield
    s3.put_bucket_cors(Bucket=at.bucket, CORSConfiguration={"CORSRules": rules})


@contextmanager
def untagged_template(at):
    s3, said = at.client("s3", "hub"), {"Bucket": at.bucket, "Key": "studio/model-build-s3.yml"}
    tags = s3.get_object_tagging(**said)["TagSet"]
    s3.delete_object_tagging(**said)
    yield
    s3.put_object_tagging(**said, Tagging={"TagSet": tags})


def no_object(prefix):
    @contextmanager
    def defect(at):
        s3 = at.client("s3", "hub")
        key = s3.list_objects_v2(Bucket=at.bucket, Prefix=prefix)["Contents"][0]["Key"]
        marker = s3.delete_object(Bucket=at.bucket, Key=key)["VersionId"]
        yield
        s3.delete_object(Bucket=at.bucket, Key=key, VersionId=marker)

    return defect


@contextmanager
def garbled(at):
    s3 = at.client("s3", "hub")
    key = s3.list_objects_v2(Bucket=at.bucket, Prefix="manifests/")["Contents"][0]["Key"]
    version = s3.put_object(Bucket=at.bucket, Key=key, Body=b"{")["VersionId"]
    yield
    s3.delete_object(Bucket=at.bucket, Key=key, VersionId=version)


@contextmanager
def closed_bucket(at):
    s3 = at.client("s3", "hub")
    before = s3.get_bucket_policy(Bucket=at.bucket)["Policy"]
    after = json.loads(before)
    after["Statement"] = [one for one in after["Statement"] if one["Effect"] == "Deny"]
    s3.put_bucket_policy(Bucket=at.bucket, Policy=json.dumps(after))
    yield
    s3.put_bucket_policy(Bucket=at.bucket, Policy=before)


@contextmanager
def closed_key(at):
    said = at.client("s3", "hub").head_object(Bucket=at.bucket, Key="studio/model-build-s3.yml")
    kms, key = at.client("kms", "hub"), {"KeyId": said["SSEKMSKeyId"], "PolicyName": "default"}
    before = kms.get_key_policy(**key)["Policy"]
    after = json.loads(before)
    after["Statement"] = [one for one in after["Statement"] if one["Sid"] != "Organisation"]
    kms.put_key_policy(**key, Policy=json.dumps(after))
    yield
    kms.put_key_policy(**key, Policy=before)


@contextmanager
def no_function(at):
    lambda_ = at.client("lambda")
    said = lambda_.get_function_configuration(FunctionName="seedbed-seed")
    same = ("FunctionName", "Runtime", "Handler", "Role", "Environment", "Timeout", "MemorySize")
    lambda_.delete_function(FunctionName="seedbed-seed")
    yield
    lambda_.create_function(
        **{name: said[name] for name in same},
        Code={"S3Bucket": at.bucket, "S3Key": seed_key(at)},
    )


def seed_key(at):
    s3 = at.client("s3", "hub")
    return s3.list_objects_v2(Bucket=at.bucket, Prefix="functions/")["Contents"][0]["Key"]


@contextmanager
def poorer_launch(at):
    iam, role = at.client("iam"), {"RoleName": "seedbed-launch"}
    first = iam.list_attached_role_policies(**role)["AttachedPolicies"][0]["PolicyArn"]
    iam.detach_role_policy(**role, PolicyArn=first)
    yield
    iam.attach_role_policy(**role, PolicyArn=first)


def poorer(role, policy):
    @contextmanager
    def defect(at):
        iam, own = at.client("iam"), {"RoleName": role, "PolicyName": policy}
        before = iam.get_role_policy(**own)["PolicyDocument"]
        iam.delete_role_policy(**own)
        yield
        iam.put_role_policy(**own, PolicyDocument=json.dumps(before))

    return defect


@contextmanager
def silent_rule(at):
    events, rule = at.client("events"), {"Name": "seedbed-seed-failure"}
    events.disable_rule(**rule)
    yield
    events.enable_rule(**rule)


@contextmanager
def no_build(at):
    codebuild = at.client("codebuild")
    said = codebuild.batch_get_projects(names=["seedbed-seed"])["projects"][0]
    same = ("name", "source", "artifacts", "environment", "serviceRole")
    codebuild.delete_project(name="seedbed-seed")
    yield
    codebuild.create_project(**{name: said[name] for name in same})


@contextmanager
def other_code(at):
    codebuild = at.client("codebuild")
    said = codebuild.batch_get_projects(names=["seedbed-seed"])["projects"][0]["environment"]
    after = json.loads(json.dumps(said).replace(seed_key(at), "functions/0/seed.zip"))
    codebuild.update_project(name="seedbed-seed", environment=after)
    yield
    codebuild.update_project(name="seedbed-seed", environment=said)


# What a caller names: a domain, a connection, a VPC


@pytest.fixture(scope="module")
def named(platform):
    """A domain, a connection and a VPC in the spoke, as they should be: their options and ids."""
    vpc = platform.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = platform.client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24")
    wanted = cfn.load((platform.checkout / ENDPOINTS).read_text(), "endpoints")["Metadata"]
    for use in ("Always", "Studio", "CodeCommit", "DataLake"):
        for service in wanted["SeedbedEndpoints"][use]:
            name = service.format(region=REGION)
            kind = "Gateway" if name.endswith(".s3") else "Interface"
            platform.client("ec2").create_vpc_endpoint(
                VpcId=vpc, ServiceName=name, VpcEndpointType=kind
            )
    location = {"Key": LOCATION_TAG, "Value": f"s3://{platform.bucket}/studio/"}
    domain = (
        platform.client("sagemaker")
        .create_domain(
            DomainName="team",
            AuthMode="IAM",
            DefaultUserSettings={"ExecutionRole": f"arn:aws:iam::{platform.dev}:role/{SCIENTIST}"},
            VpcId=vpc,
            SubnetIds=[subnet["Subnet"]["SubnetId"]],
            Tags=[location],
        )["DomainArn"]
        .rpartition("/")[2]
    )
    connection = connect(platform, "team", complete=True)
    return {"--domain": domain, "--connection": connection, "--vpc": vpc}


def connect(platform, name, *, complete, tags=(("sagemaker", "true"),)):
    arn = platform.client("codeconnections").create_connection(
        ProviderType="GitHub",
        ConnectionName=name,
        Tags=[{"Key": key, "Value": value} for key, value in tags],
    )["ConnectionArn"]
    if complete:
        platform.sandbox.complete_connection(arn)
    return arn


@pytest.mark.parametrize("view", ["admin", "scientist"])
def test_what_is_named_is_looked_at(platform, named, view):
    words = [word for pair in named.items() for word in pair]
    results = platform.doctor(view, *words)
    states = {one["check"]: one["state"] for one in results}
    assert states["Studio domain"] == states["connection"] == "ok"
    assert states["VPC endpoints"] == ("ok" if view == "admin" else "unknown")


@pytest.mark.parametrize("view", ["admin", "scientist"])
@pytest.mark.parametrize("stated", [True, False])
def test_a_domain_without_the_templates_is_found(platform, named, view, stated):
    sagemaker, domain = platform.client("sagemaker"), named["--domain"]
    arn = f"arn:aws:sagemaker:{REGION}:{platform.dev}:domain/{domain}"
    tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=[LOCATION_TAG])
    found = of(platform.doctor(view, *(["--domain", domain] if stated else [])), "problem")
    sagemaker.add_tags(ResourceArn=arn, Tags=tags)
    assert [one["check"] for one in found] == ["Studio domain"]
    assert f"Key={LOCATION_TAG},Value=s3://{platform.bucket}/studio/" in found[0]["remedy"]


def test_another_domain_of_the_account_may_serve_another_purpose(platform, named):
    sagemaker = platform.client("sagemaker")
    same = sagemaker.describe_domain(DomainId=named["--domain"])
    keys = ("AuthMode", "DefaultUserSettings", "VpcId", "SubnetIds")
    made = sagemaker.create_domain(DomainName="other", **{key: same[key] for key in keys})
    other = made["DomainArn"].rpartition("/")[2]
    alone = of(platform.doctor("scientist"), "problem")
    stated = of(platform.doctor("scientist", "--domain", other), "problem")
    sagemaker.delete_domain(DomainId=other, RetentionPolicy={"HomeEfsFileSystem": "Delete"})
    assert alone == []
    assert [one["check"] for one in stated] == ["Studio domain"]


@pytest.mark.parametrize(
    ("view", "state", "remedy"),
    [
        ("admin", "pending", "Update pending connection"),
        ("scientist", "pending", "Update pending connection"),
        ("admin", "untagged", "--tags Key=sagemaker,Value=true"),
        ("scientist", "untagged", "--tags Key=sagemaker,Value=true"),
    ],
)
def test_a_connection_that_projects_cannot_use_is_found(platform, view, state, remedy):
    tags = () if state == "untagged" else (("sagemaker", "true"),)
    arn = connect(platform, f"{view}-{state}", complete=state == "untagged", tags=tags)
    found = of(platform.doctor(view, "--connection", arn), "problem")
    platform.client("codeconnections").delete_connection(ConnectionArn=arn)
    assert [one["check"] for one in found] == ["connection"]
    assert remedy in found[0]["remedy"]


def test_a_missing_endpoint_is_found_by_its_name(platform, named):
    empty = of(platform.doctor("admin", "--vpc", "vpc-0"), "problem")
    assert len(empty) == 18
    assert all("is missing in vpc-0" in one["finding"] for one in empty)
    ec2, service = platform.client("ec2"), f"com.amazonaws.{REGION}.sts"
    filters = [{"Name": "service-name", "Values": [service]}]
    known = ec2.describe_vpc_endpoints(Filters=filters)["VpcEndpoints"][0]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[known["VpcEndpointId"]])
    found = of(platform.doctor("admin", "--vpc", named["--vpc"]), "problem")
    ec2.create_vpc_endpoint(VpcId=named["--vpc"], ServiceName=service, VpcEndpointType="Interface")
    assert [one["finding"].split()[1] for one in found] == [service]
    assert "RouteTableIds" in found[0]["remedy"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--as", "boss"), "--as is 'boss': use one of hub, admin, scientist"),
        (("--hub", "12"), "--hub is '12': write an account id"),
        (("--vpc", "net"), "--vpc is 'net'"),
        (("--domain", "x y"), "--domain is 'x y'"),
        (("--connection", "arn:aws:s3:::b"), "--connection is"),
        (("--region", "us-east-1"), "--region us-east-1: not declared"),
        (("--project", "nothing"), "project nothing"),
    ],
)
def test_bad_input_is_one_line(platform, words, said):
    with pytest.raises(SeedbedError, match=re.escape(said)):
        platform.run("dev", "doctor", *words)


# Why a project failed


@pytest.fixture(scope="module")
def failed(platform, tmp_path_factory):
    """A project whose repository was not empty, so that the seeder refused it."""
    bare = platform.sandbox.git_repository("team/taken")
    clone = tmp_path_factory.mktemp("taken")
    (clone / "README.md").write_text("ours\n")
    git(clone, "init", "--quiet")
    commit(clone)
    git(clone, "push", "--quiet", str(bare), "main")
    arn = connect(platform, "taken", complete=True)
    words = ["project", "create", "taken", "--product", "model-build-s3"]
    sets = {
        "ConnectionArn": arn,
        "RepositoryId": "team/taken",
        "DataLocation": "s3://lake/taken/",
        "ModelPackageGroupName": "taken",
    }
    words += [word for pair in sets.items() for word in ("--set", "=".join(pair))]
    with pytest.raises(SeedbedError, match=r"CreateFailed: .*seedbed doctor .* --project taken`"):
        platform.run("dev", *words, role=SCIENTIST)
    with pytest.raises(SeedbedError, match=r"already \(CreateFailed\): .*delete-project.* taken`"):
        platform.run("dev", *words, role=SCIENTIST)
    yield "taken"
    platform.client("sagemaker").delete_project(ProjectName="taken")
    platform.client("codeconnections").delete_connection(ConnectionArn=arn)


def test_a_failed_project_is_explained(platform, failed):
    found = of(platform.doctor("admin", "--project", failed), "problem")
    said = {one["check"]: one for one in found}
    assert list(said) == ["project", "project's stack", "project's repository"]
    assert said["project"]["finding"].startswith("CreateFailed")
    assert said["project's stack"]["finding"].startswith("Repository (Custom::SeedbedRepository)")
    assert "team/taken" in said["project's stack"]["finding"]
    assert "team/taken" in said["project's repository"]["finding"]
    assert all("empty repository" in one["remedy"] for one in found)


# What the sandbox cannot show: AWS's answers by hand


def site_of(answers, view="admin"):
    """Return a site whose clients answer as told: {service: [(method, answer or error code)]}."""
    keys = boto3.Session("AKIAEXAMPLE", "secret", region_name=REGION)
    account = Account(keys, REGION)
    account.id = "222222222222"
    for service, expected in answers.items():
        stub = Stubber(account.client(service))
        for method, said in expected:
            if isinstance(said, dict):
                stub.add_response(method, said)
            else:
                stub.add_client_error(method, said, "You don't have permissions to do it.")
        stub.activate()
    declared = declaration.load(catalog.CHECKOUT / declaration.FILE)
    portfolios = {
        key: one.model_copy(update={"shares": Shares(units=[DEV])})
        for key, one in declared.portfolios.items()
    }
    declared = declared.model_copy(update={"portfolios": portfolios})
    asked = doctor.Asked(hub="222222222222", project="x")
    return doctor.Site(account, declared, catalog.CHECKOUT, asked, view)


def test_organisation_access_that_is_off_is_found():
    answers = [("get_aws_organizations_access_status", {"AccessStatus": "DISABLED"})]
    (found,) = doctor.catalog.organisation_access(site_of({CATALOG: answers}, "hub"))
    assert "enable-aws-organizations-access" in found.remedy


def test_a_hub_that_may_not_ask_the_organisation_is_no_delegated_administrator():
    master = {"Organization": {"MasterAccountId": "1" * 12}}
    answers = [("list_delegated_administrators", "AccessDeniedException")]
    answers.append(("describe_organization", master))
    (found,) = doctor.catalog.delegated(site_of({"organizations": answers}, "hub"))
    assert "register-delegated-administrator" in found.remedy


@pytest.mark.parametrize("decision", ["allowed", "implicitDeny"])
def test_iam_itself_judges_permissions_where_it_may_be_asked(decision):
    said = {"EvaluationResults": [{"EvalActionName": "iam:PassRole", "EvalDecision": decision}]}
    asked = {"iam": [("simulate_principal_policy", said)] * 7}
    site = site_of(asked | {"cloudformation": [("describe_stacks", "ValidationError")]})
    found = list(doctor.roles._permitted(site, f"arn:aws:iam::222222222222:role/{SCIENTIST}"))
    assert [one.text.count(":") for one in found] == ([] if decision == "allowed" else [7])


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({"Action": "iam:*", "Resource": "*"}, True),
        ({"Action": ["iam:passrole"], "Resource": ["arn:aws:iam::1:role/seedbed-*"]}, True),
        ({"Action": "iam:PassRole", "Resource": "arn:aws:iam::1:role/other"}, False),
        ({"Action": "iam:GetRole", "Resource": "*"}, False),
        ({"NotAction": "iam:*", "Resource": "*"}, False),
        (
            {
                "Action": "iam:PassRole",
                "Resource": "*",
                "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
            },
            False,
        ),
        (
            {
                "Action": "iam:PassRole",
                "Resource": "*",
                "Condition": {"StringEquals": {"iam:PassedToService": [doctor.roles.STACKS]}},
            },
            True,
        ),
    ],
)
def test_policies_are_read_where_iam_may_not_be_asked(statement, allowed):
    asked = "iam:PassRole", "arn:aws:iam::1:role/seedbed-launch"
    assert doctor.roles._allows([{"Effect": "Allow", **statement}], *asked) == allowed
    deny = {"Effect": "Deny", **statement}
    both = [{"Effect": "Allow", "Action": "*", "Resource": "*"}, deny]
    assert doctor.roles._allows(both, *asked) == ("Condition" in statement or not allowed)


@pytest.mark.parametrize(
    ("condition", "trusted"),
    [
        ({}, True),
        ({"StringEquals": {"aws:SourceAccount": "1" * 12}}, True),
        ({"StringEquals": {"aws:SourceAccount": ["2" * 12]}}, False),
    ],
)
def test_a_trust_in_another_account_is_none(condition, trusted):
    one = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Condition": condition}
    said = doctor.roles._trusts({"Statement": [one]}, "Service", SERVICE, "1" * 12)
    assert said == trusted


def test_one_template_that_s3_denies_is_missing_and_not_forbidden():
    there = {"TagSet": [{"Key": "sagemaker:studio-visibility", "Value": "true"}]}
    answers = [("get_object_tagging", said) for said in (there, "AccessDenied", there, there)]
    (found,) = doctor.assets.templates(site_of({"s3": answers}, "scientist"))
    assert "model-build-athena.yml is missing or hidden" in found.text
    assert "seedbed publish" in found.remedy


def test_the_first_failed_event_of_a_stack_counts():
    base = {"StackId": "s", "EventId": "e", "StackName": "SP-x", "Timestamp": 0}
    events = [
        {**base, "LogicalResourceId": name, "ResourceType": "T", "ResourceStatus": status}
        | {"ResourceStatusReason": reason}
        for name, status, reason in (
            ("Bucket", "DELETE_FAILED", "not empty"),
            ("Other", "CREATE_FAILED", "Resource creation cancelled"),
            ("Role", "CREATE_FAILED", "not authorized to perform: iam:CreateRole"),
            ("Key", "CREATE_COMPLETE", ""),
        )
    ]
    stack = {"Id": "s", "StatusMessage": "ROLLBACK_COMPLETE"}
    detail = {"TemplateName": "t", "TemplateURL": "https://b/t.yml", "StackDetail": stack}
    project = {
        "ProjectArn": "arn:aws:sagemaker:eu-west-1:222222222222:project/x",
        "ProjectName": "x",
        "ProjectId": "p-x",
        "ProjectStatus": "CreateFailed",
        "CreationTime": 0,
        "TemplateProviderDetails": [{"CfnTemplateProviderDetail": detail}],
    }
    site = site_of(
        {
            "sagemaker": [("describe_project", project)],
            "cloudformation": [("describe_stack_events", {"StackEvents": events})],
        }
    )
    (found,) = doctor.why.stack(site)
    assert found.text.startswith("Role (T) CREATE_FAILED")
    assert "PermissionsBoundaryArn" in found.remedy


def test_iam_is_looked_at_in_the_first_region_only():
    site = site_of({})
    first = {one.name for one in wanted(site)}
    site.first = False
    assert first - {one.name for one in wanted(site)} >= {"launch roles", "permissions"}


def test_the_remedy_brings_back_what_was_deleted_by_hand(platform):
    """Bootstrap alone would not: CloudFormation does not look at what is there."""
    no_role("seedbed-launch")(platform).__enter__()
    (found,) = of(platform.doctor("admin"), "problem")
    name = re.search(r"delete-stack .* --stack-name ([\w-]+)", found["remedy"])[1]
    cloudformation = platform.client("cloudformation")
    id_ = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    cloudformation.delete_stack(StackName=name)
    waiter = cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName=id_, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    said = re.search(r"`seedbed (bootstrap [^`]*)`", found["remedy"])[1]
    platform.run("dev", *said.split(), "--yes")
    assert of(platform.doctor("admin"), "problem") == []


HUB = [
    (no_delegation, "delegated administrator", "register-delegated-administrator"),
    (no_role("seedbed-launch", "hub"), "launch roles", "seedbed bootstrap hub"),
    (distrusted("seedbed-launch", SERVICE, "hub"), "launch roles' trust", "seedbed bootstrap hub"),
    (untagged_product, "visibility tag", "seedbed publish"),
    (withdrawn, "versions", "seedbed publish"),
    (unconstrained, "launch constraints", "seedbed publish"),
    (launched_otherwise, "launch constraints", "seedbed publish"),
    (no_product, "products", "seedbed publish"),
    (not_let_in, "principals", "seedbed publish"),
    (crowded, "quotas", "common prefix"),
    (unshared, "shares", "seedbed publish"),
    (shared_alone, "shares", "seedbed publish"),
    (other_bucket, "asset bucket, permissions", "seedbed bootstrap hub"),
    (no_cors, "CORS", "seedbed publish"),
    (untagged_template, "templates in S3", "drops tags"),
    (no_object("studio/"), "templates in S3", "seedbed publish"),
    (no_object("bundles/"), "release", "seedbed publish"),
]
ADMIN = [
    (no_role("seedbed-launch"), "launch roles", "stack-name seedbed-spoke-roles"),
    (no_role("seedbed-inventory"), "inventory role", "stack-name seedbed-spoke-roles"),
    (no_role("seedbed-ml-engineer"), "users' roles", "stack-name seedbed-spoke-users"),
    (distrusted("seedbed-launch", "cloudformation"), "launch roles' trust", "bootstrap spoke"),
    (distrusted("seedbed-inventory", "222222222222"), "inventory role", "bootstrap spoke"),
    (refusing("iam:PassRole"), "permissions", "seedbed-projects"),
    (refusing("s3:GetObjectTagging"), "permissions", "seedbed-projects"),
    (refusing("cloudformation:TagResource"), "permissions", "seedbed-projects"),
    (no_project_policy, "permissions", "seedbed-projects"),
    (bounded, "permissions boundary", "PermissionsBoundaryArn="),
    (governed, "Lake Formation", "administrator of Lake Formation"),
    (unshared, "portfolios", "shares.units"),
    (not_let_in, "principals", "seedbed publish"),
    (no_product, "products", "seedbed publish"),
    (untagged_template, "templates in S3", "drops tags"),
    (no_object("bundles/"), "release", "seedbed publish"),
    (no_object("studio/"), "templates in S3", "seedbed publish"),
    (no_object("manifests/"), "release", "seedbed publish"),
    (garbled, "release", "aws s3 rm"),
    (closed_bucket, "release", "OrganizationPaths"),
    (closed_key, "asset key", "kms:Decrypt"),
    (poorer_launch, "launch roles", "stack-name seedbed-spoke-roles"),
    (poorer("seedbed-inventory", "inventory"), "inventory role", "stack-name seedbed-spoke-roles"),
    (
        poorer("seedbed-seed-build-eu-west-1", "release"),
        "seeder",
        "stack-name seedbed-spoke-seeder",
    ),
    (silent_rule, "seeder", "stack-name seedbed-spoke-seeder"),
    (no_function, "seeder", "stack-name seedbed-spoke-seeder"),
    (no_build, "seeder", "stack-name seedbed-spoke-seeder"),
    (other_code, "seeder's code", "check out"),
]
SEEN = [
    (unshared, "portfolios", "shares.units"),
    (not_let_in, "products seen", "principals"),
    (withdrawn, "products seen", "seedbed publish"),
    (unconstrained, "products seen", "seedbed publish"),
    (untagged_template, "templates in S3", "drops tags"),
    (no_object("studio/"), "templates in S3", "seedbed publish"),
    (refusing("s3:GetObjectTagging"), "templates in S3", "seedbed-projects"),
    (refusing("servicecatalog:*"), "products seen", "seedbed-projects"),
    (closed_bucket, "templates in S3", "OrganizationPaths"),
    (closed_key, "asset key", "kms:Decrypt"),
]
CASES = [
    pytest.param(view, *case, id=f"{view}-{case[0].__name__}-{case[1]}".replace(" ", "-"))
    for view, cases in (("hub", HUB), ("admin", ADMIN), ("scientist", SEEN))
    for case in cases
]


@pytest.mark.parametrize(("view", "defect", "check", "remedy"), CASES)
def test_a_defect_is_found_alone_with_its_remedy(platform, view, defect, check, remedy):
    with defect(platform):
        found = of(platform.doctor(view), "problem")
    assert ", ".join(sorted({one["check"] for one in found})) == check, found
    assert all(remedy in one["remedy"] for one in found), found
