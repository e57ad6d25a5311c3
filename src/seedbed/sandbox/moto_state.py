"""What the IAM evaluator reads out of moto: policies, tags, keys; each has a contract test."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from moto.backends import get_backend
from moto.core.resource_tagging import iter_taggable_backends
from moto.iam.models import iam_backends

from seedbed.sandbox.iam import Policy
from seedbed.sandbox.moto_hooks import PARTITION


@lru_cache(maxsize=2048)
def document(text: str) -> Mapping[str, Any]:
    """Return a policy document, parsed once."""
    parsed: Mapping[str, Any] = json.loads(text)
    return parsed


def _backend(service: Any, account: str, region: str) -> Any:
    # Imported when first asked for: half of moto need not load for one call.
    return get_backend(service)[account][region]


def _owners() -> dict[str, tuple[str, str]]:
    """Return every bucket's partition and account."""
    backends: Any = get_backend("s3")
    owners: dict[str, tuple[str, str]] = backends.bucket_accounts
    return owners


def _iam(account: str) -> Any:
    return iam_backends[account][PARTITION]


def role(arn: str) -> Any:
    """Return moto's role of that ARN, or None."""
    account = arn.split(":")[4]
    return next((one for one in list(_iam(account).roles.values()) if one.arn == arn), None)


def holder(arn: str) -> Any:
    """Return moto's role or user of that ARN, or None."""
    holders = _iam(arn.split(":")[4])
    every = [*holders.roles.values(), *holders.users.values()]
    return next((one for one in every if one.arn == arn), None)


def organisation_path(management: str, account: str) -> str | None:
    """Return where an account stands in the tree as it is now, or None if it is a stranger."""
    backend = _backend("organizations", management, PARTITION)
    parents = {one.id: one.parent_id for one in (*backend.accounts, *backend.ou)}
    if account not in {one.id for one in backend.accounts}:
        return None
    above, parent = [], parents[account]
    while parent is not None:
        above.append(parent)
        parent = parents.get(parent)
    return "/".join([backend.org.id, *reversed(above)]) + "/"


def delegated_administrators(management: str) -> set[str]:
    """Return the accounts that administer a service of the organisation."""
    backend = _backend("organizations", management, PARTITION)
    return {str(one.account.id) for one in backend.admins}


def user_of_key(access_key: str) -> Any:
    """Return moto's user that holds an access key, or None."""
    for account in list(iam_backends):
        key = _iam(account).access_keys.get(access_key)
        if key is not None and key.user_name:
            return _iam(account).users.get(key.user_name)
    return None


def identity_policies(arn: str) -> tuple[Policy, ...]:
    """Return a role's or user's inline and attached policies; a user's groups' too."""
    account, resource = arn.split(":")[4], arn.split(":")[5]
    if resource.startswith("role/"):
        found = role(arn)
        return tuple(_of(found)) if found else ()
    user = _iam(account).users.get(resource.rsplit("/", 1)[-1])
    if user is None:
        return ()
    groups = [group for group in _iam(account).groups.values() if user in group.users]
    return tuple(policy for one in (user, *groups) for policy in _of(one))


def _of(holder: Any) -> Iterator[Policy]:
    for name, text in list(holder.policies.items()):
        yield Policy(f"{holder.name}/{name}", document(text))
    for policy in list(holder.managed_policies.values()):
        yield Policy(policy.arn, document(_default(policy)))


def _default(policy: Any) -> str:
    version = next(one for one in policy.versions if one.version_id == policy.default_version_id)
    return str(version.document)


def managed_policy(arn: str, account: str) -> str | None:
    """Return a managed policy's default version, as an account sees it."""
    owner = arn.split(":")[4]
    policy = _iam(account if owner == "aws" else owner).managed_policies.get(arn)
    return _default(policy) if policy else None


def boundary(arn: str) -> Policy | None:
    """Return a role's permissions boundary; one that does not exist allows nothing."""
    holder = role(arn) if ":role/" in arn else None
    limit = holder.permissions_boundary_arn if holder else None
    if not limit:
        return None
    text = managed_policy(limit, arn.split(":")[4])
    return Policy(limit, document(text) if text else {"Statement": []})


