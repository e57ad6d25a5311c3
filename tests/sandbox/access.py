"""Helpers of these tests: roles with policies, and what a denial looks like."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError


def document(*statements, **one):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements) or [one]})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trusting(principal, **more):
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


def make_role(sandbox, name, *statements, account="dev", trust=None, **more):
    """Create a role that its own account may assume, with one inline policy; return its ARN."""
    iam = sandbox.client("iam", account)
    root = {"AWS": f"arn:aws:iam::{sandbox.account(account)}:root"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust or trusting(root), **more)
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
    return made["Role"]["Arn"]


@contextmanager
def refused(code, *words):
    """Expect a ClientError of that code whose message has these words."""
    with pytest.raises(ClientError) as caught:
        yield caught
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    for word in words:
        assert word in error["Message"]
