"""Condition blocks, wildcards and policy variables, as IAM documents them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
What is not known here (operator, key) is not guessed: it raises `Undecided` with its name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

Context = Mapping[str, Sequence[str]]


class Undecided(Exception):  # noqa: N818 (no error: a verdict)
    """The sandbox cannot tell; the message names what it does not know."""


class _Absent(Exception):  # noqa: N818
    """A policy variable whose key the request does not carry."""


# Keys with several values: IAM compares them only through ForAllValues or ForAnyValue.
MULTIVALUED = frozenset(
    {
        "aws:calledvia",
        "aws:principalorgpaths",
        "aws:principalservicenameslist",
        "aws:resourceorgpaths",
        "aws:sourceorgpaths",
        "aws:tagkeys",
        "cloudformation:resourcetypes",
        "dynamodb:leadingkeys",
        "events:source",
        "events:detail-type",
        "kms:encryptioncontextkeys",
        "kms:grantoperations",
        "s3:requestobjecttagkeys",
        "sagemaker:instancetypes",
        "sagemaker:vpcsecuritygroupids",
        "sagemaker:vpcsubnets",
        "sts:transitivetagkeys",
    }
)

# Every key that the sandbox fills in when the request has it; any other key is undecided.
SUPPLIED = re.compile(
    r"""
    aws:(  calledvia | calledviafirst | calledvialast | currenttime | epochtime
         | federatedprovider | multifactorauthage | multifactorauthpresent
         | principalaccount | principalarn | principalisawsservice | principalorgid
         | principalorgpaths | principalservicename | principalservicenameslist
         | principaltag/.+ | principaltype | referer | requestedregion | requesttag/.+
         | resourceaccount | resourceorgid | resourceorgpaths | resourcetag/.+
         | securetransport | sourceaccount | sourcearn | sourceip | sourceorgid
         | sourceorgpaths | sourcevpc | sourcevpce | tagkeys | useragent | userid | username
         | viaawsservice )
    | cloudformation:( changesetname | resourcetypes | rolearn | templateurl )
    | (codeconnections|codestar-connections):( fullrepositoryid | passedtoservice
         | provideraction | providerpermissionsrequired | branchname | provideruse )
    | codecommit:references
    | cloudwatch:namespace
    | dynamodb:leadingkeys
    | ecr:resourcetag/.+
    | events:( creatoraccount | detail-type | source | targetarn )
    | iam:( associatedresourcearn | awsservicename | passedtoservice | permissionsboundary
         | policyarn | resourcetag/.+ )
    | kms:( calleraccount | encryptioncontext:.+ | encryptioncontextkeys | grantisforawsresource
         | grantoperations | keyspec | keyusage | requestalias | resourcealiases | viaservice )
    | lambda:( functionarn | principal )
    | s3:( authtype | delimiter | existingobjecttag/.+ | max-keys | prefix | requestobjecttag/.+
         | requestobjecttagkeys | resourceaccount | signatureversion | tlsversion | versionid
         | x-amz-acl | x-amz-copy-source | x-amz-server-side-encryption
         | x-amz-server-side-encryption-aws-kms-key-id | x-amz-storage-class )
    | sagemaker:( featuregrouponlinestorekmskey | instancetypes | modelapprovalstatus
         | networkisolation | outputkmskey | resourcetag/.+ | rootaccess | volumekmskey
         | vpcsecuritygroupids | vpcsubnets | intercontainertrafficencryption )
    | secretsmanager:( name | resourcetag/.+ | secretid | versionstage )
    | servicecatalog:( accountlevel | rolelevel | userlevel )
    | sns:( endpoint | protocol )
    | ssm:resourcetag/.+
    | sts:( externalid | rolesessionname | sourceidentity | transitivetagkeys )
    """,
    re.VERBOSE,
)


def holds(block: object, context: Context) -> bool:
    """Tell whether a Condition block holds: all of its operators and keys do.

    Raises:
        Undecided: An operator or key that the sandbox does not emulate.
    """
    if block is None:
        return True
    if not isinstance(block, Mapping):
        raise Undecided("Condition is no mapping")
    tests = [
        (str(operator), str(key), _listed(wanted))
        for operator, keys in block.items()
        for key, wanted in keys.items()
    ]
    # Not lazily: an unknown key must be named even where another test already fails.
    verdicts = [_test(operator, key, wanted, context) for operator, key, wanted in tests]
    return all(verdicts)


def _test(said: str, key: str, wanted: list[str], context: Context) -> bool:
    quantifier, _, rest = said.rpartition(":")
    name = rest.removesuffix("IfExists")
    optional = name != rest
    low = key.lower()
    if quantifier not in {"", "ForAllValues", "ForAnyValue"}:
        raise Undecided(f"condition operator {said}")
    if not SUPPLIED.fullmatch(low):
        raise Undecided(f"condition key {key}")
    values = context.get(low)
    if name == "Null":
        return (values is None) == (wanted[0].lower() == "true")
    if name not in OPERATORS:
        raise Undecided(f"condition operator {said}")
    negated, matches = OPERATORS[name]
    if low in MULTIVALUED and not quantifier and values is not None:
        raise Undecided(f"condition key {key} has several values: use ForAnyValue or ForAllValues")
    if values is None:
        return optional or quantifier == "ForAllValues" or (negated and not quantifier)
    verdicts = [
        any(_guarded(matches, value, one, context) for one in wanted) != negated for value in values
    ]
    return all(verdicts) if quantifier == "ForAllValues" else any(verdicts)


def _guarded(
    matches: Callable[[str, str, Context], bool], value: str, wanted: str, context: Context
) -> bool:
    try:
        return matches(value, wanted, context)
    except _Absent:
        return False
    except ValueError as error:  # no number, date or network
        raise Undecided(f"condition value {wanted}: {error}") from error


def _listed(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in listed]


# Wildcards and variables

VARIABLE = re.compile(r"\$\{([^}]+)\}")


@lru_cache(maxsize=4096)
def _glob(pattern: str, flags: int) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    # A variable's own wildcards are literal: they come marked.
    return re.compile(escaped.replace("\0a", r"\*").replace("\0q", r"\?"), flags | re.DOTALL)


def like(value: str, pattern: str, *, ignore_case: bool = False) -> bool:
    """Match with `*` and `?`, which span everything, as IAM does."""
    return _glob(pattern, re.IGNORECASE if ignore_case else 0).fullmatch(value) is not None


def expand(text: str, context: Context) -> str:
    """Fill in policy variables: `${aws:username}`, `${key, 'default'}`, `${*}`.

    Raises:
        Undecided: A variable that the sandbox does not emulate.
    """

    def value(found: re.Match[str]) -> str:
        key, _, default = (part.strip() for part in found[1].partition(","))
        if key in {"*", "?", "$"}:
            return _marked(key)
        if not SUPPLIED.fullmatch(key.lower()):
            raise Undecided(f"policy variable ${{{key}}}")
        values = context.get(key.lower())
        if values:
            return _marked(values[0])
        if default:
            return _marked(default.strip("'"))
        raise _Absent

    return VARIABLE.sub(value, text) if "${" in text else text


def _marked(text: str) -> str:
    return text.replace("*", "\0a").replace("?", "\0q")


def like_resource(value: str, pattern: str, context: Context) -> bool:
    """Match a resource against a Resource element's pattern, its variables filled in."""
    try:
        return like(value, expand(pattern, context))
    except _Absent:
        return False


