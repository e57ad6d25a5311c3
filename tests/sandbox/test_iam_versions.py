"""Policies without a version: inline ones are taken, managed ones refused, as IAM does."""

from __future__ import annotations

import json

import pytest
from access import make_role, refused, trusting
from cfn_stacks import create, one, reason

STATEMENT = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}


@pytest.mark.parametrize("version", [{}, {"Version": "2008-10-17"}])
def test_an_inline_policy_needs_no_version_and_counts(sandbox, cf, version):
    document = {**version, "Statement": STATEMENT}
    properties = {
        "RoleName": "reader", "Policies": [{"PolicyName": "p", "PolicyDocument": document}],
        "AssumeRolePolicyDocument": {
            **version,
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": sandbox.account("dev")},
                           "Action": "sts:AssumeRole"}],
        },
    }  # fmt: skip
    made = create(cf, "s", one("AWS::IAM::Role", properties))
    assert made["StackStatus"] == "CREATE_COMPLETE", reason(cf, "s")
    read = sandbox.client("iam").get_role_policy(RoleName="reader", PolicyName="p")
    assert read["PolicyDocument"] == document
    assert sandbox.client("s3", "dev", role="reader").list_buckets()["Buckets"] == []


@pytest.mark.parametrize("version", [{}, {"Version": "2008-10-17"}])
def test_a_managed_policy_names_the_newest_version(sandbox, version):
    with refused("MalformedPolicyDocument", "version 2012-10-17 or greater"):
        sandbox.client("iam").create_policy(
            PolicyName="p", PolicyDocument=json.dumps({**version, "Statement": STATEMENT})
        )


def test_a_number_in_a_condition_needs_no_quotation_marks(sandbox):
    make_role(sandbox, "runner", trust=trusting({"Service": "lambda.amazonaws.com"}))
    said = {**STATEMENT, "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": 300}}}
    iam = sandbox.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": said})
    iam.put_role_policy(RoleName="runner", PolicyName="p", PolicyDocument=document)
    read = iam.get_role_policy(RoleName="runner", PolicyName="p")["PolicyDocument"]
    assert read["Statement"]["Condition"] == said["Condition"]


def test_a_variable_in_an_older_policy_is_refused_by_name(sandbox):
    make_role(sandbox, "runner", trust=trusting({"Service": "lambda.amazonaws.com"}))
    said = {**STATEMENT, "Resource": "arn:aws:s3:::${aws:username}"}
    with refused("NotImplementedInSandbox", "policy variable", "2012-10-17"):
        sandbox.client("iam").put_role_policy(
            RoleName="runner", PolicyName="p", PolicyDocument=json.dumps({"Statement": said})
        )
