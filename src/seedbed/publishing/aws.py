"""One account in one region: its clients, the calls they make, and what they refuse, in a line."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    ConnectionError,  # noqa: A004 (botocore's)
    HTTPClientError,
    ProfileNotFound,
)

from seedbed.errors import SeedbedError

# Service Catalog throttles early; the adaptive mode slows down before it is told to.
CONFIG = Config(retries={"mode": "adaptive", "max_attempts": 10}, user_agent_extra="seedbed")
# The first question of all: whoever mistyped the address waits seconds, not half a minute.
FIRST = Config(retries={"mode": "standard", "max_attempts": 3}, user_agent_extra="seedbed")
LOGIN = "give --profile or set AWS_PROFILE; `aws sso login` renews a session"
REMEDIES = {  # error code, or botocore's class -> what to do, where the message does not say it
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestExpired"), LOGIN),
    **dict.fromkeys(("InvalidClientTokenId", "UnrecognizedClientException"), LOGIN),
    **dict.fromkeys(("SignatureDoesNotMatch", "AuthFailure", "InvalidAccessKeyId"), LOGIN),
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError"), LOGIN),
    **dict.fromkeys(("CredentialRetrievalError", "TokenRetrievalError"), LOGIN),
    **dict.fromkeys(("SSOTokenLoadError", "UnauthorizedSSOTokenError"), LOGIN),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"),
        "ask an administrator for it, or use another profile",
    ),
    **dict.fromkeys(
        ("Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown"),
        "run it again in a minute",
    ),
    "ChangeSetNotFound": "somebody else has changed the stack meanwhile: run it again",
}


@dataclass
class Account:
    """Clients of one account in one region; `calls` counts what was asked, retries not."""

    session: boto3.Session
    region: str
    calls: Counter[str] = field(default_factory=Counter)
    _clients: dict[str, Any] = field(default_factory=dict)
    _making: Any = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, region: str, profile: str | None = None) -> Account:
        """Return the account of the profile, or of the environment's credentials.

        Raises:
            SeedbedError: there is no such profile.
        """
        try:
            return cls(boto3.Session(profile_name=profile, region_name=region), region)
        except ProfileNotFound as error:
            known = ", ".join(botocore.session.Session().available_profiles) or "none: make one"
            raise SeedbedError(f"credentials: {error}: there are {known}") from error
        except ConfigParseError as error:
            raise SeedbedError(f"credentials: {reason(error)}: mend the file") from error

    def at(self, region: str) -> Account:
        """Return the same account in another region; its calls count here too."""
        return Account(self.session, region, self.calls)

    def client(self, service: str) -> Any:  # noqa: ANN401 (boto3 makes its classes as it runs)
        """Return a client, made once; boto3's making of one is not safe in several threads."""
        with self._making:
            if service not in self._clients:
                config = FIRST if service == "sts" else CONFIG
                try:
                    with told(service):
                        made = self.session.client(service, region_name=self.region, config=config)
                except ValueError as error:  # botocore's word for an endpoint that is no address
                    raise SeedbedError(f"{service}: {error}: mend AWS_ENDPOINT_URL") from error
                made.meta.events.register(f"before-call.{service}", self._count)
                self._clients[service] = made
            return self._clients[service]

    def role(self, name: str) -> Any:  # noqa: ANN401 (boto3's answer)
        """Return a role of the account, or None if there is none of that name."""
        iam = self.client("iam")
        try:
            return iam.get_role(RoleName=name)["Role"]
        except iam.exceptions.NoSuchEntityException:
            return None

    def _count(self, model: Any, **_: object) -> None:  # noqa: ANN401
        self.calls[f"{model.service_model.service_name}:{model.name}"] += 1

    @cached_property
    def id(self) -> str:
        """Return the account's id.

        Raises:
            SeedbedError: there are no credentials, or they have expired.
        """
        with told("credentials"):
            return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def partition(self) -> str:
        return str(self.session.get_partition_for_region(self.region))

    def object_url(self, bucket: str, key: str) -> str:
        """Return the https address of an S3 object in this region."""
        suffix = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        return f"https://{bucket}.s3.{self.region}.{suffix}/{key}"

    def assume(self, role_arn: str, region: str | None = None) -> Account | None:
        """Return the account of a role, or None if the role is not to be had."""
        try:
            answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="seedbed")
        except ClientError:
            return None
        keys = answer["Credentials"]
        session = boto3.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], self.region
        )
        return Account(session, region or self.region, self.calls)

    def every(
        self,
        service: str,
        operation: str,
        key: str,
        **parameters: Any,  # noqa: ANN401
    ) -> Iterator[Any]:
        """Yield the items below `key` of every page of a list operation."""
        ask = getattr(self.client(service), operation)
        token: dict[str, str] = {}
        while True:
            page = ask(**parameters, **token)
            yield from page.get(key, ())
            if not page.get("NextPageToken"):
                return
            token = {"PageToken": page["NextPageToken"]}


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what AWS or the way to it refuses into one line that begins with `what`."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise SeedbedError(f"{what}: {reason(error)}") from error


def reason(error: BotoCoreError | ClientError) -> str:
    """Return what AWS or the way to it refuses, and what to do where it does not say."""
    code, line = type(error).__name__, str(error)
    if isinstance(error, ClientError):
        code = error.response["Error"].get("Code", "")
        line = f"{error.operation_name}: {code}: {error.response['Error'].get('Message', '')}"
    remedy = REMEDIES.get(code, "")
    if isinstance(error, ConnectionError | HTTPClientError):
        own = "AWS_ENDPOINT_URL" in os.environ
        remedy = "does it run? mend or unset AWS_ENDPOINT_URL" if own else "look at the network"
    line = " ".join(line.split()).rstrip(".: ")
    return f"{line}: {remedy}" if remedy else line