def _plain(text: str, context: Context) -> str:
    return expand(text, context).replace("\0a", "*").replace("\0q", "?")


def _equals(value: str, wanted: str, context: Context) -> bool:
    return value == _plain(wanted, context)


def _equals_ignoring_case(value: str, wanted: str, context: Context) -> bool:
    return value.lower() == _plain(wanted, context).lower()


def _like(value: str, wanted: str, context: Context) -> bool:
    return like(value, expand(wanted, context))


def _arn_like(value: str, wanted: str, context: Context) -> bool:
    # Each of an ARN's six parts is compared for itself; ArnEquals behaves identically.
    parts, patterns = value.split(":", 5), expand(wanted, context).split(":", 5)
    if wanted == "*":
        return True
    return len(parts) == len(patterns) == ARN_PARTS and all(map(like, parts, patterns))


ARN_PARTS = 6


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str, Context], bool]:
    def matches(value: str, wanted: str, _: Context) -> bool:
        return compare(float(value), float(wanted))

    return matches


def _date(compare: Callable[[float, float], bool]) -> Callable[[str, str, Context], bool]:
    def matches(value: str, wanted: str, _: Context) -> bool:
        return compare(_epoch(value), _epoch(wanted))

    return matches


def _epoch(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _in_network(value: str, wanted: str, _: Context) -> bool:
    network = ipaddress.ip_network(wanted, strict=False)
    return ipaddress.ip_address(value) in network


# name -> (negated, test of one value against one wanted value)
OPERATORS: dict[str, tuple[bool, Callable[[str, str, Context], bool]]] = {
    "StringEquals": (False, _equals),
    "StringNotEquals": (True, _equals),
    "StringEqualsIgnoreCase": (False, _equals_ignoring_case),
    "StringNotEqualsIgnoreCase": (True, _equals_ignoring_case),
    "StringLike": (False, _like),
    "StringNotLike": (True, _like),
    "ArnEquals": (False, _arn_like),
    "ArnLike": (False, _arn_like),
    "ArnNotEquals": (True, _arn_like),
    "ArnNotLike": (True, _arn_like),
    "Bool": (False, _equals_ignoring_case),
    "BinaryEquals": (False, _equals),
    "IpAddress": (False, _in_network),
    "NotIpAddress": (True, _in_network),
}
for _name, _compare in {
    "Equals": lambda a, b: a == b,
    "LessThan": lambda a, b: a < b,
    "LessThanEquals": lambda a, b: a <= b,
    "GreaterThan": lambda a, b: a > b,
    "GreaterThanEquals": lambda a, b: a >= b,
}.items():
    OPERATORS[f"Numeric{_name}"] = (False, _number(_compare))
    OPERATORS[f"Date{_name}"] = (False, _date(_compare))
OPERATORS["NumericNotEquals"] = (True, OPERATORS["NumericEquals"][1])
OPERATORS["DateNotEquals"] = (True, OPERATORS["DateEquals"][1])
