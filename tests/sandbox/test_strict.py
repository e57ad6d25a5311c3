"""What moto takes and loses is kept or refused by name; so is what it only claims to have done."""

from __future__ import annotations

import json

import boto3
import pytest
import requests
from access import allow, document, make_role, refused, trusting
from botocore.config import Config
from botocore.session import Session
from moto.core.utils import get_service_model
from test_lambda import zipped

from seedbed.sandbox import gaps, kept, moto_hooks
from seedbed.sandbox.services import REFUSED

REGION, DEV = "eu-west-1", "333333333333"
ROLE = "arn:aws:iam::333333333333:role/r"
CODE = zipped("def h(event, context): ...")
IMAGE = "333333333333.dkr.ecr.eu-west-1.amazonaws.com/i:1"


# Operations that moto only claims to carry out


@pytest.mark.parametrize("service", REFUSED)
def test_what_is_refused_exists(service):
    """A slip in a name would let moto's silent success through."""
    assert moto_hooks.has_service(service)
    names = {*Session().get_service_model(service).operation_names, "*"}
    assert set(REFUSED[service]) <= names


CLAIMS = {
    "athena": ("start_query_execution", {"QueryString": "select 1"}),
    "glue": ("start_job_run", {"JobName": "j"}),
    "lambda": ("create_event_source_mapping", {"FunctionName": "f"}),
    "stepfunctions": (
        "start_execution",
        {"stateMachineArn": f"arn:aws:states:{REGION}:333333333333:stateMachine:s"},
    ),
    "sagemaker": (
        "create_endpoint", {"EndpointName": "e", "EndpointConfigName": "c"},
    ),
    "sagemaker-runtime": ("invoke_endpoint", {"EndpointName": "e", "Body": b"1"}),
    "comprehend": ("detect_sentiment", {"Text": "t", "LanguageCode": "en"}),
}  # fmt: skip


@pytest.mark.parametrize("service", CLAIMS)
def test_what_does_not_happen_is_refused(sandbox, service):
    method, params = CLAIMS[service]
    client = sandbox.client(service)
    with refused("NotImplementedInSandbox", client.meta.method_to_api_mapping[method]):
        getattr(client, method)(**params)


# Parameters that moto does not read

LOST = {
    "kms": ("CreateKey", "CustomKeyStoreId"),
    "iam": ("CreateUser", "PermissionsBoundary"),
    "logs": ("FilterLogEvents", "logStreamNamePrefix"),
    "lambda": ("UpdateFunctionCode", "S3ObjectVersion"),
    "ec2": ("DeleteVpc", "DryRun"),
    "sagemaker": ("ListModels", "NameContains"),
    "ram": ("CreateResourceShare", "permissionArns"),
    "glue": ("CreateTable", "PartitionIndexes"),
    "dynamodb": ("CreateTable", "ResourcePolicy"),
}


@pytest.mark.parametrize("service", LOST)
def test_a_parameter_that_moto_never_reads_is_found(service):
    operation, name = LOST[service]
    model = get_service_model(service).operation_model(operation)
    assert gaps.unread(service, model, {name: "x"}) == [name]
    assert gaps.unread(service, model, {name: False}) == []


READ = {
    "kms": ("CreateKey", ["Policy", "Description", "Tags", "MultiRegion", "KeyUsage"]),
    "iam": ("CreateRole", ["Path", "PermissionsBoundary", "Tags", "MaxSessionDuration"]),
    "sqs": ("CreateQueue", ["QueueName", "Attributes", "tags"]),
    "sns": ("CreateTopic", ["Name", "Attributes", "Tags"]),
    "lambda": ("CreateFunction", ["Code", "Environment", "VpcConfig", "Layers", "Tags"]),
    "organizations": ("CreatePolicy", ["Content", "Type", "Tags"]),
    "ec2": ("CreateVpcEndpoint", ["VpcId", "PolicyDocument", "SubnetIds", "TagSpecifications"]),
    "s3": ("PutObject", ["ChecksumCRC32", "Metadata"]),
    "logs": ("DescribeLogGroups", ["logGroupNamePrefix", "limit", "nextToken"]),
    "sagemaker": ("CreateModel", ["VpcConfig", "Containers", "Tags"]),
}


