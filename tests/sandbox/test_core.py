"""The front, the world and every hook into moto, through unmodified boto3."""

from __future__ import annotations

import json

import boto3
import moto
import pytest
import requests
from access import allow, document, make_role, refused, trusting

from seedbed.sandbox import moto_hooks, moto_state, protocol
from seedbed.sandbox.identity import root, service_principal
from seedbed.sandbox.organisation import Organisation
from seedbed.sandbox.server import Server
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.world import World

pytestmark = pytest.mark.filterwarnings("ignore:.*does not match an error shape")
REGION = "eu-west-1"
HERE = {"LocationConstraint": REGION}


@pytest.fixture
def local(tmp_path):
    """A world in this process, to look inside."""
    server = Server(World(tmp_path / "w")).start()
    yield server
    server.stop()


@pytest.fixture
def world(local):
    return local.world


class Shelf(Service):
    """A service of ours in front of moto's Organizations... under a name that moto has too."""

    name = "codeconnections"

    def list_hosts(self, ctx, MaxResults=1):
        self.state(ctx).setdefault("asked", []).append(ctx.session_name)
        return {"Hosts": [{"Name": f"{ctx.account}/{MaxResults}"}]}

    def get_host(self, ctx, HostArn):
        raise ServiceError("ResourceNotFoundException", f"no {HostArn}")

    def create_host(self, ctx, **params):
        raise unsupported(f"a host of type {params['ProviderType']}")

    def list_connections(self, ctx):
        return {"Conections": []}

    def get_connection(self, ctx, ConnectionArn):
        return 1 / 0


@pytest.fixture
def shelf(local):
    made = Shelf(local.world)
    local.front.services._made["codeconnections"] = made
    return made


def admin(world, service, account="dev"):
    number = world.account_id(account)
    return world.client(service, world.session_of(root(number)))


# The organisation


def test_the_organisation_is_moto_s_too(sandbox):
    client = sandbox.client("organizations", "management")
    accounts = {one["Name"]: one["Id"] for one in client.list_accounts()["Accounts"]}
    assert accounts == {n: a.id for n, a in sandbox.organisation.accounts.items()}
    assert client.describe_organization()["Organization"]["Id"] == "o-seedbed0001"
    parent = client.list_parents(ChildId=sandbox.account("dev"))["Parents"][0]["Id"]
    assert parent == "ou-seed-workloadsdev"
    above = client.list_parents(ChildId=parent)["Parents"][0]["Id"]
    assert sandbox.organisation.path(sandbox.account("dev")).endswith(f"{above}/{parent}/")


def test_only_who_administers_the_organisation_reads_and_changes_it(sandbox):
    master, hub = (sandbox.client("organizations", one) for one in ("management", "hub"))
    assert hub.describe_organization()["Organization"]["MasterAccountId"] == sandbox.account(
        "management"
    )
    unit = {"ParentId": "r-seed", "Name": "mine"}
    for call in (hub.list_accounts, lambda: hub.create_organizational_unit(**unit)):
        with refused("AccessDeniedException", "permissions"):
            call()
    master.register_delegated_administrator(
        AccountId=sandbox.account("hub"), ServicePrincipal="servicecatalog.amazonaws.com"
    )
    assert len(hub.list_accounts()["Accounts"]) == len(sandbox.organisation.accounts)
    with refused("AccessDeniedException", "permissions"):
        hub.create_organizational_unit(**unit)
    units = master.list_organizational_units_for_parent(ParentId="r-seed")["OrganizationalUnits"]
    assert "mine" not in {one["Name"] for one in units}


def test_each_account_has_its_admin_role_and_nothing_else(sandbox):
    for name, account in sandbox.organisation.accounts.items():
        roles = sandbox.client("iam", name).list_roles()["Roles"]
        assert [role["RoleName"] for role in roles] == ["seedbed-admin"]
        arn = sandbox.admin_role(name)
        who = sandbox.client("sts", "hub", role=arn).get_caller_identity()
        assert who["Account"] == account.id


