"""The owner's stack: what its function adds to policies of others, and takes away again."""

import json
import sys
import types

import pytest
from conftest import ROOT

from seedbed import cfn

PATH = ROOT / "servicecatalog" / "products" / "feature-group-share.yml"
TEMPLATE = cfn.load(PATH.read_text("utf-8"), str(PATH))
ARN = "arn:aws:lambda:eu-west-1:111122223333:function:grants"
WANTED = {
    "Name": "churn-features",
    "Accounts": ["222233334444", "333344445555"],
    "Roles": "seedbed-*-execution-*",
    "Location": "s3://store/offline/",
    "Key": "arn:aws:kms:eu-west-1:111122223333:key/0a1b",
    "Database": "sagemaker_featurestore",
}
OTHERS = {"Sid": "Others", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}


class ClientError(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


class NoPolicyError(Exception):
    pass


class Account:
    """Answers as S3, Glue and KMS do, of one bucket, one catalog and one key."""

    class exceptions:  # noqa: N801 (boto3's own name)
        ClientError = ClientError
        EntityNotFoundException = NoPolicyError

    def __init__(self, policy=None):
        self.bucket, self.catalog, self.grants = policy, None, {}

    def get_bucket_policy(self, Bucket):  # noqa: N803
        assert Bucket == "store"
        if self.bucket is None:
            raise ClientError("NoSuchBucketPolicy")
        return {"Policy": json.dumps(self.bucket)}

    def put_bucket_policy(self, Bucket, Policy):  # noqa: ARG002, N803
        self.bucket = json.loads(Policy)

    def delete_bucket_policy(self, Bucket):  # noqa: ARG002, N803
        self.bucket = None

    def get_resource_policy(self):
        if self.catalog is None:
            raise NoPolicyError
        return {"PolicyInJson": json.dumps(self.catalog), "PolicyHash": "hash"}

    def put_resource_policy(self, PolicyInJson, EnableHybrid, **guard):  # noqa: N803
        assert EnableHybrid == "TRUE"
        assert (self.catalog is None) == (not guard)
        self.catalog = json.loads(PolicyInJson)

    def delete_resource_policy(self, PolicyHashCondition):  # noqa: N803
        assert PolicyHashCondition == "hash"
        self.catalog = None

    def get_paginator(self, _):
        return self

    def paginate(self, KeyId):  # noqa: ARG002, N803
        return [{"Grants": [{"Name": n, "GrantId": n} for n in self.grants]}]

    def create_grant(self, Name, **grant):  # noqa: N803
        self.grants[Name] = grant

    def revoke_grant(self, KeyId, GrantId):  # noqa: ARG002, N803
        del self.grants[GrantId]


@pytest.fixture
def function(monkeypatch):
    """Return the function's code as a namespace, and what it answered to CloudFormation."""
    answers = []

    def send(_event, _context, status, *_, **more):
        answers.append((status, more.get("reason")))

    fake = types.SimpleNamespace(SUCCESS="SUCCESS", FAILED="FAILED", send=send)
    monkeypatch.setitem(sys.modules, "cfnresponse", fake)
    made = {"answers": answers}
    code = TEMPLATE["Resources"]["GrantFunction"]["Properties"]["Code"]["ZipFile"]
    exec(compile(code, "grants", "exec"), made)  # noqa: S102 (our own template)
    return made


def change(function, account, *, add=True, **wanted):
    function["change"]({**WANTED, **wanted}, ARN, add, client=lambda _: account)


def sids(policy):
    return [statement["Sid"] for statement in policy["Statement"]]


def test_statements_are_added_to_what_others_wrote(function):
    account = Account({"Version": "2012-10-17", "Statement": [OTHERS]})
    change(function, account)
    assert sids(account.bucket) == [
        "Others",
        "SharechurnXfeaturesXFiles",
        "SharechurnXfeaturesXBucket",
    ]
    files = account.bucket["Statement"][1]
    assert files["Action"] == ["s3:GetObject"]
    assert files["Resource"] == "arn:aws:s3:::store/offline/*"
    assert files["Condition"]["ArnLike"]["aws:PrincipalArn"] == [
        f"arn:aws:iam::{account_id}:role/seedbed-*-execution-*" for account_id in WANTED["Accounts"]
    ]
    tables = account.catalog["Statement"][0]
    assert all(action.startswith("glue:") for action in tables["Action"])
    assert not [
        action for action in tables["Action"] if not action[5:].startswith(("Get", "BatchGet"))
    ]
    assert tables["Resource"][0] == "arn:aws:glue:eu-west-1:111122223333:catalog"
    assert {g["Operations"][0] for g in account.grants.values()} == {"Decrypt"}


def test_the_same_again_changes_nothing(function):
    account = Account({"Version": "2012-10-17", "Statement": [OTHERS]})
    change(function, account)
    before = json.dumps([account.bucket, account.catalog, account.grants])
    change(function, account)
    assert json.dumps([account.bucket, account.catalog, account.grants]) == before


def test_an_account_that_leaves_loses_all(function):
    account = Account()
    change(function, account)
    change(function, account, Accounts=["222233334444"])
    assert "333344445555" not in json.dumps([account.bucket, account.catalog, account.grants])


@pytest.mark.parametrize("name", ["churn-features-2", "churn-featuresx", "churnfeatures", "churn"])
def test_two_shares_of_one_bucket_do_not_meet(name, function):
    account = Account()
    change(function, account)
    change(function, account, Name=name)
    change(function, account, add=False)
    prefix = f"Share{name.replace('-', 'X')}X"
    assert sids(account.bucket) == [f"{prefix}Files", f"{prefix}Bucket"]
    assert len(account.grants) == 2


def test_removed_with_the_stack_and_others_stay(function):
    account = Account({"Version": "2012-10-17", "Statement": [OTHERS]})
    change(function, account)
    change(function, account, add=False)
    assert account.bucket["Statement"] == [OTHERS]
    assert (account.catalog, account.grants) == (None, {})


def test_cloudformation_hears_of_a_failure(function):
    def refuse(*_):
        raise ClientError("AccessDenied")

    function["change"] = refuse
    context = types.SimpleNamespace(invoked_function_arn=ARN)
    function["handler"]({"RequestType": "Create", "ResourceProperties": WANTED}, context)
    assert function["answers"] == [("FAILED", "AccessDenied")]


def test_ram_names_are_the_documented_ones():
    names = {entry["Name"] for entry in TEMPLATE["Mappings"]["Permissions"].values()}
    assert names == {
        "AWSRAMPermissionSageMakerFeatureGroupReadOnly",
        "AWSRAMPermissionSagemakerFeatureGroupReadWrite",
        "AWSRAMPermissionSagemakerFeatureGroupAdmin",
    }
