"""The stacks of a project of ours: every property of every resource is read back through boto3."""

from __future__ import annotations

import json
from pathlib import Path

import jmespath
import pytest
from cfn_stacks import ALL, delete, history, outputs, parameters, reason, settle

from seedbed.sandbox.cloudformation.handlers_s3 import SETTINGS
from seedbed.sandbox.cloudformation.template import parse
from seedbed.sandbox.handle import Sandbox
from seedbed.sandbox.server import Server
from seedbed.sandbox.services import CLASSES
from seedbed.sandbox.world import World

LAYERS = Path(__file__).parents[2] / "layers"
STACKS = {  # in the order in which a project deploys them
    "project": "model-build/infra/project.yml",
    "data-s3": "data-s3/infra/data.yml",
    "registry": "model-build/infra/registry.yml",
    "build": "model-build/infra/build.yml",
    "source": "model-build/infra/source.yml",
    "data-athena": "data-athena/infra/data.yml",
    "data-featurestore": "data-featurestore/infra/data.yml",
}
GIVEN = {
    "ProjectId": "p1",
    "ProjectName": "churn",
    "ModelPackageGroupName": "churn",
    "DataLocation": "s3://data-bucket/in/",
    "AlertEmail": "team@example.com",
    "ReaderAccountIds": "222222222222,444444444444",
    "HubBusArn": "arn:aws:events:eu-west-1:222222222222:event-bus/hub",
    "PermissionsBoundaryArn": "arn:aws:iam::333333333333:policy/boundary",
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0",
    "SecurityGroupIds": "sg-0123456789abcdef0",
    "PackageIndexUrl": "https://packages.example.com/simple",
    "RepositoryId": "churn",
    "GitHost": "codecommit",
    "ConnectionArn": "",
    "DataDatabase": "lake",
    "DataOwnerAccountId": "666666666666",
    "DataSharedDatabase": "shared",
    "DataLakeLocation": "s3://lake-bucket/lake/",
    "FeatureGroupArns": "arn:aws:sagemaker:eu-west-1:666666666666:feature-group/f",
    "OfflineStoreLocation": "s3://store-bucket/store/",
    "OwnerAccountId": "666666666666",
    "CatalogName": "owner",
    "WorkGroupName": "churn",
}
OVERRIDES = {
    "build": {"GitHost": "github", "GitHubActions": "true", "RepositoryId": "team/churn"},
    "data-athena": {"ProjectId": "p2"},  # one data source a project: their policies share a name
    "data-featurestore": {"ProjectId": "p3"},
}
if "sagemaker" not in CLASSES:  # moto keeps no policy of a model package group
    OVERRIDES["registry"] = {"ReaderAccountIds": ""}
# bucket's property -> the call that reads it
BUCKET = {
    "BucketEncryption": "get_bucket_encryption",
    "LifecycleConfiguration": "get_bucket_lifecycle_configuration",
    "LoggingConfiguration": "get_bucket_logging",
    "OwnershipControls": "get_bucket_ownership_controls",
    "PublicAccessBlockConfiguration": "get_public_access_block",
    "Tags": "get_bucket_tagging",
    "VersioningConfiguration": "get_bucket_versioning",
}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """A sandbox in which the project's stacks stand, with every option switched on."""
    world = World(tmp_path_factory.mktemp("world"))
    server = Server(world).start()
    sandbox = Sandbox(world.endpoint, world.folder, world.organisation)
    have = dict(GIVEN)
    cf = sandbox.client("cloudformation")
    for name, path in STACKS.items():
        text = (LAYERS / path).read_text(encoding="utf-8")
        declared = parse(text).parameters
        given = have | OVERRIDES.get(name, {})
        cf.create_stack(
            StackName=name,
            TemplateBody=text,
            Capabilities=ALL,
            Parameters=parameters({key: given[key] for key in declared if key in given}),
            Tags=[{"Key": "team", "Value": "ml"}],
        )
        stack = settle(cf, name)
        assert stack["StackStatus"] == "CREATE_COMPLETE", reason(cf, name)
        have |= outputs(stack)
    yield sandbox
    server.stop()


def lost(wanted, found, at=""):
    """Yield the paths of what is not found again, in an API's spelling of keys and scalars."""
    if isinstance(found, str) and isinstance(wanted, (dict, list)):
        found = json.loads(found) if found[:1] in "{[" else [found]
    if isinstance(wanted, dict):
        known = found if isinstance(found, dict) else {}
        known = {key.lower(): value for key, value in known.items()}
        for key, value in wanted.items():
            yield from lost(value, known.get(key.lower()), f"{at}/{key}")
    elif isinstance(wanted, list):
        for number, item in enumerate(wanted):
            if not any(within(item, other) for other in found or []):
                yield f"{at}/{number}"
    elif isinstance(found, float):
        if float(wanted) != found:
            yield at
    elif str(wanted).lower() != str(found).lower():
        yield at


def within(wanted, found):
    return not list(lost(wanted, found))


