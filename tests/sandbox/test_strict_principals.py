"""A role that is deleted and made anew is another one, for policies that named it and sessions."""

from __future__ import annotations

import json

import pytest
from access import allow, document, make_role, refused, trusting
from test_lambda import zipped

DEV = "333333333333"
READER = f"arn:aws:iam::{DEV}:role/reader"
REGION = "eu-west-1"
CODE = zipped("def h(event, context): ...")


def remake(sandbox, *statements):
    """Delete the role `reader`, make it anew with the same rights, and return the id it had."""
    iam = sandbox.client("iam")
    number = iam.get_role(RoleName="reader")["Role"]["RoleId"]
    for name in iam.list_role_policies(RoleName="reader")["PolicyNames"]:
        iam.delete_role_policy(RoleName="reader", PolicyName=name)
    iam.delete_role(RoleName="reader")
    make_role(sandbox, "reader", *statements)
    return number


def naming(*principals, **more):
    named = principals[0] if len(principals) == 1 else list(principals)
    return document(allow("*", Principal={"AWS": named}, **more))


# Where a policy is put, and how it is read back

POLICIES = {
    "s3": (
        lambda c, text: c.put_bucket_policy(Bucket="bucket-a", Policy=text),
        lambda c: c.get_bucket_policy(Bucket="bucket-a")["Policy"],
    ),
    "sqs": (
        lambda c, text: c.create_queue(QueueName="q", Attributes={"Policy": text}),
        lambda c: c.get_queue_attributes(
            QueueUrl=c.get_queue_url(QueueName="q")["QueueUrl"], AttributeNames=["Policy"]
        )["Attributes"]["Policy"],
    ),
    "sns": (
        lambda c, text: c.create_topic(Name="t", Attributes={"Policy": text}),
        lambda c: c.get_topic_attributes(TopicArn=f"arn:aws:sns:{REGION}:{DEV}:t")["Attributes"][
            "Policy"
        ],
    ),
    "kms": (
        lambda c, text: c.create_alias(
            AliasName="alias/a", TargetKeyId=c.create_key(Policy=text)["KeyMetadata"]["KeyId"]
        ),
        lambda c: c.get_key_policy(
            KeyId=c.describe_key(KeyId="alias/a")["KeyMetadata"]["KeyId"], PolicyName="default"
        )["Policy"],
    ),
    "ecr": (
        lambda c, text: c.set_repository_policy(repositoryName="repo", policyText=text),
        lambda c: c.get_repository_policy(repositoryName="repo")["policyText"],
    ),
    "secretsmanager": (
        lambda c, text: c.put_resource_policy(SecretId="s", ResourcePolicy=text),
        lambda c: c.get_resource_policy(SecretId="s")["ResourcePolicy"],
    ),
    "iam": (
        lambda c, text: c.create_role(RoleName="other", AssumeRolePolicyDocument=text),
        lambda c: c.get_role(RoleName="other")["Role"]["AssumeRolePolicyDocument"],
    ),
}


@pytest.fixture
def holders(sandbox):
    place = {"LocationConstraint": REGION}
    sandbox.client("s3").create_bucket(Bucket="bucket-a", CreateBucketConfiguration=place)
    sandbox.client("ecr").create_repository(repositoryName="repo")
    sandbox.client("secretsmanager").create_secret(Name="s", SecretString="x")
    make_role(sandbox, "reader", allow("*"))
    return sandbox


@pytest.mark.parametrize("service", POLICIES)
def test_a_policy_names_the_id_of_who_is_gone(holders, service):
    put, read = POLICIES[service]
    client, root = holders.client(service), f"arn:aws:iam::{DEV}:root"
    session = f"arn:aws:sts::{DEV}:assumed-role/reader/me"
    more = {"Condition": {"StringNotEquals": {"aws:PrincipalArn": READER}}}
    text = naming(READER, root, session, **more)
    if service == "iam":
        text = trusting({"AWS": [READER, root, session]}, **more)
    if service == "s3":
        text = naming(READER, root, session, resource="arn:aws:s3:::bucket-a/*", **more)
    put(client, text)
    number = remake(holders)
    said = read(client)
    statements = (said if isinstance(said, dict) else json.loads(said))["Statement"]
    assert statements[0]["Principal"]["AWS"] == [number, root, f"{number}:me"]
    assert statements[0]["Condition"] == more["Condition"]
    again = text.replace("other", "another")
    put_again = put if service not in {"sqs", "sns", "iam", "kms"} else None
    if put_again:  # the policy that is put anew means the new role
        put_again(client, again)
        assert READER in json.dumps(read(client))


