"""IAM at the front: what a call needs, the policies and context that apply, and the verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seedbed.sandbox import iam, moto_state, needs_data, principals
from seedbed.sandbox.conditions import Undecided
from seedbed.sandbox.needs import Asked, Need, needs, tags_of
from seedbed.sandbox.organisation import ORGANISATION
from seedbed.sandbox.service import Service, ServiceError

if TYPE_CHECKING:
    from seedbed.sandbox.identity import Principal
    from seedbed.sandbox.protocol import Operation
    from seedbed.sandbox.services import Registry
    from seedbed.sandbox.world import Call, World

TRUST = frozenset({"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"})
# ARN service -> botocore service, where our own services keep resource policies and tags
OURS = {"catalog": "servicecatalog"}
# service -> the code of its "access denied", where it is not the protocol's
DENIALS = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError", "sqs": "AccessDenied"}


class Authorizer:
    """Judges the calls of one world."""

    def __init__(self, world: World, services: Registry) -> None:
        self.world = world
        self._services = services
        self._lookup = moto_state.MotoLookup()

    def authorize(self, principal: Principal, operation: Operation, region: str, call: Call) -> str:
        """Allow the call, note why in `call`, and return the account whose resource it addresses.

        Raises:
            ServiceError: IAM denies it, or cannot decide: the message names what it lacks.
        """
        asked = self._asked(principal, operation, region)
        try:
            needed = [*needs(asked), *self._secrets(asked)]
        except Undecided as unknown:
            if principal.is_root:
                call.decision, call.reason = "allowed", f"account root; undecided: {unknown}"
                return principal.account
            call.decision, call.reason = "denied", f"undecided: {unknown}"
            raise self._refusal(
                principal, operation, operation.full_name, "*", call.reason
            ) from None
        call.decision, call.reason = "allowed", "needs no permission"
        for need in needed:
            decision = self._decide(principal, need, operation, region, call)
            call.actions.append(noted(need, decision))
            call.reason = decision.reason
            if not decision.allowed:
                call.decision = "denied"
                raise self._refusal(principal, operation, need.action, need.resource, call.reason)
        if operation.service == "organizations":
            return self._management()
        fresh = operation.full_name == "s3:CreateBucket"
        return principal.account if fresh or not needed else needed[0].owner

    def authorize_absence(
        self, principal: Principal, operation: Operation, region: str, call: Call
    ) -> None:
        """Tell that an object is missing only to who may list its bucket, as S3 does.

        Raises:
            ServiceError: AccessDenied in place of NoSuchKey.
        """
        bucket, key = operation.params["Bucket"], operation.params["Key"]
        owner = self._lookup.bucket_owner(bucket)
        if owner is None:
            return
        need = Need("s3:ListBucket", f"arn:aws:s3:::{bucket}", owner, {"s3:prefix": (key,)})
        decision = self._decide(principal, need, operation, region, call)
        call.actions.append(noted(need, decision))
        if not decision.allowed:
            call.decision, call.reason = "denied", f"{key} does not exist, and {decision.reason}"
            raise self._refusal(principal, operation, need.action, need.resource, call.reason)

    def _decide(
        self, principal: Principal, need: Need, operation: Operation, region: str, call: Call
    ) -> iam.Decision:
        default_bus = f"arn:aws:events:{region}:{principal.account}:event-bus/default"
        if principal.kind == "service" and (need.action, need.resource) == (
            "events:PutEvents",
            default_bus,
        ):
            return iam.Decision(True, "service events", "exception#service events")
        if principals.is_stale(principal):
            return iam.Decision(allowed=False, reason="the session's role was deleted")
        try:
            request = self._request(principal, need, operation, region)
        except Undecided as unknown:
            return iam.Decision(allowed=False, reason=f"undecided: {unknown}")
        call.requests.append(request)
        return iam.decide(request)

    def _management(self) -> str:
        # Member accounts read the tree that the management account keeps.
        return self.world.account_id("management")

    def _asked(self, principal: Principal, operation: Operation, region: str) -> Asked:
        shape = operation.model.input_shape
        accepts = frozenset(name.lower() for name in shape.members) if shape else frozenset()
        return Asked(
            operation.service,
            operation.name,
            operation.params,
            principal.account,
            region,
            self._lookup,
            accepts,
        )

    def _secrets(self, asked: Asked) -> list[Need]:
        if (asked.service, asked.operation) == ("secretsmanager", "GetSecretValue"):
            name = str(asked.get("SecretId"))
            key = self._lookup.secret_key(asked.account, asked.region, name)
            return needs_data.secret_key(asked, key, "secretsmanager")
        return []

    def _refusal(
        self, principal: Principal, operation: Operation, action: str, resource: str, reason: str
    ) -> ServiceError:
        plain = "AccessDeniedException" if "json" in operation.protocol else "AccessDenied"
        code = DENIALS.get(operation.service, plain)
        status = 400 if operation.protocol == "json" else 403
        message = f"User: {principal.session_arn} is not authorized to perform: {action}"
        return ServiceError(code, f"{message} on resource: {resource} ({reason})", status)

    # Policies

    def _request(
        self, principal: Principal, need: Need, operation: Operation, region: str
    ) -> iam.Request:
        policies = self._policies(principal, need)
        context = self._context(principal, need, operation, region)
        if _mentions_tags(policies, need.action):
            context |= self._resource_tags(need.resource, region)
        return iam.Request(principal, need.action, need.resource, need.owner, context, policies)

    def _policies(self, principal: Principal, need: Need) -> iam.Policies:
        identity: tuple[iam.Policy, ...] = ()
        boundary = None
        if principal.kind in {"role", "user"}:
            identity = moto_state.identity_policies(principal.arn)
            boundary = moto_state.boundary(principal.arn)
        sessions = tuple(
            iam.Policy(f"session policy {index}", moto_state.document(text))
            for index, text in enumerate(principal.session_policies)
        )
        guard: iam.Guard = ""
        if need.action in TRUST:
            guard, resource = "trust", moto_state.trust(need.resource)
        else:
            guard = (
                "key"
                if need.resource.startswith("arn:aws:kms:") and ":key/" in need.resource
                else ""
            )
            resource = self.resource_policy(need.resource)
        return iam.Policies(identity, boundary, sessions, resource, guard)

    def resource_policy(self, arn: str) -> iam.Policy | None:
        """Return the policy that hangs on a resource, ours or moto's."""
        if arn.count(":") < 5:  # noqa: PLR2004 (an ARN has six parts)
            return None
        service = arn.split(":")[2]
        ours = self._services.get(OURS.get(service, service))
        said = ours.resource_policy(arn) if ours else None
        if said is None:
            said = _parsed(moto_state.resource_policy(arn))
        return iam.Policy(f"policy of {arn}", said) if said else None

    def _resource_tags(self, arn: str, region: str) -> dict[str, tuple[str, ...]]:
        """Return the resource's tags as context keys.

        Raises:
            Undecided: Nobody tells the tags of this service's resources.
        """
        service = arn.split(":")[2] if arn.startswith("arn:") else ""
        ours = self._services.get(OURS.get(service, service))
        tags = ours.resource_tags(arn) if ours else None
        if tags is None:
            tags = moto_state.tags(arn, region) if service else {}
        if tags is None and ours and type(ours).resource_tags is not Service.resource_tags:
            tags = {}  # it keeps tags and has none of this: it is not there yet
        if tags is None:
            raise Undecided(f"the tags of {arn}")
        found: dict[str, tuple[str, ...]] = {}
        for key, value in tags.items():
            for prefix in ("aws", service):
                found[f"{prefix}:resourcetag/{key.lower()}"] = (value,)
        if service == "s3":
            for key, value in moto_state.object_tags(arn).items():
                found[f"s3:existingobjecttag/{key.lower()}"] = (value,)
        return found

    # Context

    def _context(
        self, principal: Principal, need: Need, operation: Operation, region: str
    ) -> dict[str, tuple[str, ...]]:
        now = self.world.now()
        context: dict[str, tuple[str, ...]] = {
            "aws:currenttime": (now.strftime("%Y-%m-%dT%H:%M:%SZ"),),
            "aws:epochtime": (str(int(now.timestamp())),),
            "aws:requestedregion": (region,),
            "aws:resourceaccount": (need.owner,),
            "aws:securetransport": ("true",),
            "aws:sourceip": ("127.0.0.1",),
            "aws:useragent": ("sandbox",),
            "aws:viaawsservice": ("true" if principal.via else "false",),
        }
        if via := principal.via:
            context["aws:calledvia"] = via
            context["aws:calledviafirst"], context["aws:calledvialast"] = via[:1], via[-1:]
            context["kms:viaservice"] = (via[-1].replace(".", f".{region}.", 1),)
        context |= self._place("resource", need.owner)
        context |= self._who(principal)
        if need.resource.startswith("arn:aws:kms:"):
            context["kms:calleraccount"] = (principal.account,)
        if need.resource.startswith("arn:aws:s3:"):
            context["s3:resourceaccount"] = (need.owner,)
            context["s3:authtype"] = ("REST-HEADER",)
            context["s3:signatureversion"] = ("AWS4-HMAC-SHA256",)
            context["s3:tlsversion"] = ("1.3",)
        tags = tags_of(operation.params)
        if tags:
            context["aws:tagkeys"] = tuple(tags)
            context |= {f"aws:requesttag/{key.lower()}": (said,) for key, said in tags.items()}
        if keys := operation.params.get("TagKeys") or operation.params.get("tagKeys"):
            context["aws:tagkeys"] = tuple(keys)
        context |= _of_service(operation)
        if ours := self._services.get(operation.service):
            told = ours.request_context(principal, region, operation.name, operation.params)
            context |= {key.lower(): (said,) for key, said in told.items()}
        return context | dict(need.context)

    def _who(self, principal: Principal) -> dict[str, tuple[str, ...]]:
        service = principal.kind == "service"
        context: dict[str, tuple[str, ...]] = {
            "aws:principalisawsservice": ("true" if service else "false",),
        }
        if service:
            context["aws:principalservicename"] = (principal.arn,)
            context["aws:principalservicenameslist"] = (principal.arn,)
            context |= {key.lower(): (said,) for key, said in principal.source.items()}
            return context | self._place("source", principal.source.get("aws:SourceAccount", ""))
        kinds = {"role": "AssumedRole", "user": "User", "root": "Account"}
        context["aws:principalarn"] = (principal.arn,)
        context["aws:principalaccount"] = (principal.account,)
        context["aws:principaltype"] = (kinds.get(principal.kind, "Anonymous"),)
        if principal.kind == "user":
            context["aws:username"] = (principal.name,)
        if principal.kind == "role":
            number = principal.role_id or getattr(moto_state.role(principal.arn), "id", "")
            context["aws:userid"] = (f"{number}:{principal.session_name}",)
            context["aws:multifactorauthpresent"] = ("false",)
            tags = moto_state.tags_of_role(principal.arn) | dict(principal.session_tags)
            context |= {f"aws:principaltag/{key.lower()}": (said,) for key, said in tags.items()}
        return context | self._place("principal", principal.account)

    def _place(self, whose: str, account: str) -> dict[str, tuple[str, ...]]:
        path = moto_state.organisation_path(self._management(), account)
        if path is None:
            return {}
        return {f"aws:{whose}orgid": (ORGANISATION,), f"aws:{whose}orgpaths": (path,)}


