"""Who is in the organisation: accounts, organisational units and the paths that policies name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seedbed.errors import SeedbedError

ORGANISATION = "o-seedbed0001"
ROOT = "r-seed"
REGION = "eu-west-1"
ADMIN_ROLE = "seedbed-admin"

DEFAULT: dict[str, Any] = {
    "region": REGION,
    "accounts": {
        "management": {"id": "111111111111", "ou": ""},
        "hub": {"id": "222222222222", "ou": "platform"},
        "dev": {"id": "333333333333", "ou": "workloads/dev"},
        "test": {"id": "444444444444", "ou": "workloads/test"},
        "prod": {"id": "555555555555", "ou": "workloads/prod"},
        "governance": {"id": "666666666666", "ou": "data"},
    },
}


@dataclass(frozen=True)
class Account:
    """One account; `ou` is a path of names below the root, empty for the root itself."""

    name: str
    id: str
    ou: str

    @property
    def root_arn(self) -> str:
        return f"arn:aws:iam::{self.id}:root"

    @property
    def access_key(self) -> str:
        """The bootstrap administrator's key: the account can be read from it."""
        return f"AKIA{self.id}ROOT"


@dataclass(frozen=True)
class Organisation:
    region: str
    accounts: Mapping[str, Account]

    @classmethod
    def load(cls, path: Path | None = None) -> Organisation:
        """Read `--org FILE` (YAML: region, accounts: {name: {id, ou}}), or the default.

        Raises:
            SeedbedError: The file is not of that shape, or names no management account.
        """
        document = DEFAULT
        if path is not None:
            try:
                document = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, yaml.YAMLError) as error:
                raise SeedbedError(f"--org {path}: not readable as YAML ({error})") from error
        if not isinstance(document, Mapping) or not isinstance(document.get("accounts"), Mapping):
            raise SeedbedError(f"--org {path}: give `accounts:` as a mapping of name to id and ou")
        accounts = {name: _account(name, said) for name, said in document["accounts"].items()}
        if "management" not in accounts:
            raise SeedbedError(f"--org {path}: name one account `management`: it owns the tree")
        if len({account.id for account in accounts.values()}) < len(accounts):
            raise SeedbedError(f"--org {path}: two accounts have one id; give each its own")
        organisation = cls(str(document.get("region", REGION)), accounts)
        units = organisation.units()
        if len({unit_id(unit) for unit in units}) < len(units):
            raise SeedbedError(f"--org {path}: two OUs differ only in punctuation; rename one")
        return organisation

    def units(self) -> list[str]:
        """Return every OU's path, parents first."""
        found = set()
        for account in self.accounts.values():
            parts = [part for part in account.ou.split("/") if part]
            found |= {"/".join(parts[: end + 1]) for end in range(len(parts))}
        return sorted(found)

    def path(self, account_id: str) -> str | None:
        """Return an account's `aws:PrincipalOrgPaths` entry, or None if it is a stranger."""
        for account in self.accounts.values():
            if account.id == account_id:
                parts = [part for part in account.ou.split("/") if part]
                ids = [unit_id("/".join(parts[: end + 1])) for end in range(len(parts))]
                return "/".join([ORGANISATION, ROOT, *ids]) + "/"
        return None


def unit_id(path: str) -> str:
    """Return an OU's id: told from its path, so that it is the same in every run."""
    letters = re.sub(r"[^a-z0-9]", "", path.lower())
    return f"ou-{ROOT[2:]}-{letters[:32].ljust(8, '0')}"


def _account(name: object, said: object) -> Account:
    if not isinstance(said, Mapping):
        raise SeedbedError(f"--org: account {name}: give it an `id` and an `ou`")
    number = str(said.get("id", ""))
    if not re.fullmatch(r"\d{12}", number):
        raise SeedbedError(f"--org: account {name}: id {number!r} must be twelve digits, quoted")
    return Account(str(name), number, str(said.get("ou", "") or "").strip("/"))
