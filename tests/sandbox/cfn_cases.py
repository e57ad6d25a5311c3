"""A type of resource to try, and the cases of storage, keys, identities, messages and functions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from cfn_stacks import TRUST

ACCOUNT = "333333333333"
ARN = "arn:aws:{}:eu-west-1:" + ACCOUNT + ":{}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/seedbed-admin"
BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"
KEY = ARN.format("kms", "key/01234567-89ab-cdef-0123-456789abcdef")
ANYONE = {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
LIFECYCLE = json.dumps({"rules": [{
    "rulePriority": 1, "action": {"type": "expire"}, "description": "untagged",
    "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 1},
}]})  # fmt: skip
TAGS = [{"Key": "team", "Value": "ml"}]


def statement(action, resource="*", **more):
    said = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [said]}


def bucket_policy(action):
    return statement(action, "arn:aws:s3:::bucket-2/*", **ANYONE)


@dataclass
class Case:
    """A type with its properties, those of an update, and what reading shows after each."""

    kind: str
    properties: dict[str, Any]
    read: tuple[str, str, dict[str, Any], str]  # service, method, parameters, jmespath
    shown: Any
    changed: dict[str, Any] = field(default_factory=dict)
    then: Any = None
    beside: dict[str, Any] = field(default_factory=dict)
    lacks: str = ""  # the operation that moto lacks and a service of ours will bring
    stays: bool = False  # what it sets is left when it goes


CASES = [
    Case(
        "AWS::S3::Bucket", {"BucketName": "bucket-1", "Tags": TAGS},
        ("s3", "get_bucket_tagging", {"Bucket": "$"}, "TagSet"), TAGS,
        {"Tags": [{"Key": "team", "Value": "x"}]}, [{"Key": "team", "Value": "x"}],
    ),
    Case(
        "AWS::S3::Bucket",
        {"BucketEncryption": {"ServerSideEncryptionConfiguration": [{
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
        }]}},
        ("s3", "get_bucket_encryption", {"Bucket": "$"},
         ("ServerSideEncryptionConfiguration.Rules[0].[BucketKeyEnabled, "
          "ApplyServerSideEncryptionByDefault.KMSMasterKeyID]")), [True, KEY],
        {"BucketEncryption": {"ServerSideEncryptionConfiguration": [
            {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}}, [False, None],
    ),
    Case(
        "AWS::S3::Bucket", {"VersioningConfiguration": {"Status": "Enabled"}},
        ("s3", "get_bucket_versioning", {"Bucket": "$"}, "Status"), "Enabled",
        {"VersioningConfiguration": None}, "Suspended",
    ),
    Case(
        "AWS::S3::Bucket",
        {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": "true"}},
        ("s3", "get_public_access_block", {"Bucket": "$"},
         "PublicAccessBlockConfiguration.[BlockPublicAcls, BlockPublicPolicy, IgnorePublicAcls]"),
        [True, True, False],
        {"PublicAccessBlockConfiguration": {"IgnorePublicAcls": True}}, [False, False, True],
    ),
    Case(
        "AWS::S3::Bucket",
        {"LifecycleConfiguration": {"Rules": [
            {"Id": "a", "Status": "Enabled", "ExpirationInDays": 30, "Prefix": "p/",
             "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
            {"Id": "b", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 9},
             "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 5}]}]}},
        ("s3", "get_bucket_lifecycle_configuration", {"Bucket": "$"},
         ("Rules[].[ID, Filter.Prefix, Expiration.Days, Transitions[0].Days, "
          "NoncurrentVersionExpiration.NoncurrentDays, "
          "AbortIncompleteMultipartUpload.DaysAfterInitiation]")),
        [["a", "p/", 30, None, None, 7], ["b", "", None, 5, 9, None]],
        {"LifecycleConfiguration": {"Rules": [{"Id": "c", "Status": "Enabled",
                                               "ExpirationInDays": 1}]}},
        [["c", "", 1, None, None, None]],
    ),
    Case(
        "AWS::S3::Bucket",
        {"CorsConfiguration": {"CorsRules": [
            {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.sagemaker.aws"],
             "ExposedHeaders": ["ETag"], "AllowedHeaders": ["*"], "MaxAge": 3}]}},
        ("s3", "get_bucket_cors", {"Bucket": "$"},
         "CORSRules[0].[AllowedOrigins[0], ExposeHeaders[0], MaxAgeSeconds]"),
        ["https://*.sagemaker.aws", "ETag", 3],
    ),
    Case(
        "AWS::S3::Bucket",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
        ("s3", "get_bucket_ownership_controls", {"Bucket": "$"},
         "OwnershipControls.Rules[0].ObjectOwnership"), "BucketOwnerEnforced",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}}, "ObjectWriter",
    ),
    Case(
        "AWS::S3::Bucket",
        {"NotificationConfiguration": {"QueueConfigurations": [
            {"Event": "s3:ObjectCreated:*",
             "Queue": {"Fn::Select": [0, [{"Fn::GetAtt": ["Q", "Arn"]}, {"Ref": "Allowed"}]]},
             "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "in/"}]}}}]}},
        ("s3", "get_bucket_notification_configuration", {"Bucket": "$"},
         "QueueConfigurations[].[Events[0], Filter.Key.FilterRules[0].Value]"),
        [["s3:ObjectCreated:*", "in/"]],
        beside={"Q": {"Type": "AWS::SQS::Queue"}, "Allowed": {
            "Type": "AWS::SQS::QueuePolicy", "Properties": {
                "Queues": [{"Ref": "Q"}],
                "PolicyDocument": statement(
                    "sqs:SendMessage", Principal={"Service": "s3.amazonaws.com"})}}},
    ),
    Case(
        "AWS::S3::Bucket",
        {"AccessControl": "LogDeliveryWrite",
         "OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
        ("s3", "get_bucket_acl", {"Bucket": "$"}, "Grants[].Permission"),
        ["FULL_CONTROL", "WRITE", "READ_ACP"],
    ),
    Case(
        "AWS::S3::Bucket", {"AccessControl": "BucketOwnerFullControl"},
        ("s3", "get_bucket_acl", {"Bucket": "$"}, "Grants[].Permission"), ["FULL_CONTROL"],
    ),
    Case(
        "AWS::S3::BucketPolicy", {"Bucket": {"Ref": "B"}, "PolicyDocument": bucket_policy("s3:*")},
        ("s3", "get_bucket_policy", {"Bucket": "$B"}, "Policy"), bucket_policy("s3:*"),
        {"PolicyDocument": bucket_policy("s3:Get*")}, bucket_policy("s3:Get*"),
        {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "bucket-2"}}},
    ),
    Case(
        "AWS::KMS::Key",
        {"KeyPolicy": statement("kms:*", **ANYONE), "EnableKeyRotation": True, "Description": "a",
         "Tags": TAGS, "PendingWindowInDays": 7},
        ("kms", "describe_key", {"KeyId": "$"}, "KeyMetadata.[Description, KeyState]"),
        ["a", "Enabled"], {"Description": "b"}, ["b", "Enabled"],
    ),
    Case(
        "AWS::KMS::Key", {"KeyPolicy": statement("kms:*", **ANYONE), "EnableKeyRotation": True},
        ("kms", "get_key_rotation_status", {"KeyId": "$"}, "KeyRotationEnabled"), True,
        {"EnableKeyRotation": False}, False,
    ),
    Case(
        "AWS::KMS::Key", {"KeyPolicy": statement("kms:*", **ANYONE)},
        ("kms", "get_key_policy", {"KeyId": "$", "PolicyName": "default"}, "Policy"),
         statement("kms:*", **ANYONE),
        {"KeyPolicy": statement("kms:Put*", **ANYONE)}, statement("kms:Put*", **ANYONE),
    ),
    Case(
        "AWS::KMS::Alias", {"AliasName": "alias/a", "TargetKeyId": {"Ref": "K"}},
        ("kms", "list_aliases", {}, "Aliases[?AliasName=='alias/a'].TargetKeyId | length(@)"), 1,
         {"TargetKeyId": {"Ref": "L"}}, 1,
        {name: {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": statement("kms:*", **ANYONE)}}
         for name in ("K", "L")},
    ),
    Case(
        "AWS::IAM::Role",
        {"AssumeRolePolicyDocument": TRUST, "Description": "d", "MaxSessionDuration": 7200,
         "PermissionsBoundary": BOUNDARY, "Tags": TAGS,
         "Policies": [{"PolicyName": "p", "PolicyDocument": statement("s3:Get*")}]},
        ("iam", "get_role", {"RoleName": "$"},
         ("Role.[Description, MaxSessionDuration, Tags[0].Value, "
          "PermissionsBoundary.PermissionsBoundaryArn, AssumeRolePolicyDocument]")),
        ["d", 7200, "ml", BOUNDARY, TRUST],
        {"Description": None, "MaxSessionDuration": 3600, "PermissionsBoundary": None, "Tags": []},
        ["", 3600, None, None, TRUST],
    ),
    Case(
        "AWS::IAM::Role",
        {"AssumeRolePolicyDocument": TRUST,
         "Policies": [{"PolicyName": "p", "PolicyDocument": statement("s3:Get*")},
                      {"PolicyName": "q", "PolicyDocument": statement("s3:Put*")}]},
        ("iam", "list_role_policies", {"RoleName": "$"}, "PolicyNames"), ["p", "q"],
        {"Policies": [{"PolicyName": "r", "PolicyDocument": statement("s3:Get*")}]}, ["r"],
    ),
    Case(
        "AWS::IAM::Role", {"AssumeRolePolicyDocument": TRUST, "ManagedPolicyArns": [{"Ref": "M"}]},
        ("iam", "list_attached_role_policies", {"RoleName": "$"}, "length(AttachedPolicies)"), 1,
        {"ManagedPolicyArns": []}, 0,
        {"M": {"Type": "AWS::IAM::ManagedPolicy",
               "Properties": {"PolicyDocument": statement("s3:Get*")}}},
    ),
    Case(
        "AWS::IAM::ManagedPolicy",
        {"PolicyDocument": statement("s3:Get*"), "Roles": [{"Ref": "R"}]},
        ("iam", "get_policy", {"PolicyArn": "$"}, "Policy.[DefaultVersionId, AttachmentCount]"),
        ["v1", 1], {"PolicyDocument": statement("s3:Put*"), "Roles": []}, ["v2", 0],
        {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}},
    ),
    Case(
        "AWS::IAM::Policy",
        {"PolicyName": "p", "PolicyDocument": statement("s3:Get*"), "Roles": [{"Ref": "R"}]},
        ("iam", "list_role_policies", {"RoleName": "$R"}, "PolicyNames"), ["p"],
        {"PolicyName": "q"}, ["q"],
        {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}},
    ),
    Case(
        "AWS::IAM::RolePolicy",
        {"PolicyName": "p", "PolicyDocument": statement("s3:Get*"), "RoleName": {"Ref": "R"}},
        ("iam", "get_role_policy", {"RoleName": "$R", "PolicyName": "p"}, "PolicyDocument"),
        statement("s3:Get*"), {"PolicyDocument": statement("s3:Put*")}, statement("s3:Put*"),
        {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}},
    ),
    Case(
        "AWS::IAM::InstanceProfile", {"Roles": [{"Ref": "R"}]},
        ("iam", "get_instance_profile", {"InstanceProfileName": "$"},
         "length(InstanceProfile.Roles)"), 1,
        beside={"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}},
    ),
    Case(
        "AWS::IAM::OIDCProvider",
        {"Url": "https://token.actions.githubusercontent.com",
         "ClientIdList": ["sts.amazonaws.com"],
         "ThumbprintList": ["a" * 40]},
        ("iam", "get_open_id_connect_provider", {"OpenIDConnectProviderArn": "$"},
         "[ClientIDList[0], ThumbprintList[0]]"), ["sts.amazonaws.com", "a" * 40],
        {"ThumbprintList": ["b" * 40]}, ["sts.amazonaws.com", "b" * 40],
    ),
    Case(
        "AWS::Logs::LogGroup", {"LogGroupName": "/g", "RetentionInDays": 7, "Tags": TAGS},
        ("logs", "describe_log_groups", {}, "logGroups[0].[logGroupName, retentionInDays]"),
        ["/g", 7], {"RetentionInDays": None}, ["/g", None],
    ),
    Case(  # of a type that has no row in the table
        "AWS::Logs::MetricFilter",
        {"LogGroupName": {"Ref": "G"}, "FilterName": "f", "FilterPattern": "ERROR",
         "MetricTransformations": [{"MetricName": "m", "MetricNamespace": "n",
         "MetricValue": "1"}]},
        ("logs", "describe_metric_filters", {},
         "metricFilters[0].[filterPattern, metricTransformations[0].metricName]"), ["ERROR", "m"],
        beside={"G": {"Type": "AWS::Logs::LogGroup"}},
    ),
    Case(
        "AWS::SQS::Queue",
        {"KmsMasterKeyId": "alias/aws/sqs", "MessageRetentionPeriod": 60, "VisibilityTimeout": 99},
        ("sqs", "get_queue_attributes", {"QueueUrl": "$", "AttributeNames": ["All"]},
         "Attributes.[KmsMasterKeyId, MessageRetentionPeriod, VisibilityTimeout]"),
        ["alias/aws/sqs", "60", "99"], {"VisibilityTimeout": None}, ["alias/aws/sqs", "60", "30"],
    ),
    Case(
        "AWS::SQS::Queue", {"FifoQueue": True, "ContentBasedDeduplication": True},
        ("sqs", "get_queue_attributes", {"QueueUrl": "$", "AttributeNames": ["All"]},
         "Attributes.[FifoQueue, ContentBasedDeduplication, DelaySeconds]"), ["true", "true", "0"],
        {"DelaySeconds": 1}, ["true", "true", "1"],
    ),
    Case(
        "AWS::SQS::QueuePolicy", {"Queues": [{"Ref": "Q"}], "PolicyDocument": statement("sqs:*",
        **ANYONE)},
        ("sqs", "get_queue_attributes", {"QueueUrl": "$Q", "AttributeNames": ["All"]},
         "Attributes.Policy"), statement("sqs:*", **ANYONE),
        {"PolicyDocument": statement("sqs:Get*", **ANYONE)}, statement("sqs:Get*", **ANYONE),
        {"Q": {"Type": "AWS::SQS::Queue"}},
    ),
    Case(
        "AWS::SNS::Topic", {"DisplayName": "a", "KmsMasterKeyId": "alias/aws/sns", "Tags": TAGS,
                            "Subscription": [{"Protocol": "email", "Endpoint": "a@example.com"}]},
        ("sns", "get_topic_attributes", {"TopicArn": "$"},
         "Attributes.[DisplayName, KmsMasterKeyId, SubscriptionsPending]"),
        ["a", "alias/aws/sns", "0"], {"DisplayName": "b"}, ["b", "alias/aws/sns", "0"],
    ),
    Case(
        "AWS::SNS::Topic",
        {"Subscription": [{"Protocol": "sqs", "Endpoint": ARN.format("sqs", "q")}]},
        ("sns", "list_subscriptions_by_topic", {"TopicArn": "$"}, "Subscriptions[].Endpoint"),
        [ARN.format("sqs", "q")],
        {"Subscription": [{"Protocol": "sqs", "Endpoint": ARN.format("sqs", "r")}]},
        [ARN.format("sqs", "r")],
    ),
    Case(
        "AWS::SNS::TopicPolicy", {"Topics": [{"Ref": "T"}],
        "PolicyDocument": statement("sns:Publish", **ANYONE)},
        ("sns", "get_topic_attributes", {"TopicArn": "$T"}, "Attributes.Policy"),
        statement("sns:Publish", **ANYONE), {"PolicyDocument": statement("sns:Subscribe",
         **ANYONE)},
        statement("sns:Subscribe", **ANYONE), {"T": {"Type": "AWS::SNS::Topic"}},
    ),
    Case(
        "AWS::SNS::Subscription",
        {"TopicArn": {"Ref": "T"}, "Protocol": "sqs", "Endpoint": ARN.format("sqs", "q"),
         "FilterPolicy": {"a": ["b"]}, "RawMessageDelivery": True},
        ("sns", "get_subscription_attributes", {"SubscriptionArn": "$"},
         "Attributes.[RawMessageDelivery, FilterPolicy]"), ["true", '{"a": ["b"]}'],
        {"FilterPolicy": {"a": ["c"]}}, ["true", '{"a": ["c"]}'],
         {"T": {"Type": "AWS::SNS::Topic"}},
    ),
    Case(
        "AWS::Events::Rule",
        {"EventPattern": {"source": ["aws.sagemaker"]}, "Description": "a", "State": "ENABLED",
         "Targets": [{"Id": "q", "Arn": ARN.format("sqs", "q"),
                      "RetryPolicy": {"MaximumRetryAttempts": 3},
                      "DeadLetterConfig": {"Arn": ARN.format("sqs", "d")}}]},
        ("events", "list_targets_by_rule", {"Rule": "$"},
         "Targets[].[Id, RetryPolicy.MaximumRetryAttempts, DeadLetterConfig.Arn]"),
        [["q", 3, ARN.format("sqs", "d")]],
        {"Targets": [{"Id": "r", "Arn": ARN.format("sqs", "r")}]}, [["r", None, None]],
    ),
    Case(
        "AWS::Events::Rule", {"ScheduleExpression": "rate(1 hour)", "Description": "a",
        "Tags": TAGS},
        ("events", "describe_rule", {"Name": "$"}, "[ScheduleExpression, Description, State]"),
        ["rate(1 hour)", "a", "ENABLED"], {"State": "DISABLED", "Description": "b"},
        ["rate(1 hour)", "b", "DISABLED"],
    ),
    Case(
        "AWS::Events::EventBusPolicy",
        {"StatementId": "org", "EventBusName": {"Ref": "B"},
         "Statement": {"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents",
                       "Resource": {"Fn::GetAtt": ["B", "Arn"]}}},
        ("events", "describe_event_bus", {"Name": "$B"}, "Policy"),
        {"Version": "2012-10-17", "Statement": [{
            "Sid": "org", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents",
            "Resource": ARN.format("events", "event-bus/hub")}]},
        beside={"B": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "hub"}}},
    ),
    Case(
        "AWS::Lambda::Function",
        {"Code": {"ZipFile": "def handler(e, c): pass"}, "Handler": "index.handler",
         "Runtime": "python3.13", "Role": ROLE, "Timeout": 9, "MemorySize": 256,
         "Environment": {"Variables": {"ENV": "b", "NUM": 1}}, "Description": "a"},
        ("lambda", "get_function_configuration", {"FunctionName": "$"},
         "[Timeout, MemorySize, Environment.Variables, Description, Runtime]"),
        [9, 256, {"ENV": "b", "NUM": "1"}, "a", "python3.13"],
        {"Timeout": None, "Environment": None, "Description": "b",
         "Code": {"ZipFile": "def handler(e, c): return 1"}},
        [3, 256, None, "b", "python3.13"],
    ),
]  # fmt: skip