def noted(need: Need, decision: iam.Decision) -> dict[str, Any]:
    """Return a verdict as the log tells it."""
    return {
        "action": need.action,
        "resource": need.resource,
        "allowed": decision.allowed,
        "statement": decision.statement_id,
    }


def _parsed(text: str | bytes | None) -> Mapping[str, Any] | None:
    if not text:
        return None
    return moto_state.document(text.decode() if isinstance(text, bytes) else text)


def _mentions_tags(policies: iam.Policies, action: str) -> bool:
    """Tell whether a statement about this action asks for tags: only then must they be known."""
    every = [*policies.identity, *policies.sessions, policies.boundary, policies.resource]
    statements = (said for one in every if one for said in iam.speaking_of(one, action))
    texts = (json.dumps(said).lower() for said in statements)
    return any("resourcetag" in text or "existingobjecttag" in text for text in texts)


# operation's service -> parameter -> condition key
KEYS: dict[str, dict[str, str]] = {
    "cloudformation": {
        "ChangeSetName": "cloudformation:changesetname",
        "ResourceTypes": "cloudformation:resourcetypes",
        "RoleARN": "cloudformation:rolearn",
        "TemplateURL": "cloudformation:templateurl",
    },
    "cloudwatch": {"Namespace": "cloudwatch:namespace"},
    "sagemaker": {
        "ModelApprovalStatus": "sagemaker:modelapprovalstatus",
        "RootAccess": "sagemaker:rootaccess",
    },
    "secretsmanager": {
        "Name": "secretsmanager:name",
        "SecretId": "secretsmanager:secretid",
        "VersionStage": "secretsmanager:versionstage",
    },
    "sns": {"Endpoint": "sns:endpoint", "Protocol": "sns:protocol"},
}