def test_an_organisation_from_a_file(tmp_path):
    path = tmp_path / "org.yml"
    path.write_text(
        "accounts:\n  management: {id: '999999999999'}\n  lab: {id: '888888888888', ou: a/b}\n"
    )
    said = Organisation.load(path)
    assert said.path("888888888888") == "o-seedbed0001/r-seed/ou-seed-a0000000/ou-seed-ab000000/"
    assert said.path("123456789012") is None


def test_one_world_s_tree_does_not_stay_for_the_next(tmp_path):
    path = tmp_path / "org.yml"
    path.write_text("accounts: {management: {id: '222222222222'}}")
    for organisation in (Organisation.load(), Organisation.load(path)):
        moto_hooks.reset(World(tmp_path / "w", organisation))


BAD = {
    "accounts: [x]": "mapping",
    "accounts: {management: {id: 12}}": "twelve digits",
    "accounts: {lab: {id: '888888888888'}}": "management",
    "accounts: {management: {id: '888888888888'}, a: {id: '888888888888'}}": "one id",
    "{": "YAML",
}


@pytest.mark.parametrize(("text", "word"), BAD.items())
def test_a_bad_organisation_file_is_told_in_one_line(tmp_path, text, word):
    path = tmp_path / "org.yml"
    path.write_text(text)
    with pytest.raises(Exception, match=word):
        Organisation.load(path)


# Who calls


def test_accounts_are_apart(sandbox):
    sandbox.client("sqs", "dev").create_queue(QueueName="q")
    assert "QueueUrls" not in sandbox.client("sqs", "test").list_queues()
    assert sandbox.client("sqs", "dev").list_queues()["QueueUrls"]


def test_regions_are_apart(sandbox):
    sandbox.client("sqs", "dev", region="us-east-1").create_queue(QueueName="q")
    assert "QueueUrls" not in sandbox.client("sqs", "dev").list_queues()


def test_an_unknown_key_is_nobody(sandbox):
    stranger = {"aws_access_key_id": "AKIAABCDEFGHIJKLMNOP", "aws_secret_access_key": "x"}
    client = boto3.client("sts", endpoint_url=sandbox.endpoint, region_name=REGION, **stranger)
    with refused("InvalidClientTokenId"):
        client.get_caller_identity()


def test_a_role_s_key_without_its_token_is_nobody(sandbox):
    key = sandbox.credentials("dev", make_role(sandbox, "r")) | {"aws_session_token": "x"}
    with refused("InvalidClientTokenId"):
        boto3.client(
            "sts", endpoint_url=sandbox.endpoint, region_name=REGION, **key
        ).get_caller_identity()


def test_a_user_s_key_works(sandbox):
    iam = sandbox.client("iam")
    iam.create_user(UserName="ann")
    iam.put_user_policy(
        UserName="ann", PolicyName="p", PolicyDocument=document(allow("sqs:ListQueues"))
    )
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    said = {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }
    made = {
        name: boto3.client(name, endpoint_url=sandbox.endpoint, region_name=REGION, **said)
        for name in ("sts", "sqs")
    }
    assert made["sts"].get_caller_identity()["Arn"].endswith(":user/ann")
    made["sqs"].list_queues()
    with refused("AccessDenied", "sqs:CreateQueue"):
        made["sqs"].create_queue(QueueName="q")


def test_credentials_expire_with_the_sandbox_s_clock(sandbox):
    client = sandbox.client("sts", "dev", role=make_role(sandbox, "r"))
    client.get_caller_identity()
    sandbox.advance(3601)
    with refused("ExpiredTokenException"):
        client.get_caller_identity()


def test_trust_is_checked_with_its_conditions(sandbox):
    trust = trusting(
        {"AWS": f"arn:aws:iam::{sandbox.account('hub')}:root"},
        Condition={"StringEquals": {"sts:ExternalId": "42"}},
    )
    arn = make_role(sandbox, "r", trust=trust)
    sts = sandbox.client("sts", "hub")
    with refused("AccessDenied", "sts:AssumeRole"):
        sts.assume_role(RoleArn=arn, RoleSessionName="s-s")
    sts.assume_role(RoleArn=arn, RoleSessionName="s-s", ExternalId="42")
    with refused("AccessDenied"):
        sandbox.client("sts", "test").assume_role(
            RoleArn=arn, RoleSessionName="s-s", ExternalId="42"
        )