def trust(arn: str) -> Policy | None:
    found = role(arn)
    if found is None:
        return None
    return Policy(f"{found.name}/trust", document(found.assume_role_policy_document))


def tags_of_role(arn: str) -> dict[str, str]:
    found = role(arn)
    return {tag["Key"]: tag["Value"] for tag in found.tags} if found else {}


def resource_policy(arn: str) -> str | bytes | None:
    """Return the text of the policy that hangs on one of moto's resources, or None."""
    service, region, account, resource = arn.split(":", 5)[2:]
    reader = READERS.get(service)
    return reader(account, region, resource) if reader else None


def _bucket(_: str, __: str, resource: str) -> bytes | None:
    found = bucket(resource.split("/", maxsplit=1)[0])
    return found.policy if found else None


def bucket(name: str) -> Any:
    """Return moto's bucket, whosever it is, or None."""
    if name not in _owners():
        return None
    partition, account = _owners()[name]
    return _backend("s3", account, partition).buckets.get(name)


def blocks_public_policies(name: str) -> bool:
    found = bucket(name)
    block = found.public_access_block if found else None
    return block is not None and str(block.block_public_policy).lower() == "true"


def _key(account: str, region: str, resource: str) -> str | None:
    key = _backend("kms", account, region).keys.get(resource.removeprefix("key/"))
    return key.policy if key else None


def _queue(account: str, region: str, resource: str) -> str | None:
    queue = _backend("sqs", account, region).queues.get(resource)
    return json.dumps(queue._policy_json) if queue and queue._policy_json else None  # noqa: SLF001


def _topic(account: str, region: str, resource: str) -> str | None:
    topic = _backend("sns", account, region).topics.get(
        f"arn:aws:sns:{region}:{account}:{resource}"
    )
    return topic.policy if topic else None


def has_topic(arn: str) -> bool:
    region, account = arn.split(":")[3:5]
    return arn in _backend("sns", account, region).topics


def _bus(account: str, region: str, resource: str) -> str | None:
    bus = _backend("events", account, region).event_buses.get(resource.removeprefix("event-bus/"))
    return bus.policy if bus else None


def _repository(account: str, region: str, resource: str) -> str | None:
    found = _backend("ecr", account, region).repositories.get(resource.removeprefix("repository/"))
    if found is None or not found.policy:
        return None
    # A repository policy names no resource: it speaks of the repository.
    return str(found.policy)


def _secret(account: str, region: str, resource: str) -> str | None:
    name = f"arn:aws:secretsmanager:{region}:{account}:{resource}"
    secret = _backend("secretsmanager", account, region).secrets.get(name)
    return getattr(secret, "policy", None)


def _catalog(account: str, region: str, _: str) -> str | None:
    for policy in _backend("glue", account, region).resource_policies.values():
        return str(policy["PolicyInJson"])
    return None


READERS = {
    "ecr": _repository,
    "events": _bus,
    "glue": _catalog,
    "kms": _key,
    "s3": _bucket,
    "secretsmanager": _secret,
    "sns": _topic,
    "sqs": _queue,
}


def tags(arn: str, region: str) -> dict[str, str] | None:
    """Return a moto resource's tags, or None if moto tells no tags of its service."""
    account = arn.split(":")[4]
    if ":iam::" in arn and ":role/" in arn:
        return tags_of_role(arn)
    if arn.startswith("arn:aws:s3:::"):
        found = bucket(arn.split(":")[5].split("/", maxsplit=1)[0])
        if found is None:
            return {}
        arn, account = f"arn:aws:s3:::{found.name}", found.account_id
    owners = [one for one in iter_taggable_backends(account, region) if one.owns_arn(arn)]
    for backend in owners:
        for resource in backend.iter_tagged_resources():
            if resource.arn == arn:
                return dict(resource.tags)
    return {} if owners else None


def key_state(arn: str) -> str | None:
    """Return the state of a KMS key (Enabled, Disabled, PendingDeletion); None: it is not there."""
    region, account, resource = arn.split(":")[3:6]
    key = _backend("kms", account, region).keys.get(resource.removeprefix("key/"))
    return str(key.key_state) if key else None


