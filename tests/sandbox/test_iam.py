"""The evaluator alone: documented evaluation logic, as tables."""

from __future__ import annotations

import pytest

from seedbed.sandbox.conditions import MULTIVALUED, SUPPLIED, Undecided, expand, holds, like
from seedbed.sandbox.iam import EXCEPTIONS, Policies, Policy, Request, decide
from seedbed.sandbox.identity import Principal, root, service_principal

DEV, HUB = "333333333333", "222222222222"
ROLE = Principal(DEV, f"arn:aws:iam::{DEV}:role/build", "role", session_name="s")
KEY = f"arn:aws:kms:eu-west-1:{HUB}:key/k"
OBJECT = "arn:aws:s3:::bucket/key"


def policy(*statements, name="p"):
    filled = [{"Effect": "Allow", "Action": "*", "Resource": "*", **one} for one in statements]
    return Policy(name, {"Version": "2012-10-17", "Statement": filled})


def grant(principal, **more):
    """A resource policy."""
    return policy({"Principal": principal, **more}, name="resource")


ALLOW, DENY = policy({}), policy({"Effect": "Deny"})
NOTHING = policy({"Action": "none:None"})
TO_ROLE, TO_ACCOUNT = {"AWS": ROLE.arn}, {"AWS": f"arn:aws:iam::{DEV}:root"}
TO_SESSION = {"AWS": ROLE.session_arn}


def ask(who=ROLE, owner=DEV, action="s3:GetObject", on=OBJECT, context=None, **policies):
    for plural in ("identity", "sessions"):
        if isinstance(policies.get(plural), Policy):
            policies[plural] = (policies[plural],)
    request = Request(who, action, on, owner, context or {}, Policies(**policies))
    return decide(request)


SAME_ACCOUNT = {
    "nothing": ({}, False),
    "identity": ({"identity": ALLOW}, True),
    "identity deny": ({"identity": (ALLOW, DENY)}, False),
    "resource names the role": ({"resource": grant(TO_ROLE)}, True),
    "resource names everyone": ({"resource": grant("*")}, True),
    "resource names the account: it only delegates": ({"resource": grant(TO_ACCOUNT)}, False),
    "account and identity": ({"resource": grant(TO_ACCOUNT), "identity": ALLOW}, True),
    "resource names another": ({"resource": grant({"AWS": f"arn:aws:iam::{DEV}:role/x"})}, False),
    "resource deny": ({"identity": ALLOW, "resource": grant("*", Effect="Deny")}, False),
    "boundary allows": ({"identity": ALLOW, "boundary": ALLOW}, True),
    "boundary alone grants nothing": ({"boundary": ALLOW}, False),
    "outside the boundary": ({"identity": ALLOW, "boundary": NOTHING}, False),
    "denied by the boundary": ({"identity": ALLOW, "boundary": DENY}, False),
    "boundary cuts a grant to the role": (
        {"resource": grant(TO_ROLE), "boundary": NOTHING},
        False,
    ),
    "boundary does not cut a grant to the session": (
        {"resource": grant(TO_SESSION), "boundary": NOTHING},
        True,
    ),
    "outside the session policy": ({"identity": ALLOW, "sessions": NOTHING}, False),
    "inside the session policy": ({"identity": ALLOW, "sessions": ALLOW}, True),
    "session policy cuts a grant to the role": (
        {"resource": grant(TO_ROLE), "sessions": NOTHING},
        False,
    ),
}


@pytest.mark.parametrize(("policies", "allowed"), SAME_ACCOUNT.values(), ids=SAME_ACCOUNT)
def test_within_an_account(policies, allowed):
    assert ask(**policies).allowed is allowed