def test_a_service_assumes_a_role_by_its_trust(world):
    trust = trusting(
        {"Service": "codebuild.amazonaws.com"},
        Condition={"StringEquals": {"aws:SourceAccount": world.account_id("dev")}},
    )
    arn = admin(world, "iam").create_role(RoleName="b", AssumeRolePolicyDocument=trust)["Role"]
    ctx = world.context("codebuild", world.account_id("dev"))
    assert ":assumed-role/b/" in ctx.client("sts", role_arn=arn["Arn"]).get_caller_identity()["Arn"]
    for account, service in (("test", "codebuild"), ("dev", "lambda")):
        other = world.context(service, world.account_id(account))
        with refused("AccessDenied"):
            other.client("sts", role_arn=arn["Arn"])
    assert ctx.environment(role_arn=arn["Arn"])["AWS_ENDPOINT_URL"] == world.endpoint


def test_session_policies_and_tags_count(sandbox):
    arn = make_role(
        sandbox,
        "r",
        allow("sqs:*", "arn:aws:sqs:*:*:${aws:PrincipalTag/team}-*"),
        trust=document(
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{sandbox.account('dev')}:root"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
            }
        ),
    )
    narrow = document(allow("sqs:CreateQueue"))
    sqs = sandbox.client("sqs", role=arn, Tags=[{"Key": "team", "Value": "a"}], Policy=narrow)
    made = sqs.create_queue(QueueName="a-q")
    with refused("AccessDenied", "sqs:CreateQueue", "b-q"):
        sqs.create_queue(QueueName="b-q")
    with refused("AccessDenied", "session policy"):
        sqs.delete_queue(QueueUrl=made["QueueUrl"])


# Our services in front


@pytest.mark.usefixtures("shelf")
def test_ours_answers_and_moto_is_behind(world):
    ctx = world.context("x", world.account_id("dev"))
    assert ctx.client("codeconnections").list_hosts(MaxResults=3)["Hosts"] == [
        {"Name": "333333333333/3"}
    ]
    assert world.stores("codeconnections") == {("333333333333", REGION): {"asked": [""]}}


@pytest.mark.usefixtures("shelf")
def test_errors_have_the_model_s_status(world):
    client = admin(world, "codeconnections")
    with refused("ResourceNotFoundException") as caught:
        client.get_host(HostArn="arn:aws:codeconnections:eu-west-1:333333333333:host/x")
    assert type(caught.value) is client.exceptions.ResourceNotFoundException


@pytest.mark.usefixtures("shelf")
def test_what_is_not_emulated_is_named_and_not_retried(world):
    client = admin(world, "codeconnections")
    calls = len(world.calls)
    with refused("NotImplementedInSandbox", "GitHub"):
        client.create_host(Name="n", ProviderType="GitHub", ProviderEndpoint="https://x")
    with refused("NotImplementedInSandbox", "NextToken of codeconnections:ListHosts"):
        client.list_hosts(NextToken="x")
    with refused("NotImplementedInSandbox", "codeconnections:ListRepositoryLinks"):
        client.list_repository_links()
    assert len(world.calls) == calls + 3
    assert world.calls[-1].status == 501


@pytest.mark.usefixtures("shelf")
def test_our_own_mistakes_are_told(world):
    client = admin(world, "codeconnections")
    with refused("SandboxDefect", "Conections"):
        client.list_connections()
    with refused("SandboxDefect", "ZeroDivisionError"):
        client.get_connection(
            ConnectionArn="arn:aws:codeconnections:eu-west-1:333333333333:connection/x"
        )


REFUSED = {
    "json": ("sagemaker", "list_flow_definitions", {}),
    "rest-json": ("datazone", "list_domains", {}),
    "query": ("iam", "get_organizations_access_report", {"JobId": "x" * 36}),
    "ec2": ("ec2", "describe_ipam_policies", {}),
    "rest-xml": ("s3", "list_bucket_analytics_configurations", {"Bucket": "bucket-a"}),
    "a service that moto lacks": ("codestar-notifications", "list_targets", {}),
}


