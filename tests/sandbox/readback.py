"""Reading back: a resource of a stack, with every property that it was given."""

from __future__ import annotations

import json

import jmespath

from seedbed.sandbox.cloudformation.handlers_s3 import SETTINGS

# bucket's property -> the call that reads it
BUCKET = {
    "BucketEncryption": "get_bucket_encryption",
    "CorsConfiguration": "get_bucket_cors",
    "LifecycleConfiguration": "get_bucket_lifecycle_configuration",
    "LoggingConfiguration": "get_bucket_logging",
    "OwnershipControls": "get_bucket_ownership_controls",
    "PublicAccessBlockConfiguration": "get_public_access_block",
    "Tags": "get_bucket_tagging",
    "VersioningConfiguration": "get_bucket_versioning",
}


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


def same(wanted, found, at=""):
    missing = list(lost(wanted, found, at))
    assert not missing, (missing, found)


def within(wanted, found):
    return not list(lost(wanted, found))


def read_bucket(sandbox, name, given):
    s3 = sandbox.client("s3")
    for key in set(given) - {"BucketName"}:
        wanted = SETTINGS[key][1](given[key])
        inner = next(iter(wanted.values()))
        answer = getattr(s3, BUCKET[key])(Bucket=name)
        found = {**answer, **answer.get(next(iter(wanted)), {})}
        same(inner, found, key)
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
    same(given, found)


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
    same(given, found)


def read_rule(sandbox, name, given):
    events = sandbox.client("events")
    found = {**events.describe_rule(Name=name), **events.list_targets_by_rule(Rule=name)}
    found["Tags"] = events.list_tags_for_resource(ResourceARN=found["Arn"])["Tags"]
    same(given, found)


def read_topic(sandbox, arn, given):
    sns = sandbox.client("sns")
    found = dict(sns.get_topic_attributes(TopicArn=arn)["Attributes"])
    found["TopicName"] = arn.rpartition(":")[2]
    found["Subscription"] = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    found["Tags"] = sns.list_tags_for_resource(ResourceArn=arn)["Tags"]
    same(given, found)


def read_key(sandbox, key, given):
    kms = sandbox.client("kms")
    found = dict(kms.describe_key(KeyId=key)["KeyMetadata"])
    found["EnableKeyRotation"] = kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    found["KeyPolicy"] = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    tags = kms.list_resource_tags(KeyId=key)["Tags"]
    found["Tags"] = [{"Key": one["TagKey"], "Value": one["TagValue"]} for one in tags]
    same(given, found)


def read_project(sandbox, name, given):
    (found,) = sandbox.client("codebuild").batch_get_projects(names=[name])["projects"]
    same(given, found)