@pytest.mark.parametrize("service", READ)
def test_a_parameter_that_moto_reads_is_not_found(service):
    operation, names = READ[service]
    model = get_service_model(service).operation_model(operation)
    assert gaps.unread(service, model, dict.fromkeys(names, "x")) == []


def test_a_lost_parameter_is_refused_before_anything_happens(sandbox):
    iam = sandbox.client("iam")
    with refused("NotImplementedInSandbox", "PermissionsBoundary of iam:CreateUser"):
        iam.create_user(
            UserName="ann", PermissionsBoundary="arn:aws:iam::aws:policy/ReadOnlyAccess"
        )
    assert iam.list_users()["Users"] == []


def test_what_aws_takes_by_default_is_no_loss(sandbox):
    logs = sandbox.client("logs")
    logs.create_log_group(logGroupName="g", logGroupClass="STANDARD")
    with refused("NotImplementedInSandbox", "logGroupClass"):
        logs.create_log_group(logGroupName="h", logGroupClass="INFREQUENT_ACCESS")


# What moto forgets is kept where a description tells it


def test_a_model_keeps_its_network_isolation(sandbox):
    client = sandbox.client("sagemaker")
    model = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}}
    client.create_model(ModelName="m", EnableNetworkIsolation=True, **model)
    assert client.describe_model(ModelName="m")["EnableNetworkIsolation"] is True
    client.delete_model(ModelName="m")
    client.create_model(ModelName="m", **model)
    assert not client.describe_model(ModelName="m").get("EnableNetworkIsolation")


def test_shadow_variants_are_kept(sandbox):
    client = sandbox.client("sagemaker")
    client.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1,
               "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0}  # fmt: skip
    client.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[variant],
        ShadowProductionVariants=[{**variant, "VariantName": "shadow"}],
        ExecutionRoleArn=ROLE,
    )
    said = client.describe_endpoint_config(EndpointConfigName="c")
    assert [one["VariantName"] for one in said["ShadowProductionVariants"]] == ["shadow"]
    assert (said["ExecutionRoleArn"], said["ProductionVariants"][0]["VariantName"]) == (ROLE, "v")


def test_the_accounts_keep_apart(sandbox):
    model = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}}
    sandbox.client("sagemaker").create_model(ModelName="m", EnableNetworkIsolation=True, **model)
    there = sandbox.client("sagemaker", "test")
    model["ExecutionRoleArn"] = ROLE.replace("333333333333", sandbox.account("test"))
    there.create_model(ModelName="m", **model)
    assert not there.describe_model(ModelName="m").get("EnableNetworkIsolation")


def test_a_key_s_rotation_period_is_kept(sandbox):
    kms = sandbox.client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.enable_key_rotation(KeyId=key["Arn"], RotationPeriodInDays=200)
    assert kms.get_key_rotation_status(KeyId=key["KeyId"])["RotationPeriodInDays"] == 200
    kms.disable_key_rotation(KeyId=key["KeyId"])
    assert kms.get_key_rotation_status(KeyId=key["KeyId"]).get("RotationPeriodInDays") != 200


@pytest.mark.parametrize("service", kept.KINDS)
def test_what_is_kept_is_named_by_the_models(service):
    model = get_service_model(service)
    for kind in kept.KINDS[service]:
        for operation in (kind.create, kind.describe, kind.delete):
            assert kind.name in model.operation_model(operation).input_shape.members
        assert model.metadata["protocol"] == "json"