ACROSS = {
    "identity alone": ({"identity": ALLOW}, False),
    "resource alone": ({"resource": grant(TO_ROLE)}, False),
    "both, by role": ({"identity": ALLOW, "resource": grant(TO_ROLE)}, True),
    "both, by account": ({"identity": ALLOW, "resource": grant(TO_ACCOUNT)}, True),
    "both, everyone": ({"identity": ALLOW, "resource": grant("*")}, True),
    "boundary cuts": (
        {"identity": ALLOW, "resource": grant(TO_ROLE), "boundary": NOTHING},
        False,
    ),
    "deny there": ({"identity": ALLOW, "resource": grant("*", Effect="Deny")}, False),
}


@pytest.mark.parametrize(("policies", "allowed"), ACROSS.values(), ids=ACROSS)
def test_across_accounts_both_sides_agree(policies, allowed):
    assert ask(owner=HUB, **policies).allowed is allowed


KEYS = {
    "identity without the key policy": (DEV, {"identity": ALLOW}, False),
    "key policy trusts the account, identity allows": (
        DEV,
        {"identity": ALLOW, "resource": grant(TO_ACCOUNT)},
        True,
    ),
    "key policy trusts the account, identity is silent": (
        DEV,
        {"resource": grant(TO_ACCOUNT)},
        False,
    ),
    "key policy names the role": (DEV, {"resource": grant(TO_ROLE)}, True),
    "key policy of another account names the role": (HUB, {"resource": grant(TO_ROLE)}, False),
    "and identity allows": (HUB, {"identity": ALLOW, "resource": grant(TO_ROLE)}, True),
}


@pytest.mark.parametrize(("owner", "policies", "allowed"), KEYS.values(), ids=KEYS)
def test_a_key_policy_always_agrees(owner, policies, allowed):
    said = ask(owner=owner, action="kms:Decrypt", on=KEY, guard="key", **policies)
    assert said.allowed is allowed


def trust(principal, **more):
    document = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return Policy("trust", {"Statement": [document]})


def assume(who, document, context=None):
    policies = Policies(resource=document, guard="trust")
    return decide(Request(who, "sts:AssumeRole", ROLE.arn, DEV, context or {}, policies))


CODEBUILD = {"Service": "codebuild.amazonaws.com"}
SOURCE = {"StringEquals": {"aws:SourceAccount": DEV}}


@pytest.mark.parametrize(
    ("service", "condition", "source", "allowed"),
    [
        ("codebuild.amazonaws.com", SOURCE, DEV, True),
        ("codebuild.amazonaws.com", SOURCE, HUB, False),
        ("codebuild.amazonaws.com", {}, HUB, True),
        ("lambda.amazonaws.com", {}, DEV, False),
    ],
)
def test_a_service_assumes_only_a_role_that_trusts_it(service, condition, source, allowed):
    said = assume(
        service_principal(source, service),
        trust(CODEBUILD, Condition=condition),
        {"aws:sourceaccount": (source,)},
    )
    assert said.allowed is allowed


def test_root_assumes_no_role_that_trusts_only_a_service():
    assert not assume(root(DEV), trust(CODEBUILD)).allowed


def test_root_assumes_a_role_that_trusts_its_account():
    assert assume(root(DEV), trust(TO_ACCOUNT)).allowed


def test_root_is_allowed_all_at_home_and_nothing_abroad():
    assert ask(root(DEV)).statement_id == "exception#account root"
    assert not ask(root(DEV), owner=HUB).allowed
    assert ask(root(DEV), owner=HUB, resource=grant(TO_ACCOUNT)).allowed


def test_a_service_principal_needs_a_resource_policy_that_names_it():
    events = service_principal(DEV, "events.amazonaws.com")
    assert ask(events, resource=grant({"Service": "events.amazonaws.com"})).allowed
    assert not ask(events, resource=grant(TO_ROLE)).allowed
    assert not ask(events, identity=ALLOW).allowed