@pytest.mark.parametrize(("service", "method", "params"), REFUSED.values(), ids=REFUSED)
def test_an_operation_that_moto_lacks_is_refused_by_name(sandbox, service, method, params):
    client = sandbox.client(service)
    if service == "s3":
        client.create_bucket(Bucket="bucket-a", CreateBucketConfiguration=HERE)
    name = client.meta.method_to_api_mapping[method]
    with refused("NotImplementedInSandbox", f"{service}:{name}") as caught:
        getattr(client, method)(**params)
    metadata = caught.value.response["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == (501, 0)


@pytest.mark.parametrize(
    ("service", "method", "params"),
    [
        ("sqs", "list_queues", {}),
        ("cloudwatch", "list_metrics", {}),
        ("ec2", "describe_subnets", {}),
        ("lambda", "list_layers", {}),
        ("s3", "list_buckets", {}),
        ("dynamodb", "list_tables", {}),
        ("stepfunctions", "list_state_machines", {}),
        ("resourcegroupstaggingapi", "get_resources", {}),
        ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "sagemaker"}),
    ],
)
def test_every_protocol_and_alias_reaches_moto(sandbox, service, method, params):
    getattr(sandbox.client(service), method)(**params)
    (call,) = sandbox.calls()
    assert (call["service"], call["status"]) == (service, 200)


def test_objects_pass_unharmed(sandbox):
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="bucket-a", CreateBucketConfiguration=HERE)
    body = bytes(range(256)) * 5000
    s3.put_object(Bucket="bucket-a", Key="a b/ü+?.bin", Body=body, Metadata={"some_key": "v"})
    got = s3.get_object(Bucket="bucket-a", Key="a b/ü+?.bin")
    assert (got["Body"].read(), got["Metadata"]) == (body, {"some_key": "v"})
    assert s3.head_object(Bucket="bucket-a", Key="a b/ü+?.bin")["ContentLength"] == len(body)
    listed = s3.list_objects_v2(Bucket="bucket-a", Prefix="a b/")["Contents"]
    assert [one["Key"] for one in listed] == ["a b/ü+?.bin"]


def test_a_presigned_url_is_its_signer(sandbox):
    arn = make_role(sandbox, "r", allow("s3:PutObject", "arn:aws:s3:::bucket-a/ok/*"))
    sandbox.client("s3").create_bucket(Bucket="bucket-a", CreateBucketConfiguration=HERE)
    signer = sandbox.client("s3", role=arn)

    def put(key):
        url = signer.generate_presigned_url("put_object", {"Bucket": "bucket-a", "Key": key})
        return requests.put(url, data=b"x", timeout=60).status_code

    assert (put("ok/x"), put("other")) == (200, 403)


def test_secrets_are_not_logged(sandbox):
    sandbox.client("secretsmanager").create_secret(Name="n", SecretString="hush")
    assert "hush" not in json.dumps(sandbox.calls())
    assert protocol.summary({"Body": b"12", "Long": "x" * 999})["Body"] == "<2 bytes>"


# IAM end to end


def test_a_denied_call_fails_as_in_aws(sandbox):
    arn = make_role(sandbox, "r", allow("s3:GetObject", "arn:aws:s3:::bucket-a/*"))
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="bucket-a", CreateBucketConfiguration=HERE)
    s3.put_object(Bucket="bucket-a", Key="k", Body=b"x")
    role = sandbox.client("s3", role=arn)
    role.get_object(Bucket="bucket-a", Key="k")
    with refused("AccessDenied", "s3:PutObject", "arn:aws:s3:::bucket-a/k", "assumed-role/r/"):
        role.put_object(Bucket="bucket-a", Key="k", Body=b"y")
    with refused("AccessDenied", "s3:ListBucket"):
        role.get_object(Bucket="bucket-a", Key="absent")
    with refused("AccessDeniedException", "sagemaker:ListModels"):
        sandbox.client("sagemaker", role=arn).list_models()
    with refused("403"):
        role.head_object(Bucket="bucket-a", Key="absent")