def test_the_tags_of_a_share_are_kept(sandbox):
    ram = sandbox.client("ram")
    tags = [{"key": "a", "value": "b"}]
    ram.create_resource_share(name="s", tags=tags)
    assert ram.get_resource_shares(resourceOwner="SELF")["resourceShares"][0]["tags"] == tags


# S3


@pytest.fixture
def bucket(sandbox):
    place = {"LocationConstraint": REGION}
    sandbox.client("s3").create_bucket(Bucket="bucket-a", CreateBucketConfiguration=place)
    return "bucket-a"


def test_the_expected_owner_of_a_bucket_is_asked_for(sandbox, bucket):
    s3, test = sandbox.client("s3"), sandbox.account("test")
    s3.put_object(Bucket=bucket, Key="k", ExpectedBucketOwner=sandbox.account("dev"))
    for call in (s3.put_object, s3.get_object, s3.delete_object):
        with refused("AccessDenied", test):
            call(Bucket=bucket, Key="k", ExpectedBucketOwner=test)


LOST_BY_S3 = {
    "SSECustomerAlgorithm": ("put_object", {"Key": "k", "SSECustomerAlgorithm": "AES256",
                                            "SSECustomerKey": "0" * 32}),
    "ObjectSizeGreaterThan": ("put_bucket_lifecycle_configuration", {"LifecycleConfiguration": {
        "Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"ObjectSizeGreaterThan": 1},
                   "Expiration": {"Days": 1}}]}}),
    "MFADelete": ("put_bucket_versioning", {"VersioningConfiguration": {
        "Status": "Enabled", "MFADelete": "Enabled"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", LOST_BY_S3)
def test_what_moto_s_s3_loses_is_refused(sandbox, bucket, name):
    method, params = LOST_BY_S3[name]
    client = sandbox.client("s3")
    with refused("NotImplementedInSandbox", name):
        getattr(client, method)(Bucket=bucket, **params)


# Lambda


def test_settings_of_asynchronous_invocations_follow_the_last_call(sandbox):
    role = make_role(sandbox, "r", trust=trusting({"Service": "lambda.amazonaws.com"}))
    client = sandbox.client("lambda")
    client.create_function(
        FunctionName="f", Runtime="python3.13", Handler="i.h", Role=role, Code={"ZipFile": CODE}
    )
    client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=2)
    client.update_function_event_invoke_config(FunctionName="f", MaximumEventAgeInSeconds=60)
    said = client.get_function_event_invoke_config(FunctionName="f")
    assert (said["MaximumRetryAttempts"], said["MaximumEventAgeInSeconds"]) == (2, 60)
    queue = f"arn:aws:sqs:{REGION}:333333333333:q"
    with refused("NotImplementedInSandbox", "DestinationConfig"):
        client.put_function_event_invoke_config(
            FunctionName="f", DestinationConfig={"OnFailure": {"Destination": queue}}
        )


def test_a_function_without_concurrency_is_not_invoked(sandbox):
    role = make_role(sandbox, "r", trust=trusting({"Service": "lambda.amazonaws.com"}))
    client = sandbox.client("lambda")
    client.create_function(
        FunctionName="f", Runtime="python3.13", Handler="i.h", Role=role, Code={"ZipFile": CODE}
    )
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    with refused("TooManyRequestsException"):
        client.invoke(FunctionName="f")


def test_moto_never_runs_a_function(sandbox):
    role = make_role(sandbox, "r", trust=trusting({"Service": "lambda.amazonaws.com"}))
    function = sandbox.client("lambda").create_function(
        FunctionName="f", Runtime="python3.13", Handler="i.h", Role=role, Code={"ZipFile": CODE}
    )["FunctionArn"]
    secrets = sandbox.client("secretsmanager")
    secrets.create_secret(Name="s", SecretString="x")
    with refused("NotImplementedInSandbox", "function f", "secretsmanager:RotateSecret"):
        secrets.rotate_secret(SecretId="s", RotationLambdaARN=function)


def test_code_that_is_no_zip_is_refused(sandbox):
    role = make_role(sandbox, "r", trust=trusting({"Service": "lambda.amazonaws.com"}))
    client = sandbox.client("lambda")
    said = {"FunctionName": "f", "Runtime": "python3.13", "Handler": "i.h", "Role": role}
    for code, words in (({"ZipFile": b"PK"}, "unzip"), ({}, "source")):
        with refused("InvalidParameterValueException", words):
            client.create_function(**said, Code=code)
    client.create_function(**said, Code={"ZipFile": CODE})
    place = {"LocationConstraint": REGION}
    sandbox.client("s3").create_bucket(Bucket="bucket-a", CreateBucketConfiguration=place)
    sandbox.client("s3").put_object(Bucket="bucket-a", Key="k", Body=b"x")
    with refused("InvalidParameterValueException", "unzip"):
        client.update_function_code(FunctionName="f", S3Bucket="bucket-a", S3Key="k")


# Organizations


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("enable_policy_type", {"RootId": "r-seed", "PolicyType": "SERVICE_CONTROL_POLICY"}),
        (
            "create_policy",
            {"Name": "n", "Description": "d", "Type": "SERVICE_CONTROL_POLICY", "Content": "{}"},
        ),
        ("create_account", {"AccountName": "new", "Email": "new@example.com"}),
    ],
)
def test_what_would_bind_no_account_is_refused(sandbox, method, params):
    client = sandbox.client("organizations", "management")
    with refused("NotImplementedInSandbox", client.meta.method_to_api_mapping[method]):
        getattr(client, method)(**params)


