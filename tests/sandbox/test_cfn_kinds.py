"""Types of resources: each is made, changed and removed by a stack, and read back through boto3."""

from __future__ import annotations

import json

import cfn_cases
import cfn_cases_api
import cfn_cases_more
import jmespath
import pytest
from botocore.exceptions import ClientError
from cfn_stacks import create, delete, history, one, physical, reason, update

CASES = cfn_cases.CASES + cfn_cases_more.CASES + cfn_cases_api.CASES


def names():
    seen: dict[str, int] = {}
    for case in CASES:
        seen[case.kind] = seen.get(case.kind, 0) + 1
        noun = case.kind.removeprefix("AWS::").replace("::", "")
        properties = "" if seen[case.kind] == 1 else next(iter(case.properties))
        yield f"{noun}{properties and '-'}{properties}"


def fill(value, cf):
    """Put physical ids in the place of `$` (Thing), `$Id` and `$@Attribute`."""
    if isinstance(value, list):
        return [fill(item, cf) for item in value]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    found = physical(cf, "s", value[1:] if value[1:2] != "@" and value[1:] else "Thing")
    return found.rpartition("/")[2] if value[1:2] == "@" else found


def look(sandbox, case, asked):
    service, method, _, expression = case.read
    answer = getattr(sandbox.client(service), method)(**asked)
    found = jmespath.search(expression, answer)
    if isinstance(found, str) and found.startswith('{"') and not isinstance(case.shown, str):
        return json.loads(found) if not isinstance(case.shown, list) else found
    return found


@pytest.mark.parametrize("case", CASES, ids=list(names()))
def test_a_type(sandbox, case):
    cf = sandbox.client("cloudformation")
    thing = {"Type": case.kind, "Properties": case.properties}
    stack = create(cf, "s", {"Thing": thing, **case.beside})
    assert stack["StackStatus"] == "CREATE_COMPLETE", reason(cf, "s")
    asked = {key: fill(value, cf) for key, value in case.read[2].items()}
    assert look(sandbox, case, asked) == case.shown
    if case.changed:
        was = physical(cf, "s")
        merged = {**case.properties, **case.changed}
        thing["Properties"] = {key: value for key, value in merged.items() if value is not None}
        stack = update(cf, "s", {"Thing": thing, **case.beside})
        assert stack["StackStatus"] == "UPDATE_COMPLETE", reason(cf, "s")
        assert physical(cf, "s") == was
        assert look(sandbox, case, asked) == case.then
    if delete(cf, "s")["StackStatus"] == "DELETE_FAILED" and case.lacks:
        told = str(history(cf, stack["StackId"]))
        assert case.lacks in told
        assert "NotImplementedInSandbox" in told
        return
    assert not cf.describe_stacks()["Stacks"], history(cf, stack["StackId"])
    if case.stays:
        assert look(sandbox, case, asked) == case.shown
        return
    try:
        assert look(sandbox, case, asked) in (None, [], {}, 0) or case.kind == "AWS::KMS::Key"
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404)  # noqa: PT017


def test_a_membership_goes_with_its_stack(sandbox):
    cf, iam = sandbox.client("cloudformation"), sandbox.client("iam")
    iam.create_user(UserName="u")
    iam.create_group(GroupName="g")
    create(cf, "s", one("AWS::IAM::UserToGroupAddition", {"GroupName": "g", "Users": ["u"]}))
    assert [each["GroupName"] for each in iam.list_groups_for_user(UserName="u")["Groups"]] == ["g"]
    delete(cf, "s")
    assert iam.list_groups_for_user(UserName="u")["Groups"] == []


def test_an_acl_needs_ownership_that_allows_it(sandbox):
    cf = sandbox.client("cloudformation")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    asked = {"AccessControl": "LogDeliveryWrite", "OwnershipControls": enforced}
    create(cf, "s", one("AWS::S3::Bucket", asked))
    assert "Thing (AWS::S3::Bucket): property AccessControl" in reason(cf, "s")
    assert sandbox.client("s3").list_buckets()["Buckets"] == []
