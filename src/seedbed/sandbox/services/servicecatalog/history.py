"""Service Catalog: provisioned products and records, as they are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seedbed.sandbox.identity import Principal
from seedbed.sandbox.service import unsupported
from seedbed.sandbox.services.servicecatalog.base import Base, atomic, chosen, invalid, missing
from seedbed.sandbox.services.servicecatalog.records import Plan, Provisioned, Record
from seedbed.sandbox.world import Context

# Searchable fields, as SearchProvisionedProducts documents them -> members of the answer
FIELDS = {
    "arn": "Arn",
    "id": "Id",
    "idempotencyToken": "IdempotencyToken",
    "lastProvisioningRecordId": "LastProvisioningRecordId",
    "lastRecordId": "LastRecordId",
    "lastSuccessfulProvisioningRecordId": "LastSuccessfulProvisioningRecordId",
    "name": "Name",
    "physicalId": "PhysicalId",
    "productId": "ProductId",
    "productName": "ProductName",
    "provisioningArtifactId": "ProvisioningArtifactId",
    "provisioningArtifactName": "ProvisioningArtifactName",
    "status": "Status",
    "type": "Type",
    "userArn": "UserArn",
    "userArnSession": "UserArnSession",
}
# Parameters that name a provisioned product, a plan or a record.
NAMING = ("Id", "Name", "PlanId", "ProvisionedProductId", "ProvisionedProductName")
SORTS = ("arn", "id", "name", "lastRecordId")


# Operations that list: the level that counts is the filter's, or this default.
LISTING = {
    "ListProvisionedProductPlans": "User",
    "ListRecordHistory": "User",
    "ScanProvisionedProducts": "User",
    "SearchProvisionedProducts": "Account",
}
LEVELS = ("Account", "Role", "User")


class History(Base):
    def request_context(
        self, principal: Principal, region: str, operation: str, params: Mapping[str, Any]
    ) -> Mapping[str, str]:
        """Tell whose a provisioned product is: servicecatalog:userLevel and its like."""
        with self.lock:
            if operation in LISTING:
                said = (params.get("AccessLevelFilter") or {}).get("Key", LISTING[operation])
                level = LEVELS.index(said) if said in LEVELS else 0
            else:
                level = self._level(principal, region, operation, params)
        return {f"servicecatalog:{one}Level": "self" for one in LEVELS[: level + 1]}

    def _level(
        self, principal: Principal, region: str, operation: str, params: Mapping[str, Any]
    ) -> int:
        catalog = self.catalog_of(principal.account, region)
        held: list[Any] = [*catalog.provisioned.values(), *catalog.plans.values()]
        if operation == "DescribeRecord":
            held = list(catalog.records.values())
        named = {params.get(key) for key in NAMING}
        for one in held:
            if {one.id, one.name} & named:
                same = (one.user == principal.arn) + (one.session == principal.session_arn)
                return int(same)
        return LEVELS.index("User")  # nobody's yet

    @atomic
    def describe_provisioned_product(
        self, ctx: Context, Id: str | None = None, Name: str | None = None
    ) -> dict[str, Any]:
        found = chosen(self.catalog(ctx).provisioned, Id, Name, "provisioned product")
        return {"ProvisionedProductDetail": found.wire(), "CloudWatchDashboards": []}

    @atomic
    def get_provisioned_product_outputs(
        self,
        ctx: Context,
        ProvisionedProductId: str | None = None,
        ProvisionedProductName: str | None = None,
        OutputKeys: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        known = self.catalog(ctx).provisioned
        found = chosen(known, ProvisionedProductId, ProvisionedProductName, "provisioned product")
        outputs = found.outputs
        if OutputKeys:
            absent = sorted(set(OutputKeys) - {one["OutputKey"] for one in outputs})
            if absent:
                raise invalid(f"Provisioned product {found.name} has no output {absent[0]}.")
            outputs = [one for one in outputs if one["OutputKey"] in OutputKeys]
        return {"Outputs": outputs}

    @atomic
    def scan_provisioned_products(
        self, ctx: Context, AccessLevelFilter: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        seen = level(ctx, AccessLevelFilter, "User")
        known = self.catalog(ctx).provisioned.values()
        return {"ProvisionedProducts": [one.wire() for one in known if seen(one)]}

    @atomic
    def search_provisioned_products(
        self,
        ctx: Context,
        *,
        AccessLevelFilter: Mapping[str, str] | None = None,
        Filters: Mapping[str, list[str]] | None = None,
        SortBy: str | None = None,
        SortOrder: str = "ASCENDING",
    ) -> dict[str, Any]:
        seen = level(ctx, AccessLevelFilter, "Account")
        known = self.catalog(ctx).provisioned.values()
        found = [one.attributes() for one in known if seen(one)]
        for query in _queries(Filters or {}):
            found = [one for one in found if _answers(one, query)]
        if SortBy is not None:
            if SortBy not in SORTS:
                raise invalid(f"SortBy must be one of {', '.join(SORTS)}.")
            found.sort(key=lambda one: one[FIELDS[SortBy]], reverse=SortOrder == "DESCENDING")
        return {"ProvisionedProducts": found, "TotalResultsCount": len(found)}

    @atomic
    def describe_record(self, ctx: Context, Id: str) -> dict[str, Any]:
        found = self.catalog(ctx).records.get(Id)
        if found is None:
            raise missing(f"Record {Id} not found.")
        return {"RecordDetail": found.wire(), "RecordOutputs": found.outputs}

    @atomic
    def list_record_history(
        self,
        ctx: Context,
        AccessLevelFilter: Mapping[str, str] | None = None,
        SearchFilter: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        seen = level(ctx, AccessLevelFilter, "User")
        wanted = SearchFilter or {}
        members = {"product": "product_id", "provisionedproduct": "provisioned_id"}
        if wanted and wanted.get("Key") not in members:
            raise invalid(f"The key of SearchFilter must be one of {', '.join(members)}.")
        found = [
            one.wire()
            for one in self.catalog(ctx).records.values()
            if seen(one)
            and (not wanted or getattr(one, members[wanted["Key"]]) == wanted.get("Value"))
        ]
        return {"RecordDetails": found[::-1]}


def level(
    ctx: Context, given: Mapping[str, str] | None, default: str
) -> Callable[[Provisioned | Record | Plan], bool]:
    """Return what an access level lets a caller see: of the account, of its role or its own."""
    said = given or {"Key": default, "Value": "self"}
    if said.get("Value", "self") != "self":
        raise invalid("The only value of AccessLevelFilter is self.")
    match said.get("Key", default):
        case "Account":
            return lambda _: True
        case "Role":
            return lambda one: one.user == ctx.principal.arn
    return lambda one: one.session == ctx.principal.session_arn


def _queries(filters: Mapping[str, list[str]]) -> list[str]:
    if unknown := sorted(set(filters) - {"SearchQuery"}):
        raise invalid(f"{unknown[0]} is no filter; use SearchQuery.")
    queries = filters.get("SearchQuery", [])
    if len(queries) > 1:
        raise unsupported("more than one SearchQuery of servicecatalog:SearchProvisionedProducts")
    return queries


def _answers(found: Mapping[str, Any], query: str) -> bool:
    """Tell whether a provisioned product answers `field:value` or a plain word."""
    said = re.fullmatch(r'(?:(\w+):)?"?([^":\s]*(?::[^"\s]*)?)"?', query)
    if said is None:
        raise unsupported(f"the SearchQuery {query!r}: give one field:value")
    field, value = said[1], said[2]
    if field is None:
        return any(value in str(found.get(name, "")) for name in FIELDS.values())
    if field not in FIELDS:
        raise unsupported(f"the field {field} of a SearchQuery")
    return str(found.get(FIELDS[field], "")) == value
