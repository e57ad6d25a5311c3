"""A running sandbox as its user holds it: by its endpoint alone."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3

from seedbed.errors import SeedbedError
from seedbed.sandbox import studio_page
from seedbed.sandbox.organisation import ADMIN_ROLE, Organisation
from seedbed.sandbox.world import CONFIG

ADMIN = "/_sandbox/"


class Sandbox:
    """Clients, credentials and the admin API of one endpoint."""

    def __init__(self, endpoint: str, folder: Path, organisation: Organisation) -> None:
        self.endpoint = endpoint
        self.folder = folder
        self.organisation = organisation
        self.region = organisation.region
        self._clients: dict[Any, Any] = {}

    def account(self, name: str) -> str:
        """Return the id of an account given by name (or id)."""
        known = self.organisation.accounts
        return known[name].id if name in known else name

    def client(
        self,
        service: str,
        account: str = "dev",
        *,
        region: str | None = None,
        role: str | None = None,
        **assume: Any,
    ) -> Any:
        """Return a boto3 client as an account's administrator, or as a role of that account.

        `role` is a name or an ARN; `assume` goes to AssumeRole (RoleSessionName, Policy, ...).

        Raises:
            botocore.exceptions.ClientError: The role's trust policy denies its own account's root.
        """
        key = (service, account, region, role)
        if assume or key not in self._clients:
            credentials = self.credentials(account, role, **assume)
            made = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=region or self.region,
                config=CONFIG,
                **credentials,
            )
            if assume:
                return made
            self._clients[key] = made
        return self._clients[key]

    def credentials(
        self, account: str = "dev", role: str | None = None, **assume: Any
    ) -> dict[str, str]:
        """Return boto3's credential arguments of an account's administrator or of a role."""
        number = self.account(account)
        known = {one.id: one for one in self.organisation.accounts.values()}
        root = {
            "aws_access_key_id": known[number].access_key,
            "aws_secret_access_key": "sandbox",
        }
        if role is None:
            return root
        arn = role if role.startswith("arn:") else f"arn:aws:iam::{number}:role/{role}"
        said = {"RoleArn": arn, "RoleSessionName": "sandbox", **assume}
        answer = self.client("sts", account).assume_role(**said)["Credentials"]
        return {
            "aws_access_key_id": answer["AccessKeyId"],
            "aws_secret_access_key": answer["SecretAccessKey"],
            "aws_session_token": answer["SessionToken"],
        }

    def become(self, service: str, role_arn: str, *, region: str | None = None) -> Any:
        """Return a client as a role, without asking its trust policy: to try its permissions."""
        credentials = self.admin("POST", "become", {"role_arn": role_arn})
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region or self.region,
            config=CONFIG,
            **credentials,
        )

    def environment(self, account: str = "dev", role: str | None = None) -> dict[str, str]:
        """Return the environment variables that point any AWS client at this sandbox."""
        said = {key.upper(): value for key, value in self.credentials(account, role).items()}
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **said,
        }

    def git_environment(self, account: str = "dev", role: str | None = None) -> dict[str, str]:
        """Return a whole environment in which `git` reaches this sandbox's repositories."""
        said: dict[str, str] = self.admin(
            "POST", "git/environment", {**os.environ, **self.environment(account, role)}
        )
        return said

    def git_repository(self, repository: str) -> Path:
        """Return the bare repository "owner/name" at the git host, made if need be."""
        said = self.admin("POST", "git/repository", {"repository": repository})
        return Path(said["path"])

    def complete_connection(self, arn: str) -> None:
        """Complete a pending connection (or host), as a person does in the console."""
        self.admin("POST", "git/complete", {"arn": arn})

    def admin_role(self, account: str) -> str:
        return f"arn:aws:iam::{self.account(account)}:role/{ADMIN_ROLE}"

    def studio_templates(
        self, account: str, role: str, domain: str
    ) -> dict[str, list[dict[str, str]]]:
        """Return what Studio's page "Create project" offers a role (see studio_page.py)."""
        arn = (
            role if role.startswith("arn:") else f"arn:aws:iam::{self.account(account)}:role/{role}"
        )
        return studio_page.listing(self, account, arn, domain)

    # The admin API

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.admin("GET", "status")
        return answer

    def reset(self) -> None:
        """Forget all state: stores, moto, credentials, log, chaos, files."""
        self.admin("POST", "reset")
        self._clients.clear()

    def calls(self, **match: Any) -> list[dict[str, Any]]:
        """Return the log, or the calls whose fields equal `match`."""
        calls: list[dict[str, Any]] = self.admin("GET", "calls")
        return [one for one in calls if all(one[name] == said for name, said in match.items())]

    def report(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.admin("GET", "report")
        return answer

    def grants(self) -> list[dict[str, Any]]:
        """Return what each grant in a policy did in this run (see replay.py)."""
        answer: list[dict[str, Any]] = self.admin("GET", "grants")
        return answer

    def chaos(self, *rules: dict[str, Any], seed: int = 0) -> None:
        """Set the chaos rules (see chaos.py); none given: calm."""
        self.admin("PUT", "chaos", {"seed": seed, "rules": list(rules)})

    def struck(self) -> list[dict[str, Any]]:
        """Return the chaos rules with the calls that each met (`seen`) and struck (`struck`)."""
        answer: list[dict[str, Any]] = self.admin("GET", "chaos")
        return answer

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock on."""
        self.admin("POST", "advance", {"seconds": seconds})

    def admin(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 (our own loopback endpoint)
            self.endpoint + ADMIN + path, data=data, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SeedbedError(error.read().decode()) from error
