"""Requests judged again with one grant less."""

from __future__ import annotations

import json

import pytest
from access import allow, document, make_role, refused
from revoking import revoked

ACCOUNT = "arn:aws:iam::333333333333"


def grants(sandbox, holder):
    """Return what the grants on a holder were worth: statement and action -> needed, spared."""
    return {
        (one["statement"], one["action"]): (one["needed"], one["spared"])
        for one in sandbox.grants()
        if one["holder"] == holder
    }


def test_a_grant_is_needed_where_nothing_else_allows(sandbox):
    arn = make_role(
        sandbox, "r", allow(["sqs:ListQueues", "sqs:Create*", "sqs:DeleteQueue"], Sid="Queues")
    )
    sqs = sandbox.client("sqs", role=arn)
    sqs.create_queue(QueueName="q")
    sqs.list_queues()
    with refused("AccessDenied"):
        sqs.get_queue_url(QueueName="q")
    assert grants(sandbox, arn) == {
        ("r/own#Queues", "sqs:Create*"): (["sqs:CreateQueue"], []),
        ("r/own#Queues", "sqs:ListQueues"): (["sqs:ListQueues"], []),
    }


def test_a_grant_is_spared_where_another_allows_the_same(sandbox):
    arn = make_role(sandbox, "r", allow("sqs:*"), allow("sqs:ListQueues"))
    sandbox.client("sqs", role=arn).list_queues()
    assert grants(sandbox, arn) == {
        ("r/own#0", "sqs:*"): ([], ["sqs:ListQueues"]),
        ("r/own#1", "sqs:ListQueues"): ([], ["sqs:ListQueues"]),
    }
    (one, two) = (one for one in sandbox.grants() if one["holder"] == arn)
    assert (one["instead"], two["instead"]) == (["r/own#1"], ["r/own#0"])


def test_what_a_condition_excludes_stands_in_for_nothing(sandbox):
    elsewhere = {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
    arn = make_role(sandbox, "r", allow("sqs:*"), allow("sqs:*", Condition=elsewhere))
    sandbox.client("sqs", role=arn).list_queues()
    assert grants(sandbox, arn) == {("r/own#0", "sqs:*"): (["sqs:ListQueues"], [])}


def test_key_policies_and_boundaries_are_grants_too(sandbox):
    iam = sandbox.client("iam")
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=document(allow("kms:*")))
    arn = make_role(sandbox, "r", allow("kms:Encrypt"), PermissionsBoundary=limit["Policy"]["Arn"])
    key = sandbox.client("kms").create_key()["KeyMetadata"]["Arn"]
    sandbox.client("kms", role=arn).encrypt(KeyId=key, Plaintext=b"x")
    need = (["kms:Encrypt"], [])
    assert grants(sandbox, arn) == {
        (f"{ACCOUNT}:policy/limit#0", "kms:*"): need,
        ("r/own#0", "kms:Encrypt"): need,
    }
    ((statement, action),) = grants(sandbox, key)
    assert statement.startswith(f"policy of {key}#")
    assert action == "kms:*"


def test_trust_is_a_grant_to_whom_it_names(sandbox):
    actor = make_role(sandbox, "actor", allow("sts:AssumeRole"))
    said = [
        {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}
        for sid, arn in (("Other", f"{ACCOUNT}:role/other"), ("Actor", actor))
    ]
    make_role(sandbox, "other")
    target = make_role(sandbox, "target", trust=document(*said))
    sandbox.client("sts", role=actor).assume_role(RoleArn=target, RoleSessionName="s-1")
    used = ["sts:AssumeRole"]
    assert grants(sandbox, target) == {("target/trust#Actor", "sts:AssumeRole"): (used, [])}
    # Within an account, a trust policy that names the role itself is enough.
    assert grants(sandbox, actor) == {("actor/own#0", "sts:AssumeRole"): ([], used)}


def test_what_was_denied_used_no_grant(sandbox):
    arn = make_role(sandbox, "r", allow("sqs:*"), {**allow("sqs:ListQueues"), "Effect": "Deny"})
    with refused("AccessDenied"):
        sandbox.client("sqs", role=arn).list_queues()
    assert grants(sandbox, arn) == {}


def test_requests_are_judged_with_what_was_there(sandbox):
    arn = make_role(sandbox, "r", allow("sqs:ListQueues"))
    sandbox.client("sqs", role=arn).list_queues()
    before = grants(sandbox, arn)
    sandbox.client("iam").delete_role_policy(RoleName="r", PolicyName="own")
    assert (
        grants(sandbox, arn) == before == {("r/own#0", "sqs:ListQueues"): (["sqs:ListQueues"], [])}
    )


def test_who_may_not_list_a_bucket_is_not_told_what_it_lacks(sandbox):
    place = {"LocationConstraint": sandbox.region}
    sandbox.client("s3").create_bucket(Bucket="b-1", CreateBucketConfiguration=place)
    arn = make_role(sandbox, "r", allow("s3:GetObject"), allow("s3:ListBucket"))
    with refused("NoSuchKey"):
        sandbox.client("s3", role=arn).get_object(Bucket="b-1", Key="k")
    assert grants(sandbox, arn)["r/own#1", "s3:ListBucket"] == (["s3:GetObject"], [])


@pytest.mark.parametrize("listed", ["sqs:ListQueues", ["sqs:ListQueues", "sqs:CreateQueue"]])
def test_revoked_takes_one_action_and_puts_it_back(sandbox, listed):
    arn = make_role(sandbox, "r", allow(listed, Sid="Queues"))
    sqs = sandbox.client("sqs", role=arn)
    with revoked(sandbox, arn, "r/own#Queues", "sqs:ListQueues"):
        with refused("AccessDenied"):
            sqs.list_queues()
        said = sandbox.client("iam").get_role_policy(RoleName="r", PolicyName="own")
        assert ("sqs:CreateQueue" in json.dumps(said["PolicyDocument"])) is (len(listed) == 2)
    sqs.list_queues()