def read_bucket(sandbox, name, given):
    s3 = sandbox.client("s3")
    for key in set(given) - {"BucketName"}:
        wanted = SETTINGS[key][1](given[key])
        inner = next(iter(wanted.values()))
        answer = getattr(s3, BUCKET[key])(Bucket=name)
        found = {**answer, **answer.get(next(iter(wanted)), {})}
        assert list(lost(inner, found, key)) == []
    assert given["BucketName"] == name


def read_role(sandbox, name, given):
    iam = sandbox.client("iam")
    role = iam.get_role(RoleName=name)["Role"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    documents = {
        one: iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]
        for one in iam.list_role_policies(RoleName=name)["PolicyNames"]
    }
    found = {
        **role,
        "PermissionsBoundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        "ManagedPolicyArns": [one["PolicyArn"] for one in attached],
        "Policies": [
            {"PolicyName": one, "PolicyDocument": said} for one, said in documents.items()
        ],
    }
    assert list(lost(given, found)) == []


def read_managed_policy(sandbox, arn, given):
    iam = sandbox.client("iam")
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])
    roles = iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]
    found = {
        "ManagedPolicyName": policy["PolicyName"],
        "Description": policy.get("Description"),
        "Path": policy["Path"],
        "PolicyDocument": version["PolicyVersion"]["Document"],
        "Roles": [one["RoleName"] for one in roles],
    }
    assert list(lost(given, found)) == []


def read_rule(sandbox, name, given):
    events = sandbox.client("events")
    found = {**events.describe_rule(Name=name), **events.list_targets_by_rule(Rule=name)}
    found["Tags"] = events.list_tags_for_resource(ResourceARN=found["Arn"])["Tags"]
    assert list(lost(given, found)) == []


def read_topic(sandbox, arn, given):
    sns = sandbox.client("sns")
    found = dict(sns.get_topic_attributes(TopicArn=arn)["Attributes"])
    found["TopicName"] = arn.rpartition(":")[2]
    found["Subscription"] = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    found["Tags"] = sns.list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert list(lost(given, found)) == []


def read_key(sandbox, key, given):
    kms = sandbox.client("kms")
    found = dict(kms.describe_key(KeyId=key)["KeyMetadata"])
    found["EnableKeyRotation"] = kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    found["KeyPolicy"] = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    tags = kms.list_resource_tags(KeyId=key)["Tags"]
    found["Tags"] = [{"Key": one["TagKey"], "Value": one["TagValue"]} for one in tags]
    assert list(lost(given, found)) == []


def read_project(sandbox, name, given):
    (found,) = sandbox.client("codebuild").batch_get_projects(names=[name])["projects"]
    assert list(lost(given, found)) == []