def read_logs(sandbox, name, given):
    logs = sandbox.client("logs")
    (found,) = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    tags = logs.list_tags_for_resource(resourceArn=found["logGroupArn"])["tags"]
    found["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    same(given, found)


def read_pipeline(sandbox, name, given):
    codepipeline = sandbox.client("codepipeline")
    found = codepipeline.get_pipeline(name=name)
    tags = codepipeline.list_tags_for_resource(resourceArn=found["metadata"]["pipelineArn"])
    # A configuration's values are text in the API.
    same(given, found["pipeline"] | tags)


def read_workgroup(sandbox, name, given):
    athena = sandbox.client("athena")
    found = athena.get_work_group(WorkGroup=name)["WorkGroup"]
    found["WorkGroupConfiguration"] = found.pop("Configuration")
    arn = f"arn:aws:athena:eu-west-1:{sandbox.account('dev')}:workgroup/{name}"
    found["Tags"] = athena.list_tags_for_resource(ResourceARN=arn)["Tags"]
    said = {key: value for key, value in given.items() if key != "RecursiveDeleteOption"}
    same(said, found)


def read_catalog(sandbox, name, given):
    athena = sandbox.client("athena")
    arn = f"arn:aws:athena:eu-west-1:{sandbox.account('dev')}:datacatalog/{name}"
    tags = athena.list_tags_for_resource(ResourceARN=arn)
    same(given, athena.get_data_catalog(Name=name)["DataCatalog"] | tags)


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


def read_security_group(sandbox, group, given):
    ec2 = sandbox.client("ec2")
    (found,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    found["GroupDescription"] = found["Description"]
    found["SecurityGroupIngress"] = list(flat(found["IpPermissions"]))
    found["SecurityGroupEgress"] = list(flat(found["IpPermissionsEgress"]))
    same(given, found)


def flat(permissions):
    """Return one rule for each source or target, as a template spells them."""
    for one in permissions:
        for pair in one["UserIdGroupPairs"]:
            yield {**one, **pair, "SourceSecurityGroupId": pair["GroupId"]}
        for pair in one["IpRanges"]:
            yield {**one, **pair}


def read_endpoint(sandbox, endpoint, given):
    (found,) = sandbox.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[endpoint])[
        "VpcEndpoints"
    ]
    found["SecurityGroupIds"] = [one["GroupId"] for one in found.get("Groups", [])]
    same(given, found)


def read_function(sandbox, name, given):
    functions = sandbox.client("lambda")
    answer = functions.get_function(FunctionName=name)
    found = {**answer["Configuration"], "Tags": pairs(answer.get("Tags", {}))}
    said = {key: value for key, value in given.items() if key != "Code"}
    same(said, found)
    assert answer["Code"]["Location"]


def read_permission(sandbox, _, given):
    policy = sandbox.client("lambda").get_policy(FunctionName=given["FunctionName"])["Policy"]
    (found,) = json.loads(policy)["Statement"]
    assert found["Principal"] in (given["Principal"], {"Service": given["Principal"]})
    assert found["Action"] == given["Action"]
    told = json.dumps(found.get("Condition", {}))
    assert all(given[key] in told for key in ("SourceArn", "SourceAccount") if key in given)


def read_invocations(sandbox, _, given):
    asked = {"FunctionName": given["FunctionName"], "Qualifier": given["Qualifier"]}
    found = sandbox.client("lambda").get_function_event_invoke_config(**asked)
    same(given, {**found, **asked})


def read_domain(sandbox, domain, given):
    studio = sandbox.client("sagemaker")
    found = studio.describe_domain(DomainId=domain)
    found["Tags"] = studio.list_tags(ResourceArn=found["DomainArn"])["Tags"]
    same(given, found)


def read_profile(sandbox, _, given):
    studio = sandbox.client("sagemaker")
    asked = {key: given[key] for key in ("DomainId", "UserProfileName")}
    found = studio.describe_user_profile(**asked)
    found["Tags"] = studio.list_tags(ResourceArn=found["UserProfileArn"])["Tags"]
    same(given, found)


def pairs(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


READERS = {
    "AWS::EC2::SecurityGroup": read_security_group,
    "AWS::EC2::VPCEndpoint": read_endpoint,
    "AWS::Lambda::EventInvokeConfig": read_invocations,
    "AWS::Lambda::Function": read_function,
    "AWS::Lambda::Permission": read_permission,
    "AWS::SageMaker::Domain": read_domain,
    "AWS::SageMaker::UserProfile": read_profile,
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
        same(given, found)
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
        same(given, found)


def read_stack(sandbox, name):
    """Read back every resource of a stack, with the properties that it was given."""
    cf = sandbox.client("cloudformation")
    done = [
        event
        for event in cf.describe_stack_events(StackName=name)["StackEvents"]
        if event["ResourceStatus"] == "CREATE_COMPLETE" and "ResourceProperties" in event
    ]
    assert done
    for event in done:
        given = json.loads(event["ResourceProperties"])
        read(sandbox, event["ResourceType"], event["PhysicalResourceId"], given)
