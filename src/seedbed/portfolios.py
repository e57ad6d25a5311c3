"""Sharing a portfolio without a publish, and what a spoke does with what it gets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seedbed.declaration import ACCOUNT, FILE, UNIT, Declaration, principal
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account, told
from seedbed.publishing.changes import Change, Plan
from seedbed.publishing.observe import CATALOG, PORTFOLIO_TAG
from seedbed.publishing.offers import node_of

ALONE, TOGETHER = "IMPORTED", "AWS_ORGANIZATIONS"  # shares with one account; with a unit


@dataclass(frozen=True)
class Imported:
    """A portfolio as a spoke has it: its products, who may see them, what its launches lack."""

    id: str
    title: str
    products: tuple[str, ...]
    principals: tuple[str, ...]
    missing_roles: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return asdict(self)


def share(
    account: Account, declared: Declaration, key: str, nodes: Sequence[str], *, end: bool = False
) -> Plan:
    """Return the requests that share a portfolio with units or accounts now, or end the shares.

    The declaration stays the owner: what it does not say, the next publish would undo. What is
    so already is told, and not asked for again.

    Raises:
        SeedbedError: the declaration says otherwise, or the portfolio is not published.
    """
    _refuse_undeclared(declared, [key])
    shares = declared.portfolios[key].shares
    for node in nodes:
        if not re.match(f"{ACCOUNT}|{UNIT}", node):
            example = "a unit's id, such as ou-ab12-11111111, or an account id of 12 digits"
            raise SeedbedError(f"--with is {node!r}: write {example}")
        if (node in {*shares.units, *shares.accounts}) == end:
            how = ("take it out of", "share with it again") if end else ("add it to", "undo this")
            where = f"portfolios.{key}.shares in {FILE}"
            raise SeedbedError(f"{node}: {how[0]} {where} first: the next publish would {how[1]}")
    before, portfolio = account.calls.total(), _find(account, key)
    made: list[Change] = []
    notes: list[str] = []
    flags = {"SharePrincipals": shares.principals, "ShareTagOptions": shares.tag_options}
    for node in dict.fromkeys(nodes):
        kind = "ORGANIZATIONAL_UNIT" if node.startswith("ou-") else "ACCOUNT"
        if _is_shared(account, portfolio, kind, node) != end:
            notes.append(f"{key} is {'not ' if end else ''}shared with {node}: nothing to do")
            continue
        request = {"PortfolioId": portfolio, **node_of((kind, node)), **({} if end else flags)}
        operation = "DeletePortfolioShare" if end else "CreatePortfolioShare"
        say = f"share no more with {node}" if end else f"share with {node}"
        made.append(Change("share", key, say, CATALOG, operation, request))
    calls = account.calls.total() - before
    return Plan(account.id, account.region, tuple(made), tuple(notes), calls)


def take(
    account: Account,
    declared: Declaration,
    principals: Sequence[str] = (),
    keys: Sequence[str] = (),
) -> list[Imported]:
    """Tell which declared portfolios are shared with this account, and let roles of it see them.

    A share with a unit needs no acceptance; where its principals are shared too, nothing is left
    to do but to have the launch roles.

    Args:
        account: a spoke, in one region.
        declared: says by which roles the products are launched.
        principals: ARNs of roles of this account, or patterns without an account id.
        keys: the portfolios that the principals may see; none: all of the declaration.

    Raises:
        SeedbedError: nothing is shared with this account, a principal is too wide or of another
            account, or AWS refuses.
    """
    _refuse_undeclared(declared, keys)
    for arn in principals:
        _refuse_wide(account, arn)
    titles = {one.title for one in declared.portfolios.values()}
    seen = {declared.portfolios[key].title for key in keys} or titles
    client = account.client(CATALOG)
    with told("shared portfolios"):
        found = {
            item["Id"]: item
            for kind in (ALONE, TOGETHER)
            for item in account.every(
                CATALOG,
                "list_accepted_portfolio_shares",
                "PortfolioDetails",
                PortfolioShareType=kind,
            )
            if item["DisplayName"] in titles  # others may share with this account too
        }
        for id_, item in found.items():
            for arn in principals if item["DisplayName"] in seen else ():
                kind = "IAM_PATTERN" if ":iam:::" in arn else "IAM"
                client.associate_principal_with_portfolio(
                    PortfolioId=id_, PrincipalARN=arn, PrincipalType=kind
                )
        if not found:
            raise SeedbedError(
                f"nothing is shared with {account.id} in {account.region}: in the hub, declare its "
                "unit in portfolios.<name>.shares.units and run `seedbed publish`"
            )
        return [_imported(account, declared, item) for item in found.values()]


def _refuse_undeclared(declared: Declaration, keys: Sequence[str]) -> None:
    for key in keys:
        if key not in declared.portfolios:
            known = ", ".join(declared.portfolios)
            raise SeedbedError(f"portfolio {key}: not declared: use one of {known}")


def _refuse_wide(account: Account, arn: str) -> None:
    """Raise SeedbedError for what is no principal of this account and no narrow pattern."""
    if re.fullmatch(rf"arn:[a-z-]+:iam::{account.id}:(role|user|group)/[\w+=,.@/-]+", arn):
        return
    try:
        principal(arn)
    except ValueError as error:
        raise SeedbedError(f"--principal is {arn!r}: {error}, or one of {account.id}") from None


def _is_shared(account: Account, portfolio: str, kind: str, node: str) -> bool:
    with told("shares"):
        found = account.every(
            CATALOG,
            "describe_portfolio_shares",
            "PortfolioShareDetails",
            PortfolioId=portfolio,
            Type=kind,
        )
        return any(one["PrincipalId"] == node for one in found)


def accept(account: Account, portfolio: str) -> None:
    """Accept a share with this account alone, by the portfolio's id. Raises SeedbedError."""
    if not re.fullmatch(r"port-[a-z0-9]+", portfolio):
        raise SeedbedError(f"--accept is {portfolio!r}: write a portfolio's id, such as port-ab12")
    with told(f"portfolio {portfolio}"):
        account.client(CATALOG).accept_portfolio_share(PortfolioId=portfolio)


def _imported(account: Account, declared: Declaration, item: Mapping[str, str]) -> Imported:
    at = {"PortfolioId": item["Id"]}
    listed = account.every(CATALOG, "search_products_as_admin", "ProductViewDetails", **at)
    principals = account.every(CATALOG, "list_principals_for_portfolio", "Principals", **at)
    names = tuple(sorted(one["ProductViewSummary"]["Name"] for one in listed))
    roles = {one.launch_role for one in declared.products.values() if one.title in names}
    return Imported(
        id=item["Id"],
        title=item["DisplayName"],
        products=names,
        principals=tuple(sorted(one["PrincipalARN"] for one in principals)),
        missing_roles=tuple(sorted(role for role in roles if account.role(role) is None)),
    )


def _find(account: Account, key: str) -> str:
    """Return the id of the hub's portfolio with our tag."""
    with told("portfolios"):
        for item in account.every(CATALOG, "list_portfolios", "PortfolioDetails"):
            tags = account.client(CATALOG).describe_portfolio(Id=item["Id"])["Tags"]
            if {"Key": PORTFOLIO_TAG, "Value": key} in tags:
                return str(item["Id"])
    raise SeedbedError(f"portfolio {key}: not in {account.region}: run `seedbed publish`")
