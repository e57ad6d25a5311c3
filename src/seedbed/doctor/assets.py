"""The hub's bucket: its CORS, templates and their tags, the release, the key."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from seedbed.declaration import FILE, STUDIO
from seedbed.doctor.catalog import PUBLISH
from seedbed.doctor.checks import Finding, SkipError, State, check, denied, missing, problem
from seedbed.doctor.site import Site
from seedbed.publishing import observe
from seedbed.publishing.observe import tags_of
from seedbed.publishing.store import VISIBLE, allows

ADMIT = (
    "in the hub: `seedbed bootstrap hub --set OrganizationPaths=...` with a path of this account's "
    "unit; if nothing changes, a policy was changed by hand: in CloudFormation's console, Detect "
    "drift on the hub's stack seedbed-hub-assets, and put it back"
)
KEY = f"{ADMIT}; this role needs kms:Decrypt on the hub's keys through S3, too"


@check("asset bucket", "the bucket that holds releases", "hub")
def bucket(site: Site) -> Iterator[Finding]:
    if not _is_there(site):
        yield problem(f"bucket {site.bucket} is missing", site.bootstrap)


@check("CORS", "whether Studio's pages may read the templates", "hub")
def cors(site: Site) -> Iterator[Finding]:
    _needs_templates(site)
    if not _is_there(site):
        raise SkipError("there is no asset bucket")
    if not any(allows(rule) for rule in observe.cors(site.account, site.bucket)):
        yield problem(f"bucket {site.bucket} does not let in https://*.sagemaker.aws", PUBLISH)


@check("templates in S3", "whether Studio finds the templates, by their objects' tags")
def templates(site: Site) -> Iterator[Finding]:
    _needs_templates(site)
    _needs_hub(site)
    if site.is_hub and not _is_there(site):
        raise SkipError("there is no asset bucket")
    names = [f"{STUDIO}{key}.yml" for key, _, _ in site.studio()]
    hidden = []
    for name in names:
        at = {"Bucket": site.bucket, "Key": name}
        try:
            tags = tags_of(site.client("s3").get_object_tagging(**at)["TagSet"])
        except ClientError as error:
            if missing(error):
                yield problem(f"s3://{site.bucket}/{name} is missing", PUBLISH)
            elif denied(error) and not site.is_hub:
                hidden.append(name)
            else:
                raise
            continue
        if not VISIBLE.items() <= tags.items():
            say = f"{name} lacks the tag sagemaker:studio-visibility=true"
            yield problem(say, f"{PUBLISH}: a new upload drops tags, publish sets them")
    if hidden and hidden == names:
        yield from _refused(site, names[0])
    else:
        for name in hidden:  # S3 says so of what is missing to whoever may not list
            yield problem(f"s3://{site.bucket}/{name} is missing or hidden", PUBLISH)


def _refused(site: Site, name: str) -> Iterator[Finding]:
    """Tell whose fault it is that no template's tags are readable: the role's or the bucket's."""
    try:
        site.client("s3").head_object(Bucket=site.bucket, Key=name)
    except ClientError as error:
        if not denied(error):
            raise
        if site.view == "admin" and _is_refused(site):
            raise SkipError("this account may not read the bucket: see release") from None
        role = "; or attach the policy seedbed-projects to this role"
        remedy = ADMIT + (role if site.view == "scientist" else "")
        yield problem(f"s3://{site.bucket}/{name} is not readable here", remedy)
    else:
        give = "attach the policy seedbed-projects to it"
        yield problem("this role lacks s3:GetObjectTagging on the templates", give)


@check("asset key", "whether the key of the assets lets this account read", "admin", "scientist")
def key(site: Site) -> Iterator[Finding]:
    _needs_templates(site)
    _needs_hub(site)
    name = next((f"{STUDIO}{key}.yml" for key, _, _ in site.studio()), "")
    try:
        site.client("s3").get_object(Bucket=site.bucket, Key=name)["Body"].close()
    except ClientError as error:
        if "kms:" in str(error):
            yield problem(f"the key of {site.bucket} does not let this account decrypt", KEY)
        elif missing(error) or denied(error):
            raise SkipError(f"{name} is not readable: see templates in S3") from None
        else:
            raise


@check(
    "release", "whether bundles and functions of the newest release are readable", "hub", "admin"
)
def release(site: Site) -> Iterator[Finding]:
    _needs_hub(site)
    if site.is_hub and not _is_there(site):
        raise SkipError("there is no asset bucket")
    if not site.version:
        raise SkipError("no product has a version here")
    try:
        manifest = site.release
    except ClientError as error:
        yield from _unreadable(site, f"s3://{site.bucket}/{site.manifest}", error)
        return
    except ValueError:
        name = f"s3://{site.bucket}/{site.manifest}"
        again = f"in the hub: `aws s3 rm {name}`, then `seedbed publish` of {site.version} again"
        yield problem(f"{name} is no manifest", again)
        return
    for item in (*manifest.bundles.values(), *manifest.functions.values()):
        try:
            site.client("s3").head_object(Bucket=site.bucket, Key=item.key)
        except ClientError as error:
            if not (missing(error) or denied(error)) or (site.is_hub and denied(error)):
                raise
            # The manifest is readable, and S3 denies what is missing to whoever may not list.
            again = f"in the hub: `seedbed publish` of {site.version} again"
            yield problem(f"s3://{site.bucket}/{item.key} is missing or hidden", again)


def _unreadable(site: Site, what: str, error: ClientError) -> Iterator[Finding]:
    if "kms:" in str(error):
        raise SkipError("the key does not let this account read: see asset key") from None
    again = f"in the hub: `seedbed publish` of {site.version} again"
    if missing(error):
        yield problem(f"{what} is missing", again)
    elif denied(error) and _reads_templates(site):
        # S3 denies what is missing to whoever may not list.
        yield problem(f"{what} is missing or hidden", again)
    elif denied(error) and not site.is_hub:
        yield problem(f"{what}: this account may not read it", ADMIT)
    else:
        raise error


@check("hub", "which account publishes", "admin", "scientist")
def known(site: Site) -> Iterator[Finding]:
    if not site.hub:
        yield Finding(State.UNKNOWN, "nothing that is shared here names it", "give --hub ACCOUNT")


def _needs_templates(site: Site) -> None:
    if "s3-templates" not in site.declared.targets:
        raise SkipError(f"{FILE} has no target s3-templates")


def _needs_hub(site: Site) -> None:
    if not site.hub:
        raise SkipError("the hub is not known: give --hub ACCOUNT")


def _is_refused(site: Site) -> bool:
    """Tell whether the release is not readable either, which is the check for an administrator."""
    try:
        return not site.release
    except ClientError as error:
        return denied(error)
    except ValueError:
        return False


def _reads_templates(site: Site) -> bool:
    """Tell whether this account may read any template: then the bucket's policy lets it in."""
    for key, _, _ in site.studio():
        name = f"{STUDIO}{key}.yml"
        try:
            site.client("s3").head_object(Bucket=site.bucket, Key=name)
        except ClientError:
            continue
        return True
    return False


def _is_there(site: Site) -> bool:
    try:
        site.client("s3").head_bucket(Bucket=site.bucket)
    except ClientError as error:
        if not missing(error):
            raise
        return False
    return True