def test_a_function_s_policy_too(sandbox):
    make_role(sandbox, "reader")
    role = make_role(sandbox, "r", trust=trusting({"Service": "lambda.amazonaws.com"}))
    client = sandbox.client("lambda")
    client.create_function(
        FunctionName="f", Runtime="python3.13", Handler="i.h", Role=role, Code={"ZipFile": CODE}
    )
    client.add_permission(
        FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal=READER
    )
    number = remake(sandbox)
    (said,) = json.loads(client.get_policy(FunctionName="f")["Policy"])["Statement"]
    assert said["Principal"] == {"AWS": number}


def test_the_new_role_is_let_in_only_when_the_policy_is_put_anew(sandbox):
    make_role(sandbox, "reader")
    sqs = sandbox.client("sqs")
    url = sqs.create_queue(QueueName="q", Attributes={"Policy": naming(READER)})["QueueUrl"]
    sandbox.client("sqs", role="reader").get_queue_attributes(QueueUrl=url)
    remake(sandbox)
    new = sandbox.client("sqs", role="reader", RoleSessionName="new")
    with refused("AccessDenied"):
        new.get_queue_attributes(QueueUrl=url)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": naming(READER)})
    new.get_queue_attributes(QueueUrl=url)


def test_a_trust_policy_means_the_role_that_was(sandbox):
    make_role(sandbox, "reader", allow("sts:AssumeRole"))
    make_role(sandbox, "other", trust=trusting({"AWS": READER}))
    other = {"RoleArn": f"arn:aws:iam::{DEV}:role/other", "RoleSessionName": "me"}
    sandbox.client("sts", role="reader").assume_role(**other)
    remake(sandbox, allow("sts:AssumeRole"))
    with refused("AccessDenied"):
        sandbox.client("sts", role="reader", RoleSessionName="new").assume_role(**other)


def test_a_session_ends_with_its_role(sandbox):
    make_role(sandbox, "reader", allow("sqs:*"))
    old = sandbox.client("sqs", role="reader")
    old.list_queues()
    remake(sandbox, allow("sqs:*"))
    with refused("AccessDenied", "deleted"):
        old.list_queues()
    sandbox.client("sqs", role="reader", RoleSessionName="new").list_queues()


def test_an_id_is_no_principal_to_put(sandbox):
    make_role(sandbox, "reader")
    number = remake(sandbox)
    with refused("InvalidAttributeValue", number, "ARN"):
        sandbox.client("sqs").create_queue(QueueName="q", Attributes={"Policy": naming(number)})


def test_a_deletion_that_fails_renames_nothing(sandbox):
    make_role(sandbox, "reader", allow("sqs:*"))
    make_role(sandbox, "other", trust=trusting({"AWS": READER}))
    iam = sandbox.client("iam")
    with refused("DeleteConflict"):
        iam.delete_role(RoleName="reader")
    said = iam.get_role(RoleName="other")["Role"]["AssumeRolePolicyDocument"]
    assert said["Statement"][0]["Principal"]["AWS"] == READER


def test_the_user_id_is_the_role_s_and_the_session_s(sandbox):
    make_role(sandbox, "reader")
    number = sandbox.client("iam").get_role(RoleName="reader")["Role"]["RoleId"]
    only = {"StringLike": {"aws:userid": f"{number}:*"}}
    iam = sandbox.client("iam")
    text = document(allow("sqs:ListQueues", Condition=only))
    iam.put_role_policy(RoleName="reader", PolicyName="own", PolicyDocument=text)
    sandbox.client("sqs", role="reader").list_queues()
