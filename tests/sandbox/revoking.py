"""Takes one action out of one statement of a policy in a running sandbox, and puts it back."""

from __future__ import annotations

import json
from contextlib import contextmanager

# What stands in its place, for a statement must list an action: it allows nothing.
NOTHING = {"trust": "sts:TagSession", "": "sts:GetCallerIdentity"}


@contextmanager
def revoked(sandbox, holder, statement, action):
    """Have a role's or a key's policy without the action; `statement` is `policy name#Sid`."""
    policy, _, name = statement.rpartition("#")
    read, write = _access(sandbox, holder, policy)
    before = read()
    after = json.loads(json.dumps(before))
    listed = after["Statement"] if isinstance(after["Statement"], list) else [after["Statement"]]
    (said,) = (one for i, one in enumerate(listed) if str(one.get("Sid") or i) == name)
    actions = [said["Action"]] if isinstance(said["Action"], str) else said["Action"]
    kept = [one for one in actions if one != action]
    assert len(kept) == len(actions) - 1, f"{statement} does not grant {action}"
    said["Action"] = kept or NOTHING["trust" if policy.endswith("/trust") else ""]
    write(after)
    try:
        yield
    finally:
        write(before)


def _access(sandbox, holder, policy):
    """Return how to read and to write a policy's document."""
    account = holder.split(":")[4]
    iam = sandbox.client("iam", account)
    role = holder.rpartition("/")[2]
    if ":key/" in holder:
        kms = sandbox.client("kms", account)
        return (
            lambda: json.loads(kms.get_key_policy(KeyId=holder, PolicyName="default")["Policy"]),
            lambda said: kms.put_key_policy(
                KeyId=holder, PolicyName="default", Policy=json.dumps(said)
            ),
        )
    if policy.startswith("arn:"):
        return (
            lambda: iam.get_policy_version(
                PolicyArn=policy,
                VersionId=iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"],
            )["PolicyVersion"]["Document"],
            lambda said: _version(iam, policy, json.dumps(said)),
        )
    if policy == f"{role}/trust":
        return (
            lambda: iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"],
            lambda said: iam.update_assume_role_policy(
                RoleName=role, PolicyDocument=json.dumps(said)
            ),
        )
    named = {"RoleName": role, "PolicyName": policy.removeprefix(f"{role}/")}
    return (
        lambda: iam.get_role_policy(**named)["PolicyDocument"],
        lambda said: iam.put_role_policy(**named, PolicyDocument=json.dumps(said)),
    )


def _version(iam, arn, document):
    """Make a document the policy's own; five versions are kept."""
    for old in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not old["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=old["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