def read_logs(sandbox, name, given):
    logs = sandbox.client("logs")
    (found,) = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    tags = logs.list_tags_for_resource(resourceArn=found["logGroupArn"])["tags"]
    found["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    assert list(lost(given, found)) == []


def read_pipeline(sandbox, name, given):
    codepipeline = sandbox.client("codepipeline")
    found = codepipeline.get_pipeline(name=name)
    tags = codepipeline.list_tags_for_resource(resourceArn=found["metadata"]["pipelineArn"])
    # A configuration's values are text in the API.
    assert list(lost(given, found["pipeline"] | tags)) == []


def read_workgroup(sandbox, name, given):
    athena = sandbox.client("athena")
    found = athena.get_work_group(WorkGroup=name)["WorkGroup"]
    found["WorkGroupConfiguration"] = found.pop("Configuration")
    arn = f"arn:aws:athena:eu-west-1:{sandbox.account('dev')}:workgroup/{name}"
    found["Tags"] = athena.list_tags_for_resource(ResourceARN=arn)["Tags"]
    said = {key: value for key, value in given.items() if key != "RecursiveDeleteOption"}
    assert list(lost(said, found)) == []


def read_catalog(sandbox, name, given):
    athena = sandbox.client("athena")
    arn = f"arn:aws:athena:eu-west-1:{sandbox.account('dev')}:datacatalog/{name}"
    tags = athena.list_tags_for_resource(ResourceARN=arn)
    assert list(lost(given, athena.get_data_catalog(Name=name)["DataCatalog"] | tags)) == []


def read_grant(sandbox, _, given):
    """A grant has no name of its own: it is among the account's."""
    granted = sandbox.client("lakeformation").list_permissions()["PrincipalResourcePermissions"]
    said = {key: value for key, value in given.items() if key != "Catalog"}
    assert any(within(said, one) for one in granted)


# type -> service, call, its parameter for the physical id, what of the answer, renames
READ = {
    "AWS::KMS::Alias": ("kms", "describe_key", "KeyId", "{TargetKeyId: KeyMetadata.KeyId}"),
    "AWS::S3::BucketPolicy": ("s3", "get_bucket_policy", "Bucket", "{PolicyDocument: Policy}"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "describe_alarms", "AlarmNames", "MetricAlarms[0]"),
    "AWS::Glue::Database": (
        "glue", "get_database", "Name",
        "{DatabaseInput: Database, CatalogId: Database.CatalogId}",
    ),
    "AWS::SageMaker::ModelPackageGroup": (
        "sagemaker", "describe_model_package_group", "ModelPackageGroupName", "@",
    ),
}  # fmt: skip
READERS = {
    "AWS::S3::Bucket": read_bucket,
    "AWS::IAM::Role": read_role,
    "AWS::IAM::ManagedPolicy": read_managed_policy,
    "AWS::Events::Rule": read_rule,
    "AWS::SNS::Topic": read_topic,
    "AWS::KMS::Key": read_key,
    "AWS::CodeBuild::Project": read_project,
    "AWS::CodePipeline::Pipeline": read_pipeline,
    "AWS::Logs::LogGroup": read_logs,
    "AWS::Athena::DataCatalog": read_catalog,
    "AWS::Athena::WorkGroup": read_workgroup,
    "AWS::LakeFormation::PrincipalPermissions": read_grant,
}


def attached(sandbox, given):
    """Read the policies of queues and topics."""
    for url in given.get("Queues", []):
        sqs = sandbox.client("sqs")
        yield sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    for arn in given.get("Topics", []):
        yield sandbox.client("sns").get_topic_attributes(TopicArn=arn)


def read(sandbox, kind, physical_id, given):
    if kind in READERS:
        READERS[kind](sandbox, physical_id, given)
    elif kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
        for answer in attached(sandbox, given):
            assert within(given["PolicyDocument"], answer["Attributes"]["Policy"])
    elif kind == "AWS::SQS::Queue":
        sqs = sandbox.client("sqs")
        found = sqs.get_queue_attributes(QueueUrl=physical_id, AttributeNames=["All"])["Attributes"]
        tags = sqs.list_queue_tags(QueueUrl=physical_id).get("Tags", {})
        found["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        found["QueueName"] = physical_id.rpartition("/")[2]
        assert list(lost(given, found)) == []
    else:
        service, call, parameter, expression = READ[kind]
        plain = physical_id.rpartition("/")[2] if "Group" in kind else physical_id
        value = [plain] if parameter.endswith("s") else plain
        client = sandbox.client(service)
        answer = getattr(client, call)(**{parameter: value})
        found = {**jmespath.search(expression, answer), parameter: plain, "AliasName": plain}
        if "Tags" in given and service == "sagemaker":
            found |= client.list_tags(ResourceArn=physical_id)
        if "Tags" in given and service == "cloudwatch":
            found |= client.list_tags_for_resource(ResourceARN=found["AlarmArn"])
        if "ModelPackageGroupPolicy" in given:
            policy = client.get_model_package_group_policy(ModelPackageGroupName=plain)
            found["ModelPackageGroupPolicy"] = policy["ResourcePolicy"]
        assert list(lost(given, found)) == []


@pytest.mark.parametrize("name", STACKS)
def test_every_property_is_read_back(deployed, name):
    cf = deployed.client("cloudformation")
    done = [
        event
        for event in cf.describe_stack_events(StackName=name)["StackEvents"]
        if event["ResourceStatus"] == "CREATE_COMPLETE" and "ResourceProperties" in event
    ]
    assert done
    for event in done:
        given = json.loads(event["ResourceProperties"])
        read(deployed, event["ResourceType"], event["PhysicalResourceId"], given)


def test_what_no_service_carries_out_is_refused_by_name(deployed):
    cf = deployed.client("cloudformation")
    text = (LAYERS / "data-datazone/infra/data.yml").read_text(encoding="utf-8")
    given = {
        "DataDomainId": "dzd_1",
        "DataEnvironmentId": "e1",
        "DataProjectId": "j1",
        "ExecutionRoleArn": f"arn:aws:iam::{deployed.account('dev')}:role/seedbed-admin",
        "ExecutionRoleName": "seedbed-admin",
        "ProjectId": "p4",
    }
    said = {"TemplateBody": text, "Capabilities": ALL, "Parameters": parameters(given)}
    cf.create_stack(StackName="datazone", **said)
    assert settle(cf, "datazone")["StackStatus"] == "ROLLBACK_COMPLETE"
    events = cf.describe_stack_events(StackName="datazone")["StackEvents"]
    (failed,) = [one for one in events if one["ResourceStatus"] == "CREATE_FAILED"]
    told = (failed["LogicalResourceId"], failed["ResourceType"])
    assert told == ("Membership", "AWS::DataZone::ProjectMembership")
    assert "NotImplementedInSandbox" in failed["ResourceStatusReason"]


def test_what_holds_models_and_data_stays_when_the_stack_is_deleted(deployed):
    cf = deployed.client("cloudformation")
    identifier = cf.describe_stacks(StackName="data-s3")["Stacks"][0]["StackId"]
    assert delete(cf, "data-s3")["StackStatus"] == "DELETE_COMPLETE", history(cf, identifier)
    kept = [one["Name"] for one in deployed.client("s3").list_buckets()["Buckets"]]
    assert len(kept) == 2
