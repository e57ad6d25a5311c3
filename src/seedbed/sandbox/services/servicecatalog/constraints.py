"""Service Catalog: constraints on a product in a portfolio."""

from __future__ import annotations

import re
from typing import Any

from seedbed.sandbox.moto_state import MotoLookup
from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.servicecatalog.base import Base, atomic, invalid, missing, parsed
from seedbed.sandbox.services.servicecatalog.records import Constraint
from seedbed.sandbox.world import Context

# Types of which a product in a portfolio has at most one.
SINGLE = ("LAUNCH", "RESOURCE_UPDATE")
ROLE = re.compile(r"arn:aws:iam::\d{12}:role/.+")
LOOKUP = MotoLookup()


class Constraints(Base):
    @atomic
    def create_constraint(
        self,
        ctx: Context,
        *,
        PortfolioId: str,
        ProductId: str,
        Parameters: str,
        Type: str,
        IdempotencyToken: str,
        Description: str = "",
    ) -> dict[str, Any]:
        del IdempotencyToken
        portfolio = self.own_portfolio(ctx, PortfolioId)
        if ProductId not in portfolio.products:
            raise missing(f"Product {ProductId} is not in portfolio {PortfolioId}.")
        _check(ctx, Type, Parameters)
        known = self.catalog(ctx).constraints
        there = (PortfolioId, ProductId, Type)
        if Type in SINGLE and any(
            (one.portfolio_id, one.product_id, one.kind) == there for one in known.values()
        ):
            message = f"Product {ProductId} has a {Type} constraint in {PortfolioId} already."
            raise ServiceError("DuplicateResourceException", message)
        made = Constraint(
            self.new_id("cons"), Type, ctx.account, PortfolioId, ProductId, Parameters, Description
        )
        known[made.id] = made
        return made.wire()

    @atomic
    def update_constraint(
        self, ctx: Context, Id: str, Description: str | None = None, Parameters: str | None = None
    ) -> dict[str, Any]:
        constraint = self._own(ctx, Id)
        if Parameters is not None:
            _check(ctx, constraint.kind, Parameters)
            constraint.parameters = Parameters
        if Description is not None:
            constraint.description = Description
        return constraint.wire()

    @atomic
    def describe_constraint(self, ctx: Context, Id: str) -> dict[str, Any]:
        return self._own(ctx, Id).wire()

    @atomic
    def delete_constraint(self, ctx: Context, Id: str) -> dict[str, Any]:
        del self.catalog(ctx).constraints[self._own(ctx, Id).id]
        self.forget(ctx, Id)
        return {}

    @atomic
    def list_constraints_for_portfolio(
        self, ctx: Context, PortfolioId: str, ProductId: str | None = None
    ) -> dict[str, Any]:
        portfolio = self.portfolio(ctx, PortfolioId)
        held = self.catalog_of(portfolio.account, portfolio.region).constraints.values()
        return {
            "ConstraintDetails": [
                one.wire()["ConstraintDetail"]
                for one in held
                if one.portfolio_id == PortfolioId and ProductId in (None, one.product_id)
            ]
        }

    def _own(self, ctx: Context, constraint_id: str) -> Constraint:
        found = self.catalog(ctx).constraints.get(constraint_id)
        if found is None:
            raise missing(f"Constraint {constraint_id} not found.")
        return found


def _check(ctx: Context, kind: str, text: str) -> None:
    """Check a constraint's parameters.

    Raises:
        ServiceError: They are not of the form that the type asks for.
    """
    said = parsed(text, "Parameters")
    match kind:
        case "LAUNCH":
            _check_launch(ctx, said)
        case "TEMPLATE":
            rules = said.get("Rules")
            if set(said) != {"Rules"} or not isinstance(rules, dict) or not rules:
                raise invalid('A TEMPLATE constraint has the form {"Rules": {name: rule}}.')
            if bad := [name for name, rule in rules.items() if "Assertions" not in rule]:
                raise invalid(f"The rule {bad[0]} has no Assertions.")
        case "RESOURCE_UPDATE":
            value = (said.get("Properties") or {}).get("TagUpdateOnProvisionedProduct")
            if said.get("Version") != "2.0" or value not in ("ALLOWED", "NOT_ALLOWED"):
                raise invalid(
                    'A RESOURCE_UPDATE constraint has the form {"Version": "2.0", "Properties": '
                    '{"TagUpdateOnProvisionedProduct": "ALLOWED" or "NOT_ALLOWED"}}.'
                )
        case "NOTIFICATION":
            topics = said.get("NotificationArns")
            if set(said) != {"NotificationArns"} or not isinstance(topics, list) or not topics:
                raise invalid('A NOTIFICATION constraint has the form {"NotificationArns": [...]}.')
        case "STACKSET":
            raise unsupported("the constraint type STACKSET")
        case _:
            raise invalid(f"{kind} is not a type of constraint.")


def _check_launch(ctx: Context, said: dict[str, Any]) -> None:
    if len(said) != 1 or not set(said) & {"RoleArn", "LocalRoleName"}:
        raise invalid("A LAUNCH constraint has either RoleArn or LocalRoleName.")
    arn, name = said.get("RoleArn"), said.get("LocalRoleName")
    if arn is not None and not ROLE.fullmatch(str(arn)):
        raise invalid(f"{arn} is not the ARN of a role.")
    # AWS: the role must exist in the account that makes the constraint, and in the launching one.
    if name is not None and LOOKUP.iam_arn(ctx.account, "role", str(name)) is None:
        raise invalid(f"The role {name} does not exist in account {ctx.account}.")