def test_iam_sees_where_an_account_was_moved(sandbox):
    url = sandbox.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    before = sandbox.organisation.path(sandbox.account("dev"))
    here = {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": before}}
    sqs = sandbox.client("sqs", role=make_role(sandbox, "r", allow("sqs:*", Condition=here)))
    sqs.get_queue_attributes(QueueUrl=url)
    sandbox.client("organizations", "management").move_account(
        AccountId=sandbox.account("dev"),
        SourceParentId=before.rstrip("/").rsplit("/", 1)[-1],
        DestinationParentId="r-seed",
    )
    with refused("AccessDenied"):
        sqs.get_queue_attributes(QueueUrl=url)


# Policies that AWS refuses when they are put

NOBODY = f"arn:aws:iam::{DEV}:role/nobody"
GOOD = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{DEV}:root"}, "Action": "*",
        "Resource": "*"}  # fmt: skip
PUTS = {
    "s3": ("MalformedPolicy", "put_bucket_policy", {"Bucket": "bucket-a"}, "Policy"),
    "kms": ("MalformedPolicyDocumentException", "create_key", {}, "Policy"),
    "ecr": ("InvalidParameterException", "set_repository_policy", {"repositoryName": "repo"},
            "policyText"),
    "sqs": ("InvalidAttributeValue", "create_queue", {"QueueName": "q"}, "Attributes"),
    "sns": ("InvalidParameter", "create_topic", {"Name": "t"}, "Attributes"),
    "secretsmanager": ("MalformedPolicyDocumentException", "put_resource_policy",
                       {"SecretId": "s"}, "ResourcePolicy"),
}  # fmt: skip


def put(sandbox, service, statement):
    code, method, params, name = PUTS[service]
    text = document(statement)
    value = {"Policy": text} if name == "Attributes" else text
    return code, lambda: getattr(sandbox.client(service), method)(**params, **{name: value})


@pytest.fixture
def holders(sandbox, bucket):  # noqa: ARG001 (the bucket's policy hangs on it)
    """What the policies hang on."""
    sandbox.client("ecr").create_repository(repositoryName="repo")
    sandbox.client("secretsmanager").create_secret(Name="s", SecretString="x")
    return sandbox