STATEMENTS = {
    "action wildcard, any case": ({"Action": "S3:get*"}, True),
    "another action": ({"Action": ["s3:Put*", "s3:GetBucket*"]}, False),
    "NotAction": ({"NotAction": "s3:Put*"}, True),
    "NotAction hit": ({"NotAction": "s3:Get*"}, False),
    "resource": ({"Resource": "arn:aws:s3:::bucket/*"}, True),
    "resource's case counts": ({"Resource": "arn:aws:s3:::Bucket/*"}, False),
    "the bucket is not its objects": ({"Resource": "arn:aws:s3:::bucket"}, False),
    "question mark": ({"Resource": "arn:aws:s3:::bucket/k?y"}, True),
    "NotResource": ({"NotResource": "arn:aws:s3:::other/*"}, True),
    "variable": ({"Resource": "arn:aws:s3:::${aws:PrincipalTag/team}/*"}, True),
    "variable default": ({"Resource": "arn:aws:s3:::${aws:PrincipalTag/x, 'bucket'}/*"}, True),
    "variable without value": ({"Resource": "arn:aws:s3:::${aws:PrincipalTag/x}*"}, False),
}


@pytest.mark.parametrize(("statement", "allowed"), STATEMENTS.values(), ids=STATEMENTS)
def test_statements(statement, allowed):
    whole = {"Effect": "Allow", **statement}
    whole |= {} if {"Action", "NotAction"} & set(whole) else {"Action": "*"}
    whole |= {} if {"Resource", "NotResource"} & set(whole) else {"Resource": "*"}
    context = {"aws:principaltag/team": ("bucket",)}
    said = ask(identity=Policy("p", {"Statement": whole}), context=context)
    assert said.allowed is allowed


