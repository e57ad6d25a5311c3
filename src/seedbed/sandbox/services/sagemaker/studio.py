"""Studio: domains, user profiles, spaces, lifecycle configurations and code repositories."""

from __future__ import annotations

from typing import Any, ClassVar

from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.sagemaker.records import Kind, Record, Records
from seedbed.sandbox.world import Context

READY = ("Status", "InService")
DOMAIN = Kind(
    "Domain",
    ("DomainId",),
    "domain/{DomainId}",
    status=READY,
    renamed={"DomainSettingsForUpdate": "DomainSettings"},
)
USER_PROFILE = Kind(
    "UserProfile",
    ("DomainId", "UserProfileName"),
    "user-profile/{DomainId}/{UserProfileName}",
    status=READY,
)
SPACE = Kind("Space", ("DomainId", "SpaceName"), "space/{DomainId}/{SpaceName}", status=READY)
LIFECYCLE = Kind(
    "StudioLifecycleConfig",
    ("StudioLifecycleConfigName",),
    "studio-lifecycle-config/{StudioLifecycleConfigName}",
    renamed={"AppType": "StudioLifecycleConfigAppType"},
)
REPOSITORY = Kind(
    "CodeRepository",
    ("CodeRepositoryName",),
    "code-repository/{CodeRepositoryName}",
    plural="CodeRepositories",
)


class Studio(Records):
    """Who works in Studio, and with which settings; nobody logs in."""

    kinds: ClassVar[tuple[Kind, ...]] = (DOMAIN, USER_PROFILE, SPACE, LIFECYCLE, REPOSITORY)

    def create_domain(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Make a domain with the defaults that CreateDomain documents.

        Raises:
            ServiceError: A network of its own is asked for, and not told.
        """
        defaults: dict[str, Any] = {
            "AppNetworkAccessType": "PublicInternetOnly",
            "HomeEfsFileSystemCreation": "Enabled",
            "TagPropagation": "DISABLED",
        }
        if "KmsKeyId" in params:
            defaults["HomeEfsFileSystemKmsKeyId"] = params["KmsKeyId"]
        given = {**defaults, **params}
        if given["AppNetworkAccessType"] == "VpcOnly":
            for name in ("VpcId", "SubnetIds"):
                if not given.get(name):
                    raise ServiceError("ValidationException", f"{name} is required for VpcOnly")
        domain_id = f"d-{self.world.token(12)}"
        more = {
            "DomainId": domain_id,
            "Url": f"https://{domain_id}.studio.{ctx.region}.sagemaker.aws",
        }
        if given["HomeEfsFileSystemCreation"] == "Enabled":
            more["HomeEfsFileSystemId"] = f"fs-{self.world.token(17, '0123456789abcdef')}"
        if given["AuthMode"] == "SSO":
            place = f"ssoins-{self.world.token(16)}/apl-{self.world.token(16)}"
            more["SingleSignOnApplicationArn"] = f"arn:aws:sso::{ctx.owner}:application/{place}"
        return self.make(ctx, DOMAIN, given, **more)

    def delete_domain(
        self, ctx: Context, DomainId: str, RetentionPolicy: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Remove a domain that nobody is left in.

        Raises:
            ServiceError: It has user profiles or spaces.
        """
        del RetentionPolicy  # there is no file system to keep
        self.find(ctx, DOMAIN, {"DomainId": DomainId})
        with self.lock:
            for kind in (USER_PROFILE, SPACE):
                if any(key[0] == DomainId for key in self.table(ctx, kind.noun)):
                    message = f"Unable to delete Domain {DomainId}: it has a {kind.noun}."
                    raise ServiceError("ResourceInUse", message)
        return self.remove(ctx, DOMAIN, {"DomainId": DomainId})

    def create_user_profile(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Make a user profile; in a domain of IAM Identity Center it names its user there.

        Raises:
            ServiceError: There is no such domain, or the user is not told as the domain wants it.
        """
        domain = self._domain(ctx, params["DomainId"])
        given = {"SingleSignOnUserIdentifier", "SingleSignOnUserValue"} & set(params)
        if domain.said["AuthMode"] == "SSO" and len(given) != 2:  # noqa: PLR2004 (both)
            message = "SingleSignOnUserIdentifier and SingleSignOnUserValue are required."
            raise ServiceError("ValidationException", message)
        if domain.said["AuthMode"] != "SSO" and given:
            message = f"{min(given)} cannot be specified in a domain of AuthMode IAM."
            raise ServiceError("ValidationException", message)
        uid = str(200000 + len(self.table(ctx, USER_PROFILE.noun)) + 1)
        return self.make(ctx, USER_PROFILE, params, HomeEfsFileSystemUid=uid)

    def delete_user_profile(
        self, ctx: Context, DomainId: str, UserProfileName: str
    ) -> dict[str, Any]:
        """Remove a user profile that owns no space.

        Raises:
            ServiceError: It owns one.
        """
        said = {"DomainId": DomainId, "UserProfileName": UserProfileName}
        self.find(ctx, USER_PROFILE, said)
        with self.lock:
            spaces = list(self.table(ctx, SPACE.noun).items())
        for (place, name), space in spaces:
            owner = space.said.get("OwnershipSettings", {}).get("OwnerUserProfileName")
            if (place, owner) == (DomainId, UserProfileName):
                message = f"Unable to delete UserProfile {UserProfileName}: it owns space {name}."
                raise ServiceError("ResourceInUse", message)
        return self.remove(ctx, USER_PROFILE, said)

    def create_space(self, ctx: Context, **params: Any) -> dict[str, Any]:
        self._domain(ctx, params["DomainId"])
        owner = params.get("OwnershipSettings", {}).get("OwnerUserProfileName")
        if owner:
            said = {"DomainId": params["DomainId"], "UserProfileName": owner}
            self.find(ctx, USER_PROFILE, said, "DescribeUserProfile")
        uid = str(300000 + len(self.table(ctx, SPACE.noun)) + 1)
        url = f"https://{params['DomainId']}.studio.{ctx.region}.sagemaker.aws/space"
        return self.make(ctx, SPACE, params, HomeEfsFileSystemUid=uid, Url=url)

    def create_presigned_domain_url(self, ctx: Context, **params: Any) -> dict[str, Any]:
        del ctx, params
        raise unsupported("sagemaker:CreatePresignedDomainUrl: nobody logs in")

    def _domain(self, ctx: Context, domain_id: str) -> Record:
        return self.find(ctx, DOMAIN, {"DomainId": domain_id}, "DescribeDomain")