@pytest.mark.parametrize("service", PUTS)
def test_a_policy_names_only_roles_that_exist(holders, service):
    named = {**GOOD, "Principal": {"AWS": [NOBODY]}}
    code, call = put(holders, service, named)
    with refused(code, NOBODY):
        call()
    make_role(holders, "nobody")
    if service != "s3":  # S3 wants its own resource, and moto does not ask
        call()


@pytest.mark.parametrize("service", PUTS)
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"Principal": None}, "Principal"),
        ({"Effect": "allow"}, "allow"),
        ({"Conditions": {}}, "Conditions"),
        ({"Action": None}, "Action"),
    ],
    ids=["principal", "effect", "element", "action"],
)
def test_a_malformed_resource_policy_is_refused(holders, service, wrong, word):
    statement = {key: said for key, said in (GOOD | wrong).items() if said is not None}
    code, call = put(holders, service, statement)
    with refused(code, word):
        call()


def test_a_trust_policy_has_a_principal_that_exists_and_no_resource(sandbox):
    with refused("MalformedPolicyDocument", NOBODY):
        make_role(sandbox, "r", trust=trusting({"AWS": NOBODY}))
    with refused("MalformedPolicyDocument", "Resource"):
        make_role(sandbox, "r", trust=trusting("*", Resource="*"))
    make_role(sandbox, "r", trust=trusting({"AWS": "arn:aws:iam::999999999999:role/stranger"}))


def test_an_identity_s_policy_has_no_principal(sandbox):
    with refused("MalformedPolicyDocument", "Principal"):
        make_role(sandbox, "r", {**GOOD})


def test_a_boundary_exists(sandbox):
    with refused("NoSuchEntity", "policy/none"):
        make_role(sandbox, "r", PermissionsBoundary=f"arn:aws:iam::{DEV}:policy/none")
    make_role(sandbox, "r", PermissionsBoundary="arn:aws:iam::aws:policy/ReadOnlyAccess")


def test_a_condition_value_that_is_no_number_is_undecided(sandbox):
    url = sandbox.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    junk = {"NumericEquals": {"aws:EpochTime": "abc"}}
    sqs = sandbox.client("sqs", role=make_role(sandbox, "r", allow("sqs:*", Condition=junk)))
    with refused("AccessDenied", "undecided", "abc"):
        sqs.get_queue_attributes(QueueUrl=url)


# Keys


def test_a_key_that_is_not_there_encrypts_nothing(sandbox, bucket):
    s3, kms = sandbox.client("s3"), sandbox.client("kms")
    key = kms.create_key()["KeyMetadata"]
    for name in ("0" * 8 + "-0000-0000-0000-" + "0" * 12, "alias/none"):
        with refused("KMS.NotFoundException", name):
            s3.put_object(Bucket=bucket, Key="k", ServerSideEncryption="aws:kms", SSEKMSKeyId=name)
    s3.put_object(Bucket=bucket, Key="k", ServerSideEncryption="aws:kms", SSEKMSKeyId=key["Arn"])
    s3.put_object(Bucket=bucket, Key="own", ServerSideEncryption="aws:kms")
    kms.disable_key(KeyId=key["KeyId"])
    with refused("KMS.DisabledException", key["Arn"]):
        s3.get_object(Bucket=bucket, Key="k")
    s3.get_object(Bucket=bucket, Key="own")


def test_a_bucket_s_default_key_must_be_there(sandbox, bucket):
    s3, kms = sandbox.client("s3"), sandbox.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    s3.put_object(Bucket=bucket, Key="k")
    kms.schedule_key_deletion(KeyId=key)
    with refused("KMS.KMSInvalidStateException"):
        s3.put_object(Bucket=bucket, Key="k")


def test_a_disabled_key_is_of_no_use(sandbox):
    kms = sandbox.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    blob = kms.encrypt(KeyId="alias/a", Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key)
    with refused("DisabledException"):
        kms.decrypt(CiphertextBlob=blob)
    with refused("DisabledException"):
        kms.generate_data_key(KeyId="alias/a", KeySpec="AES_256")
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