def object_tags(arn: str) -> dict[str, str]:
    """Return the tags of an S3 object; none of a bucket's, or of what is not there."""
    name, _, key = arn.split(":", 5)[5].partition("/")
    holder = bucket(name)
    found = holder.keys.get(key) if holder is not None and key else None
    if found is None:
        return {}
    tagger = _backend("s3", holder.account_id, PARTITION).tagger
    tags: dict[str, str] = tagger.get_tag_dict_for_resource(found.arn)
    return tags


class MotoLookup:
    """Names to ARNs and keys, from moto's state (see needs.Lookup)."""

    def iam_arn(self, account: str, kind: str, name: str) -> str | None:
        backend = _iam(account)
        holders = {
            "role": backend.roles,
            "user": backend.users,
            "group": backend.groups,
            "instance-profile": backend.instance_profiles,
        }.get(kind, {})
        return next((one.arn for one in list(holders.values()) if one.name == name), None)

    def boundary_arn(self, account: str, role: str) -> str | None:
        found = next((one for one in list(_iam(account).roles.values()) if one.name == role), None)
        return found.permissions_boundary_arn if found else None

    def key_arn(self, account: str, region: str, key_id: str) -> str | None:
        if key_id.startswith("arn:"):
            region, account = key_id.split(":")[3:5]
        from moto.kms.utils import RESERVED_ALIASES

        backend = _backend("kms", account, region)
        name = backend.get_alias_name(key_id)
        if name in RESERVED_ALIASES:
            return None
        if name.startswith("alias/"):
            keys = list(backend.keys.values())
            return next((key.arn for key in keys if name in key.aliases), None)
        key = backend.keys.get(backend.get_key_id(key_id))
        return key.arn if key else None

    def ciphertext_key(self, account: str, region: str, blob: bytes) -> str | None:
        from moto.kms.utils import _deserialize_ciphertext_blob

        try:
            key_id = _deserialize_ciphertext_blob(blob).key_id
        except Exception:  # noqa: BLE001 (whatever struct and utf-8 make of foreign bytes)
            return None
        for holder in list(get_backend("kms")):
            if key_id in _backend("kms", holder, region).keys:
                return f"arn:aws:kms:{region}:{holder}:key/{key_id}"
        return f"arn:aws:kms:{region}:{account}:key/{key_id}"

    def secret_arn(self, account: str, region: str, name: str) -> str | None:
        if name.startswith("arn:"):
            region, account = name.split(":")[3:5]
        secret = _backend("secretsmanager", account, region).secrets.get(name)
        return str(secret.arn) if secret else None

    def secret_key(self, account: str, region: str, name: str) -> str | None:
        if name.startswith("arn:"):
            region, account = name.split(":")[3:5]
        secret = _backend("secretsmanager", account, region).secrets.get(name)
        return getattr(secret, "kms_key_id", None)

    def workgroup(self, account: str, region: str, query_id: str) -> str | None:
        backend = _backend("athena", account, region)
        query = backend.executions.get(query_id) or backend.named_queries.get(query_id)
        group = getattr(query, "workgroup", None)
        return str(getattr(group, "name", group)) if group else None

    def bucket_owner(self, bucket: str) -> str | None:
        owner = _owners().get(bucket)
        return owner[1] if owner else None

    def bucket_key(self, name: str) -> str | None:
        found = bucket(name)
        rule = (found.encryption or {}).get("Rule", {}) if found else {}
        rules = rule if isinstance(rule, list) else [rule]
        for one in rules:
            default = one.get("ApplyServerSideEncryptionByDefault", {})
            if default.get("KMSMasterKeyID"):
                return str(default["KMSMasterKeyID"])
        return None

    def object_key(self, name: str, key: str, version: str | None) -> str | None:
        found = bucket(name)
        if found is None:
            return None
        if version:
            stored = next((k for k in found.keys.getlist(key, []) if k.version_id == version), None)
        else:
            stored = found.keys.get(key)
        return getattr(stored, "kms_key_id", None)
