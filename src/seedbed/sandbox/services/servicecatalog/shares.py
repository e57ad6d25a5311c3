"""Service Catalog: portfolios shared with accounts and with parts of the organisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.servicecatalog.access import PRINCIPAL
from seedbed.sandbox.services.servicecatalog.base import Base, atomic, invalid, missing
from seedbed.sandbox.services.servicecatalog.records import Catalog, Operation, Portfolio, Share
from seedbed.sandbox.world import Context

MEMBER = "ORGANIZATION_MEMBER_ACCOUNT"
STEP = 0.05  # seconds: shares take minutes in AWS


class Shares(Base):
    # The organisation

    def enable_aws_organizations_access(self, ctx: Context) -> dict[str, Any]:
        self._check_management(ctx)
        ctx.client("organizations").enable_aws_service_access(ServicePrincipal=PRINCIPAL)
        self._global.organisation_access = True
        return {}

    def disable_aws_organizations_access(self, ctx: Context) -> dict[str, Any]:
        self._check_management(ctx)
        if self.delegated_administrators():
            message = "There are delegated administrators of Service Catalog: deregister them."
            raise ServiceError("InvalidStateException", message)
        ctx.client("organizations").disable_aws_service_access(ServicePrincipal=PRINCIPAL)
        self._global.organisation_access = False
        return {}

    def get_aws_organizations_access_status(self, ctx: Context) -> dict[str, Any]:
        self._check_delegated(ctx)
        enabled = self._global.organisation_access
        return {"AccessStatus": "ENABLED" if enabled else "DISABLED"}

    @property
    def _global(self) -> Catalog:
        return self.catalog_of(self.world.account_id("management"), "global")

    def _check_management(self, ctx: Context) -> None:
        if ctx.account != self.world.account_id("management"):
            raise _unsupported_for(ctx, "the management account")

    def _check_delegated(self, ctx: Context) -> None:
        allowed = {self.world.account_id("management"), *self.delegated_administrators()}
        if ctx.account not in allowed:
            raise _unsupported_for(ctx, "the management account or a delegated administrator")

    # Shares, as their owner makes them

    @atomic
    def create_portfolio_share(
        self,
        ctx: Context,
        *,
        PortfolioId: str,
        AccountId: str | None = None,
        OrganizationNode: Mapping[str, str] | None = None,
        ShareTagOptions: bool = False,
        SharePrincipals: bool = False,
    ) -> dict[str, Any]:
        portfolio = self.own_portfolio(ctx, PortfolioId)
        kind, value = self._node(ctx, AccountId, OrganizationNode)
        _check_flags(kind, SharePrincipals)
        if any(portfolio.products.values()):
            raise invalid(f"Portfolio {PortfolioId} holds a shared product: it cannot be shared.")
        if (there := _find(portfolio, kind, value)) is not None:
            if there.leaving:
                raise _in_progress(portfolio, value)
            if kind == "ACCOUNT":
                return {}
            status = "COMPLETED" if there.ready else "NOT_STARTED"
            return self._told(ctx, portfolio, kind, value, lambda: None, status=status)
        share = Share(kind, value, ShareTagOptions, SharePrincipals, accepted=kind != "ACCOUNT")
        portfolio.shares.append(share)
        if kind == "ACCOUNT":
            share.ready = True
            return {}
        return self._told(ctx, portfolio, kind, value, lambda: _set(share, ready=True))

    @atomic
    def update_portfolio_share(
        self,
        ctx: Context,
        *,
        PortfolioId: str,
        AccountId: str | None = None,
        OrganizationNode: Mapping[str, str] | None = None,
        ShareTagOptions: bool | None = None,
        SharePrincipals: bool | None = None,
    ) -> dict[str, Any]:
        portfolio = self.own_portfolio(ctx, PortfolioId)
        kind, value = self._node(ctx, AccountId, OrganizationNode)
        _check_flags(kind, bool(SharePrincipals))
        share = self._settled(portfolio, kind, value)
        flags = {"tag_options": ShareTagOptions, "principals": SharePrincipals}
        given = {name: flag for name, flag in flags.items() if flag is not None}
        answer = self._told(ctx, portfolio, kind, value, lambda: _set(share, **given))
        return {**answer, "Status": "NOT_STARTED"}

    @atomic
    def delete_portfolio_share(
        self,
        ctx: Context,
        *,
        PortfolioId: str,
        AccountId: str | None = None,
        OrganizationNode: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        portfolio = self.own_portfolio(ctx, PortfolioId)
        kind, value = self._node(ctx, AccountId, OrganizationNode)
        share = self._settled(portfolio, kind, value)

        def drop() -> None:
            if share in portfolio.shares:
                portfolio.shares.remove(share)

        if kind == "ACCOUNT":
            drop()
            return {}
        share.leaving = True
        return self._told(ctx, portfolio, kind, value, drop)

    @atomic
    def describe_portfolio_share_status(
        self, ctx: Context, PortfolioShareToken: str
    ) -> dict[str, Any]:
        self._check_delegated(ctx)
        found = self.catalog(ctx).operations.get(PortfolioShareToken)
        if found is None:
            raise missing(f"Portfolio share operation {PortfolioShareToken} not found.")
        return {
            "PortfolioShareToken": found.token,
            "PortfolioId": found.portfolio_id,
            "OrganizationNodeValue": found.node,
            "Status": found.status,
            "ShareDetails": {"SuccessfulShares": found.done, "ShareErrors": found.errors},
        }

    @atomic
    def describe_portfolio_shares(
        self, ctx: Context, PortfolioId: str, Type: str
    ) -> dict[str, Any]:
        shares = self.own_portfolio(ctx, PortfolioId).shares
        found = [one.wire() for one in shares if one.ready and one.kind == Type]
        return {"PortfolioShareDetails": found}

    @atomic
    def list_portfolio_access(
        self, ctx: Context, PortfolioId: str, OrganizationParentId: str | None = None
    ) -> dict[str, Any]:
        portfolio = self.own_portfolio(ctx, PortfolioId)
        ready = [one for one in portfolio.shares if one.ready]
        if OrganizationParentId is None:
            return {"AccountIds": [one.value for one in ready if one.kind in ("ACCOUNT", MEMBER)]}
        self._check_delegated(ctx)
        below = self.accounts_below(OrganizationParentId)
        nodes = {one.value for one in ready if one.kind != "ACCOUNT"}
        reached = [one for one in below if nodes & {one, *self.nodes_above(one)}]
        return {"AccountIds": [one for one in reached if one != ctx.account]}

    @atomic
    def list_organization_portfolio_access(
        self, ctx: Context, PortfolioId: str, OrganizationNodeType: str
    ) -> dict[str, Any]:
        self._check_delegated(ctx)
        kind = MEMBER if OrganizationNodeType == "ACCOUNT" else OrganizationNodeType
        shares = self.own_portfolio(ctx, PortfolioId).shares
        found = [one.value for one in shares if one.ready and one.kind == kind]
        return {
            "OrganizationNodes": [{"Type": OrganizationNodeType, "Value": one} for one in found]
        }

    # Shares, as their recipients see them

    @atomic
    def accept_portfolio_share(
        self, ctx: Context, PortfolioId: str, PortfolioShareType: str = "IMPORTED"
    ) -> dict[str, Any]:
        for share in self._offers(ctx, PortfolioId, PortfolioShareType):
            share.accepted = True
        self.catalog(ctx).rejected.discard(PortfolioId)
        return {}

    @atomic
    def reject_portfolio_share(
        self, ctx: Context, PortfolioId: str, PortfolioShareType: str = "IMPORTED"
    ) -> dict[str, Any]:
        shares = self._offers(ctx, PortfolioId, PortfolioShareType)
        if PortfolioShareType == "IMPORTED":
            for share in shares:
                share.accepted = False
        else:
            self.catalog(ctx).rejected.add(PortfolioId)
        self.catalog(ctx).principals.pop(PortfolioId, None)
        return {}

    @atomic
    def list_accepted_portfolio_shares(
        self, ctx: Context, PortfolioShareType: str = "IMPORTED"
    ) -> dict[str, Any]:
        if PortfolioShareType == "AWS_SERVICECATALOG":
            return {"PortfolioDetails": []}
        found = {
            one.id: one.wire()
            for one, share in self.imported(ctx.account, ctx.region)
            if (share.kind == "ACCOUNT") == (PortfolioShareType == "IMPORTED")
        }
        return {"PortfolioDetails": list(found.values())}

    def _offers(self, ctx: Context, portfolio_id: str, kind: str) -> list[Share]:
        found = [
            share
            for one, share in self.offered(ctx.account, ctx.region)
            if one.id == portfolio_id and (share.kind == "ACCOUNT") == (kind == "IMPORTED")
        ]
        if not found or kind == "AWS_SERVICECATALOG":
            raise missing(f"No portfolio {portfolio_id} is shared with account {ctx.account}.")
        return found

    # Inside

    def _node(
        self, ctx: Context, account: str | None, node: Mapping[str, str] | None
    ) -> tuple[str, str]:
        """Return the kind and value of a share that a request names.

        Raises:
            ServiceError: It names none or two, or the caller may not share with it.
        """
        if (account is None) == (node is None):
            raise invalid("Provide AccountId or OrganizationNode, but not both.")
        if account is not None:
            if account == ctx.account:
                raise invalid("A portfolio cannot be shared with the account that owns it.")
            return "ACCOUNT", account
        said = {"Type": "", "Value": "", **(node or {})}
        self._check_delegated(ctx)
        if not self._global.organisation_access:
            message = "AWSOrganizationsAccess is not enabled."
            raise ServiceError("InvalidStateException", message)
        kind, value = said["Type"], said["Value"].rsplit("/", 1)[-1]  # may be an ARN
        if not self.knows_node(kind, value):
            raise invalid(f"The organization has no {kind} {value}.")
        return (MEMBER if kind == "ACCOUNT" else kind), value

    def _settled(self, portfolio: Portfolio, kind: str, value: str) -> Share:
        share = _find(portfolio, kind, value)
        if share is None:
            raise missing(f"Portfolio {portfolio.id} is not shared with {value}.")
        if not share.ready or share.leaving:
            raise _in_progress(portfolio, value)
        return share

    def _told(
        self,
        ctx: Context,
        portfolio: Portfolio,
        kind: str,
        value: str,
        change: Callable[[], None],
        *,
        status: str = "NOT_STARTED",
    ) -> dict[str, Any]:
        """Start an operation on a share and return its token."""
        operation = Operation(self.new_id("share"), portfolio.id, value, status)
        self.catalog(ctx).operations[operation.token] = operation
        below = self.accounts_below(value) if kind != "ACCOUNT" else {value: "ACTIVE"}
        below.pop(ctx.account, None)
        if status == "COMPLETED":
            operation.done = sorted(below)
        else:
            self.world.spawn(operation.token, self._work, operation, below, change)
        return {"PortfolioShareToken": operation.token}

    def _work(
        self, operation: Operation, below: Mapping[str, str], change: Callable[[], None]
    ) -> None:
        if self.world.wait(STEP):
            return
        with self.lock:
            operation.status = "IN_PROGRESS"
        if self.world.wait(STEP):
            return
        with self.lock:
            change()
            operation.done = sorted(one for one, state in below.items() if state == "ACTIVE")
            suspended = sorted(set(below) - set(operation.done))
            if suspended:
                message = "The accounts are suspended."
                error = {"Accounts": suspended, "Message": message, "Error": "AccountSuspended"}
                operation.errors = [error]
            failed = "COMPLETED_WITH_ERRORS" if operation.done else "ERROR"
            operation.status = failed if suspended else "COMPLETED"


def _in_progress(portfolio: Portfolio, value: str) -> ServiceError:
    message = f"A change of the share of portfolio {portfolio.id} with {value} is in progress."
    return ServiceError("InvalidStateException", message)


def _unsupported_for(ctx: Context, who: str) -> ServiceError:
    message = f"{ctx.operation} can be called by {who} only, not by {ctx.account}."
    return ServiceError("OperationNotSupportedException", message)


def _check_flags(kind: str, principals: bool) -> None:
    if principals and kind not in ("ORGANIZATION", "ORGANIZATIONAL_UNIT"):
        raise invalid("SharePrincipals is for an ORGANIZATION or ORGANIZATIONAL_UNIT only.")


def _find(portfolio: Portfolio, kind: str, value: str) -> Share | None:
    there = (kind, value)
    return next((one for one in portfolio.shares if (one.kind, one.value) == there), None)


def _set(share: Share, **values: bool) -> None:
    for name, value in values.items():
        setattr(share, name, value)