# Values that no service would take


def unchecked(sandbox, service):
    """A client that sends what it is given, as other SDKs do."""
    return boto3.client(
        service, endpoint_url=sandbox.endpoint, region_name=REGION,
        config=Config(parameter_validation=False), **sandbox.credentials("dev"),
    )  # fmt: skip


WRONG = {
    "enumeration": ("kms", "create_key", {"KeyUsage": "FOO"}, "ValidationException", "keyUsage"),
    "pattern": ("sagemaker", "create_model_package_group", {"ModelPackageGroupName": "a b"},
                "ValidationException", "modelPackageGroupName"),
    "required": ("sagemaker", "create_model", {}, "ValidationException", "modelName"),
    "longest": ("secretsmanager", "create_secret", {"Name": "n" * 600, "SecretString": "x"},
                "ValidationException", "name"),
    "type": ("ssm", "put_parameter", {"Name": 5, "Value": "v"}, "ValidationException", "name"),
    "key of a map": ("sqs", "create_queue", {"QueueName": "q", "Attributes": {"Foo": "1"}},
                     "InvalidParameterValue", "Foo"),
    "query": ("iam", "create_role", {"RoleName": "a b", "AssumeRolePolicyDocument": "{}"},
              "ValidationError", "roleName"),
    "largest": ("logs", "describe_log_groups", {"limit": 51}, "InvalidParameterException", "limit"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_value_that_the_model_forbids_is_refused(sandbox, name):
    service, method, params, code, word = WRONG[name]
    with refused(code, word):
        getattr(unchecked(sandbox, service), method)(**params)


def test_a_secret_value_is_not_repeated(sandbox):
    with refused("ValidationException") as caught:
        sandbox.client("ssm").put_parameter(Name="p", Value="v" * 9000, Type="Nonsense")
    assert "vvv" not in str(caught.value)


@pytest.mark.parametrize(
    ("service", "target", "version", "body", "word"),
    [
        ("sagemaker", "SageMaker.CreateModel", "1.1", {"Nme": "m"}, "Nme"),
        (
            "sagemaker", "SageMaker.CreateModel", "1.1",
            {"ModelName": "m", "PrimaryContainer": {"Imge": "i"}}, "PrimaryContainer.Imge",
        ),
        ("sqs", "AmazonSQS.CreateQueue", "1.0", {"QueueName": "q", "Colour": 1}, "Colour"),
    ],
)  # fmt: skip
def test_a_member_that_the_pinned_models_lack_is_refused(  # noqa: PLR0917
    sandbox, service, target, version, body, word
):
    """A newer SDK sends it, or a hand-written request: it must not be lost."""
    key = sandbox.credentials("dev")["aws_access_key_id"]
    said = f"AWS4-HMAC-SHA256 Credential={key}/20260101/{REGION}/{service}/aws4_request"
    headers = {"X-Amz-Target": target, "Authorization": said}
    headers["Content-Type"] = f"application/x-amz-json-{version}"
    answer = requests.post(sandbox.endpoint, json=body, headers=headers, timeout=60)
    assert answer.status_code == 501
    assert word in answer.text


# Patterns of events


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        ({"source": [{"foo": "x"}]}, "foo"),
        ({"detail": {"a": [{"anything-but": {"perfix": "x"}}]}}, "perfix"),
        ({"$or": [{"a": ["x"]}, {"a": [{"nmeric": ["=", 1]}]}]}, "nmeric"),
    ],
)
def test_a_pattern_with_an_unknown_test_is_refused(sandbox, pattern, word):
    with refused("InvalidEventPatternException", word):
        sandbox.client("events").put_rule(Name="r", EventPattern=json.dumps(pattern))