# SageMaker's switches, at the top of a request or in a job's NetworkConfig within it
NETWORK = {
    "EnableInterContainerTrafficEncryption": "sagemaker:intercontainertrafficencryption",
    "EnableNetworkIsolation": "sagemaker:networkisolation",
}


def _of_service(operation: Operation) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for parameter, key in KEYS.get(operation.service, {}).items():
        value = operation.params.get(parameter)
        if isinstance(value, list):
            found[key] = tuple(str(one) for one in value)
        elif value is not None:
            found[key] = (str(value).lower() if isinstance(value, bool) else str(value),)
    if operation.service == "sagemaker":
        types = tuple(dict.fromkeys(_members(operation.params, "InstanceType")))
        found |= {"sagemaker:instancetypes": types} if types else {}
        for name, key in (("Subnets", "vpcsubnets"), ("SecurityGroupIds", "vpcsecuritygroupids")):
            values = tuple(dict.fromkeys(_members(operation.params, name)))
            found |= {f"sagemaker:{key}": values} if values else {}
        for name, key in (("VolumeKmsKeyId", "volumekmskey"), ("KmsKeyId", "outputkmskey")):
            values = tuple(dict.fromkeys(_members(operation.params, name)))
            found |= {f"sagemaker:{key}": values[:1]} if values else {}
        for name, key in NETWORK.items():
            # The weakest counts, where a request has several jobs: false sorts before true.
            switches = sorted(_members(operation.params, name))
            found |= {key: (switches[0],)} if switches else {}
    return found


def _members(value: object, name: str) -> list[str]:
    """Return every string and switch below a member of that name, however deep."""
    if isinstance(value, Mapping):
        here = value.get(name)
        here = str(here).lower() if isinstance(here, bool) else here
        found = [here] if isinstance(here, str) else list(here) if isinstance(here, list) else []
        below = [one for key, part in value.items() if key != name for one in _members(part, name)]
        return [one for one in found if isinstance(one, str)] + below
    if isinstance(value, list):
        return [one for part in value for one in _members(part, name)]
    return []