ORG = "o-seedbed0001/r-seed/ou-seed-workloads/ou-seed-workloadsdev/"
PATHS = {"aws:principalorgpaths": (ORG,), "aws:principalorgid": ("o-seedbed0001",)}
CONDITIONS = {
    "org id": ({"StringEquals": {"aws:PrincipalOrgID": "o-seedbed0001"}}, PATHS, True),
    "org path": (
        {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-seedbed0001/r-seed/ou-seed-work*"}},
        PATHS,
        True,
    ),
    "another path": (
        {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-seedbed0001/r-seed/ou-x/*"}},
        PATHS,
        False,
    ),
    "key missing": ({"StringEquals": {"aws:PrincipalOrgID": "o"}}, {}, False),
    "IfExists missing": ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o"}}, {}, True),
    "IfExists there": ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o"}}, PATHS, False),
    "negated, missing": ({"StringNotEquals": {"aws:PrincipalOrgID": "o"}}, {}, True),
    "negated, listed": (
        {"StringNotEquals": {"aws:PrincipalOrgID": ["x", "o-seedbed0001"]}},
        PATHS,
        False,
    ),
    "Null true": ({"Null": {"aws:RequestTag/x": "true"}}, {}, True),
    "Null false": ({"Null": {"aws:RequestTag/x": False}}, {}, False),
    "all tag keys known": (
        {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}},
        {"aws:tagkeys": ("a",)},
        True,
    ),
    "a foreign tag key": (
        {"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}},
        {"aws:tagkeys": ("a", "z")},
        False,
    ),
    "no tag keys at all": ({"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}, {}, True),
    "any of none": ({"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}, {}, False),
    "external id": (
        {"StringEquals": {"sts:ExternalId": "42"}},
        {"sts:externalid": ("42",)},
        True,
    ),
    "passed to": (
        {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        {"iam:passedtoservice": ("lambda.amazonaws.com",)},
        False,
    ),
    "prefix": ({"StringLike": {"s3:prefix": ["home/*", ""]}}, {"s3:prefix": ("home/me",)}, True),
    "via service": (
        {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}},
        {"kms:viaservice": ("s3.eu-west-1.amazonaws.com",)},
        True,
    ),
    "encryption context": (
        {"StringLike": {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::b*"}},
        {"kms:encryptioncontext:aws:s3:arn": ("arn:aws:s3:::bucket",)},
        True,
    ),
    "arn, part by part": (
        {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:333333333333:rule/*"}},
        {"aws:sourcearn": ("arn:aws:events:eu-west-1:333333333333:rule/a/b",)},
        True,
    ),
    "arn, a star stays in its part": (
        {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:rule/*"}},
        {"aws:sourcearn": ("arn:aws:events:eu-west-1:333333333333:rule/a",)},
        False,
    ),
    "bool": ({"Bool": {"aws:SecureTransport": True}}, {"aws:securetransport": ("true",)}, True),
    "number": ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": ("9",)}, True),
    "date": (
        {"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}},
        {"aws:currenttime": ("2026-06-01T00:00:00Z",)},
        True,
    ),
    "ip": ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {"aws:sourceip": ("127.0.0.1",)}, True),
    "not ip": (
        {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}},
        {"aws:sourceip": ("127.0.0.1",)},
        True,
    ),
    "two keys are both needed": (
        {"StringEquals": {"aws:PrincipalOrgID": "o-seedbed0001", "sts:ExternalId": "1"}},
        PATHS,
        False,
    ),
}


@pytest.mark.parametrize(("block", "context", "held"), CONDITIONS.values(), ids=CONDITIONS)
def test_conditions(block, context, held):
    assert holds(block, context) is held


UNKNOWN = {
    "operator": ({"StringSortOf": {"aws:SourceArn": "x"}}, "StringSortOf"),
    "quantifier": ({"ForSome:StringEquals": {"aws:TagKeys": "x"}}, "ForSome"),
    "key": ({"StringEquals": {"aws:MoonPhase": "full"}}, "aws:MoonPhase"),
    "service key": (
        {"StringEquals": {"sagemaker:Owner": "x"}},
        "sagemaker:Owner",
    ),
    "many values, no quantifier": (
        {"StringLike": {"aws:PrincipalOrgPaths": "*"}},
        "aws:PrincipalOrgPaths",
    ),
}


@pytest.mark.parametrize(("block", "named"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_condition_is_denied_and_named(block, named):
    for effect in ("Allow", "Deny"):
        statement = policy({"Effect": effect, "Condition": block})
        said = ask(identity=(ALLOW, statement) if effect == "Deny" else statement, context=PATHS)
        assert not said.allowed
        assert named in said.reason


def test_an_unknown_condition_elsewhere_does_not_matter():
    odd = policy({"Action": "sqs:*", "Condition": {"StringEquals": {"aws:MoonPhase": "full"}}})
    assert ask(identity=(odd, ALLOW)).allowed
    same = policy({"Condition": {"StringEquals": {"aws:MoonPhase": "full"}}})
    assert ask(identity=(same, ALLOW)).allowed


def test_not_principal_and_odd_principals_are_undecided():
    for statement in ({"NotPrincipal": "*"}, {"Principal": {"CanonicalUser": "x"}}):
        odd = Policy("r", {"Statement": [{"Effect": "Allow", "Action": "*", **statement}]})
        said = ask(resource=odd)
        assert "undecided" in said.reason


def test_a_variables_own_wildcards_are_literal():
    context = {"aws:principaltag/team": ("*",)}
    pattern = expand("x-${aws:PrincipalTag/team}-${*}", context)
    assert like("x-*-*", pattern)
    assert not like("x-a-b", pattern)
    with pytest.raises(Undecided, match="moon"):
        expand("${aws:moon}", {})


def test_the_reason_and_the_statement_are_told():
    named = policy({"Sid": "Read", "Action": "s3:GetObject"}, name="build/inline")
    assert ask(identity=named).statement_id == "build/inline#Read"
    assert ask().reason == "no identity-based policy allows"
    assert ask(identity=(ALLOW, DENY)).statement_id == "p#0"


def test_exceptions_are_few_and_keys_well_formed():
    assert len(EXCEPTIONS) <= 10
    assert all(EXCEPTIONS.values())
    assert all(SUPPLIED.fullmatch(key) for key in MULTIVALUED)