def test_patterns_with_all_tests_are_kept(sandbox):
    pattern = {
        "source": [{"prefix": "a"}, "b", {"wildcard": "x*"}],
        "detail": {
            "n": [{"numeric": [">", 0, "<=", 5]}],
            "s": [{"suffix": "z"}, {"equals-ignore-case": "y"}, {"anything-but": ["q"]}],
            "ip": [{"cidr": "10.0.0.0/8"}],
            "e": [{"exists": False}],
        },
        "$or": [{"account": ["1"]}, {"region": ["2"]}],
    }
    sandbox.client("events").put_rule(Name="r", EventPattern=json.dumps(pattern))


# Log groups


def test_a_log_group_s_key_lets_cloudwatch_logs_use_it(sandbox):
    logs, kms = sandbox.client("logs"), sandbox.client("kms")
    group = f"arn:aws:logs:{REGION}:{DEV}:log-group:g"
    own = {"Sid": "Own", **GOOD}
    let = allow(
        ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"],
        Principal={"Service": f"logs.{REGION}.amazonaws.com"},
        Condition={"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": group}},
    )
    shut = kms.create_key(Policy=document(own))["KeyMetadata"]["Arn"]
    key = kms.create_key(Policy=document(own, let))["KeyMetadata"]["Arn"]
    for wrong in (shut, "alias/a", key[:-1]):
        with refused("AccessDeniedException", "not allowed to be used", wrong):
            logs.create_log_group(logGroupName="g", kmsKeyId=wrong)
    with refused("AccessDeniedException", "log-group:other"):
        logs.create_log_group(logGroupName="other", kmsKeyId=key)
    logs.create_log_group(logGroupName="g", kmsKeyId=key)
    assert logs.describe_log_groups()["logGroups"][0]["kmsKeyId"] == key
    with refused("AccessDeniedException", shut):
        logs.associate_kms_key(logGroupName="g", kmsKeyId=shut)


# Alarms, Identity Center


def test_what_would_tell_nobody_is_refused(sandbox):
    with refused("NotImplementedInSandbox", "cloudwatch:SetAlarmState"):
        sandbox.client("cloudwatch").set_alarm_state(
            AlarmName="a", StateValue="ALARM", StateReason="r"
        )
    with refused("NotImplementedInSandbox", "sso-admin:ListInstances"):
        sandbox.client("sso-admin").list_instances()


def test_an_address_that_is_no_queue_s_is_refused(sandbox):
    with refused("InvalidAddress", "abcd"):
        sandbox.client("sqs").get_queue_attributes(QueueUrl="abcd")


# Public policies


PUBLIC = {
    "anybody": (allow("s3:GetObject", Principal="*"), True),
    "any AWS principal": (allow("s3:GetObject", Principal={"AWS": ["*"]}), True),
    "paths of an organisation": (
        allow(
            "s3:GetObject",
            Principal="*",
            Condition={"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-a/*"}},
        ),
        True,
    ),
    "a pattern": (
        allow("s3:*", Principal="*", Condition={"StringLike": {"aws:PrincipalArn": "arn:*"}}),
        True,
    ),
    "an organisation": (
        allow("s3:*", Principal="*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-a"}}),
        False,
    ),
    "an account": (allow("s3:*", Principal={"AWS": f"arn:aws:iam::{DEV}:root"}), False),
    "a service": (allow("s3:*", Principal={"Service": "logging.s3.amazonaws.com"}), False),
    "a denial": ({**allow("s3:*", Principal="*"), "Effect": "Deny"}, False),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_policy_is_blocked_where_the_bucket_says_so(sandbox, bucket, name):
    s3, (statement, is_public) = sandbox.client("s3"), PUBLIC[name]
    text = document({**statement, "Resource": f"arn:aws:s3:::{bucket}/*"})
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicPolicy": True}
    )
    if is_public:
        with refused("AccessDenied", "BlockPublicPolicy"):
            s3.put_bucket_policy(Bucket=bucket, Policy=text)
        s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