def test_a_bucket_across_accounts_needs_both_sides(sandbox):
    hub = sandbox.client("s3", "hub")
    hub.create_bucket(Bucket="assets", CreateBucketConfiguration=HERE)
    hub.put_object(Bucket="assets", Key="k", Body=b"x")
    arn = make_role(sandbox, "r", allow("s3:GetObject"))
    with refused("AccessDenied", "across accounts"):
        sandbox.client("s3", role=arn).get_object(Bucket="assets", Key="k")
    path = sandbox.organisation.path(sandbox.account("dev"))
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::assets/*",
        "Condition": {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{path}*"}},
    }
    hub.put_bucket_policy(Bucket="assets", Policy=document(statement))
    sandbox.client("s3", role=arn).get_object(Bucket="assets", Key="k")
    with refused("AccessDenied", "no identity-based policy"):
        sandbox.client("s3", role=make_role(sandbox, "r2")).get_object(Bucket="assets", Key="k")
    other = make_role(sandbox, "r", allow("s3:GetObject"), account="test")
    with refused("AccessDenied"):
        sandbox.client("s3", "test", role=other).get_object(Bucket="assets", Key="k")


def test_an_encrypted_bucket_needs_its_key(sandbox):
    s3, kms = sandbox.client("s3"), sandbox.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="bucket-a", CreateBucketConfiguration=HERE)
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    s3.put_bucket_encryption(
        Bucket="bucket-a",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default}]
        },
    )
    s3.put_object(Bucket="bucket-a", Key="k", Body=b"x")
    head = s3.head_object(Bucket="bucket-a", Key="k")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    bare = make_role(sandbox, "bare", allow("s3:*"))
    with refused("AccessDenied", "kms:Decrypt", key):
        sandbox.client("s3", role=bare).get_object(Bucket="bucket-a", Key="k")
    with refused("AccessDenied", "kms:GenerateDataKey", key):
        sandbox.client("s3", role=bare).put_object(Bucket="bucket-a", Key="l", Body=b"x")
    via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    actions = ["kms:Decrypt", "kms:GenerateDataKey"]
    full = make_role(sandbox, "full", allow("s3:*"), allow(actions, key, Condition=via))
    client = sandbox.client("s3", role=full)
    client.put_object(Bucket="bucket-a", Key="l", Body=b"x")
    client.get_object(Bucket="bucket-a", Key="k")
    client.upload_file(__file__, "bucket-a", "m")
    with refused("AccessDeniedException", "kms:Decrypt"):
        blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        sandbox.client("kms", role=full).decrypt(CiphertextBlob=blob)


def test_a_role_is_passed_only_where_it_may(sandbox):
    target = make_role(sandbox, "exec", trust=trusting({"Service": "sagemaker.amazonaws.com"}))
    wanted = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    model = {"ModelName": "m", "ExecutionRoleArn": target, "PrimaryContainer": {"Image": "i"}}
    create = allow("sagemaker:CreateModel", "arn:aws:sagemaker:*:*:model/m")
    without = make_role(sandbox, "without", create)
    elsewhere = make_role(sandbox, "else", create, allow("iam:PassRole", target, Condition=wanted))
    may = make_role(sandbox, "may", create, allow("iam:PassRole", target))
    for role in (without, elsewhere):
        with refused("AccessDeniedException", "iam:PassRole", target):
            sandbox.client("sagemaker", role=role).create_model(**model)
    sandbox.client("sagemaker", role=may).create_model(**model)
    with refused("AccessDeniedException", "sagemaker:CreateModel", "model/other"):
        sandbox.client("sagemaker", role=may).create_model(**{**model, "ModelName": "other"})


def test_tags_at_creation_and_on_the_resource(sandbox):
    tagged = allow(
        ["sqs:CreateQueue", "sqs:TagQueue"],
        Condition={"StringEquals": {"aws:RequestTag/team": "a"}},
    )
    owned = allow("sqs:DeleteQueue", Condition={"StringEquals": {"aws:ResourceTag/team": "a"}})
    sqs = sandbox.client("sqs", role=make_role(sandbox, "r", tagged, owned))
    with refused("AccessDenied", "sqs:CreateQueue"):
        sqs.create_queue(QueueName="q")
    mine = sqs.create_queue(QueueName="q", tags={"team": "a"})["QueueUrl"]
    theirs = sandbox.client("sqs").create_queue(QueueName="p", tags={"team": "b"})["QueueUrl"]
    with refused("AccessDenied", "sqs:DeleteQueue"):
        sqs.delete_queue(QueueUrl=theirs)
    sqs.delete_queue(QueueUrl=mine)


def test_a_boundary_cuts(sandbox):
    limit = sandbox.client("iam").create_policy(
        PolicyName="limit", PolicyDocument=document(allow("sqs:ListQueues"))
    )["Policy"]["Arn"]
    arn = make_role(sandbox, "r", allow("*"), PermissionsBoundary=limit)
    sqs = sandbox.client("sqs", role=arn)
    sqs.list_queues()
    with refused("AccessDenied", limit):
        sqs.create_queue(QueueName="q")


def test_aws_s_own_policies_can_be_attached(sandbox):
    arn = make_role(sandbox, "r")
    iam = sandbox.client("iam")
    managed = "arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess"
    iam.attach_role_policy(RoleName="r", PolicyArn=managed)
    sqs = sandbox.client("sqs", role=arn)
    sqs.list_queues()
    with refused("AccessDenied"):
        sqs.create_queue(QueueName="q")
    with refused("NoSuchEntity"):
        iam.attach_role_policy(RoleName="r", PolicyArn=managed + "X")


def test_an_unknown_key_in_a_policy_is_named(sandbox):
    odd = allow("sqs:*", Condition={"StringEquals": {"aws:MoonPhase": "full"}})
    with refused("AccessDenied", "undecided", "aws:MoonPhase", "r/own#0"):
        sandbox.client("sqs", role=make_role(sandbox, "r", odd)).list_queues()


def test_a_call_whose_resource_is_not_known_is_refused(sandbox):
    arn = make_role(sandbox, "r", allow("*"))
    with refused("AccessDenied", "undecided", "GetContextKeysForPrincipalPolicy"):
        sandbox.client("iam", role=arn).get_context_keys_for_principal_policy(PolicySourceArn=arn)


def test_an_allowed_foreign_resource_is_its_owner_s(sandbox):
    sqs = sandbox.client("sqs", "hub")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = make_role(sandbox, "r", allow("sqs:SendMessage"))
    statement = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sqs:SendMessage"}
    statement["Resource"] = f"arn:aws:sqs:{REGION}:{sandbox.account('hub')}:q"
    with refused("AccessDenied"):
        sandbox.client("sqs", role=arn).send_message(QueueUrl=url, MessageBody="x")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})
    sandbox.client("sqs", role=arn).send_message(QueueUrl=url, MessageBody="x")
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"


# Contracts with moto


def test_the_pins_hold():
    assert (moto.__version__, boto3.__version__) == ("5.2.5", "1.44.5")


def test_moto_s_policies_are_read(world):
    hub = world.account_id("hub")
    said = document({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})
    sqs, sns = admin(world, "sqs", "hub"), admin(world, "sns", "hub")
    url = sqs.create_queue(QueueName="q", Attributes={"Policy": said})["QueueUrl"]
    topic = sns.create_topic(Name="t", Attributes={"Policy": said})["TopicArn"]
    key = admin(world, "kms", "hub").create_key(Policy=said)["KeyMetadata"]["Arn"]
    events = admin(world, "events", "hub")
    bus = events.create_event_bus(Name="b")["EventBusArn"]
    events.put_permission(
        EventBusName="b",
        Policy=said.replace('"Action": "*"', '"Sid": "s", "Action": "events:PutEvents"').replace(
            '"Resource": "*"', f'"Resource": "{bus}"'
        ),
    )
    secret = admin(world, "secretsmanager", "hub").create_secret(Name="s", SecretString="x")["ARN"]
    admin(world, "secretsmanager", "hub").put_resource_policy(SecretId=secret, ResourcePolicy=said)
    ecr = admin(world, "ecr", "hub")
    image = ecr.create_repository(repositoryName="repo")["repository"]["repositoryArn"]
    ecr.set_repository_policy(repositoryName="repo", policyText=said)
    s3 = admin(world, "s3", "hub")
    s3.create_bucket(Bucket="bucket-a", CreateBucketConfiguration=HERE)
    s3.put_bucket_policy(Bucket="bucket-a", Policy=said)
    arns = [f"arn:aws:sqs:{REGION}:{hub}:q", topic, key, bus, secret, image]
    for arn in [*arns, "arn:aws:s3:::bucket-a", "arn:aws:s3:::bucket-a/k"]:
        assert json.loads(moto_state.resource_policy(arn))["Statement"], arn
    assert url.endswith(f"{hub}/q")
    assert moto_state.resource_policy("arn:aws:s3:::none") is None


def test_moto_s_names_are_resolved(world):
    dev = world.account_id("dev")
    kms, lookup = admin(world, "kms"), moto_state.MotoLookup()
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/a", TargetKeyId=key["KeyId"])
    for name in (key["KeyId"], key["Arn"], "alias/a", f"arn:aws:kms:{REGION}:{dev}:alias/a"):
        assert lookup.key_arn(dev, REGION, name) == key["Arn"]
    assert lookup.key_arn(dev, REGION, "alias/aws/s3") is None
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    assert lookup.ciphertext_key(dev, REGION, blob) == key["Arn"]
    assert lookup.ciphertext_key(dev, REGION, b"junk") is None
    iam = admin(world, "iam")
    iam.create_role(RoleName="r", Path="/p/", AssumeRolePolicyDocument=trusting("*"))
    assert lookup.iam_arn(dev, "role", "r") == f"arn:aws:iam::{dev}:role/p/r"
    secret = admin(world, "secretsmanager").create_secret(Name="s", SecretString="x", KmsKeyId="k")
    assert lookup.secret_arn(dev, REGION, "s") == secret["ARN"]
    assert lookup.secret_key(dev, REGION, secret["ARN"]) == "k"
    assert moto_state.tags(key["Arn"], REGION) == {}
    athena = admin(world, "athena")
    athena.create_work_group(
        Name="g", Configuration={"ResultConfiguration": {"OutputLocation": "s3://b/"}}
    )
    query = athena.create_named_query(Name="q", Database="d", QueryString="select 1", WorkGroup="g")
    assert lookup.workgroup(dev, REGION, query["NamedQueryId"]) == "g"
    assert lookup.workgroup(dev, REGION, "none") is None


def test_moto_s_tags_are_read(world):
    admin(world, "iam").create_role(
        RoleName="r",
        AssumeRolePolicyDocument=trusting("*"),
        Tags=[{"Key": "a", "Value": "b"}],
    )
    dev = world.account_id("dev")
    assert moto_state.tags(f"arn:aws:iam::{dev}:role/r", REGION) == {"a": "b"}
    topic = admin(world, "sns").create_topic(Name="t", Tags=[{"Key": "a", "Value": "b"}])
    assert moto_state.tags(topic["TopicArn"], REGION) == {"a": "b"}
    assert moto_state.tags(f"arn:aws:codebuild:{REGION}:{dev}:project/p", REGION) is None


def test_the_account_header_decides(world):
    ctx = world.context("sqs", world.account_id("prod"))
    Service.name = "sqs"
    try:
        Service(world).forward(ctx, "CreateQueue", {"QueueName": "q"})
    finally:
        del Service.name
    assert admin(world, "sqs", "prod").list_queues()["QueueUrls"]
    assert [call.operation for call in world.calls] == ["ListQueues"]


def test_moto_is_asked_only_for_what_it_has():
    assert moto_hooks.has_service("lambda")
    assert moto_hooks.has_service("resourcegroupstaggingapi")
    assert not moto_hooks.has_service("codeconnections")


def test_a_bucket_logs_before_its_target_has_a_policy(sandbox):
    s3 = sandbox.client("s3")
    for name in ("bucket-a", "logs-a"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=HERE)
    principal = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject"}
    s3.put_bucket_policy(
        Bucket="logs-a", Policy=document({**principal, "Resource": "arn:aws:s3:::logs-a/*"})
    )
    said = {"LoggingEnabled": {"TargetBucket": "logs-a", "TargetPrefix": "a/"}}
    s3.put_bucket_logging(Bucket="bucket-a", BucketLoggingStatus=said)
    assert s3.get_bucket_logging(Bucket="bucket-a")["LoggingEnabled"] == said["LoggingEnabled"]


def test_reset_forgets_everything_and_repeats_its_ids(world, local):
    def run():
        made = admin(world, "kms").create_key()["KeyMetadata"]["KeyId"]
        return made, world.token(8), world.uuid()

    first = run()
    (world.path("x") / "f").write_text("x")
    assert run() != first
    local.front.reset()
    assert not list(world.folder.iterdir())
    assert world.calls == []
    assert run() == first


def test_a_service_principal_is_judged_by_resource_policies(world):
    dev = world.account_id("dev")
    url = admin(world, "sqs").create_queue(QueueName="q")["QueueUrl"]
    ctx = world.context("events", dev)
    sqs = ctx.client("sqs", as_service="events.amazonaws.com", source_arn="arn:aws:events:x")
    with refused("AccessDenied"):
        sqs.send_message(QueueUrl=url, MessageBody="x")
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
        "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:events:eu-west-1:3:rule/r"}},
    }
    admin(world, "sqs").set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": document(statement)}
    )
    with refused("AccessDenied"):
        sqs.send_message(QueueUrl=url, MessageBody="x")
    right = service_principal(dev, "events.amazonaws.com", "arn:aws:events:eu-west-1:3:rule/r")
    world.client("sqs", world.session_of(right)).send_message(QueueUrl=url, MessageBody="x")


def test_one_request_assumes_a_role_once(world):
    trust = trusting({"Service": "codebuild.amazonaws.com"})
    made = admin(world, "iam").create_role(RoleName="b", AssumeRolePolicyDocument=trust)["Role"]
    for _ in range(2):
        ctx = world.context("codebuild", world.account_id("dev"))
        for service in ("sts", "sqs", "sts"):
            ctx.client(service, role_arn=made["Arn"])
    assert [call.operation for call in world.calls].count("AssumeRole") == 2


def test_identity_policies_do_not_reach_a_key_that_trusts_only_one_role(sandbox):
    one, other = (make_role(sandbox, name, allow("kms:*")) for name in ("one", "other"))
    statement = {"Effect": "Allow", "Principal": {"AWS": one}, "Action": "kms:*", "Resource": "*"}
    key = sandbox.client("kms").create_key(Policy=document(statement))["KeyMetadata"]["KeyId"]
    sandbox.client("kms", role=one).encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException", "key policy"):
        sandbox.client("kms", role=other).encrypt(KeyId=key, Plaintext=b"x")


def test_a_bucket_policy_is_ours_to_judge(sandbox):
    """Moto knows no conditions: it would let nobody put anything into a TLS-only bucket."""
    s3 = sandbox.client("s3", "dev")
    s3.create_bucket(Bucket="tls-only", CreateBucketConfiguration={"LocationConstraint": REGION})
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::tls-only/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    s3.put_bucket_policy(Bucket="tls-only", Policy=json.dumps(policy))
    s3.put_object(Bucket="tls-only", Key="k", Body=b"x")
    assert s3.get_object(Bucket="tls-only", Key="k")["Body"].read() == b"x"


def test_an_objects_own_tags_decide(sandbox):
    s3 = sandbox.client("s3")
    place = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="tagged-bucket", CreateBucketConfiguration=place)
    open_ = {"TagSet": [{"Key": "open", "Value": "yes"}]}
    s3.put_bucket_tagging(Bucket="tagged-bucket", Tagging=open_)
    s3.put_object(Bucket="tagged-bucket", Key="tagged", Body=b"1", Tagging="open=yes")
    s3.put_object(Bucket="tagged-bucket", Key="plain", Body=b"2")
    said = {"StringEquals": {"s3:ExistingObjectTag/open": "yes"}}
    role = make_role(sandbox, "reader", allow("s3:GetObject", Condition=said))
    reader = sandbox.client("s3", role=role)
    assert reader.get_object(Bucket="tagged-bucket", Key="tagged")["Body"].read() == b"1"
    with refused("AccessDenied", "s3:GetObject"):
        reader.get_object(Bucket="tagged-bucket", Key="plain")
