"""What has to be called so that one region offers nothing any more: the opposite of publishing."""

from __future__ import annotations

from collections.abc import Iterator

from seedbed.declaration import STUDIO, Declaration
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account, told
from seedbed.publishing.changes import Change, Plan
from seedbed.publishing.observe import (
    CATALOG,
    LOCATION_TAG,
    Observed,
    domain_arn,
    observe,
    usage,
)
from seedbed.publishing.offers import NOTHING, Offers


def withdrawal(account: Account, declared: Declaration) -> Plan:
    """Return what takes the portfolios and the S3 templates away; write nothing.

    What somebody else put into our portfolios keeps them; releases and TagOptions stay too.

    Args:
        account: the hub, in the region.
        declared: whose portfolios.

    Raises:
        SeedbedError: AWS refuses, or something was provisioned from a product, or may have been.
    """
    before = account.calls.total()
    emptied = declared.model_copy(
        update={
            "portfolios": {
                key: NOTHING.model_copy(update={"title": one.title})
                for key, one in declared.portfolios.items()
            }
        }
    )
    with told(account.region):
        seen = observe(account, emptied, ())
        for key, product in sorted(seen.undeclared.items()):
            _refuse_in_use(seen, key, product.id)
    offers = Offers(seen, lambda _: (set(), []))  # asked already
    changes = list(_unseen(seen))
    for key, portfolio in sorted(seen.held.items()):
        changes += offers.closed(key, portfolio)
    for key, product in sorted(seen.undeclared.items()):
        changes += offers.undeclared(key, product)
    ours = {product.id for product in seen.undeclared.values()}
    notes = []
    for key, portfolio in sorted(seen.held.items()):
        if others := portfolio.products - ours:
            notes.append(f"portfolio {key} stays: it holds {', '.join(sorted(others))}")
            continue
        at = {"Id": portfolio.id}
        changes.append(Change("portfolio", key, "delete", CATALOG, "DeletePortfolio", at))
    calls = account.calls.total() - before
    return Plan(account.id, account.region, tuple(changes), tuple(notes), calls)


def _unseen(seen: Observed) -> Iterator[Change]:
    """Yield what ends that Studio shows the templates in S3."""
    for domain, tags in seen.domains.items():
        if LOCATION_TAG in tags:
            request = {"ResourceArn": domain_arn(seen.account, domain), "TagKeys": [LOCATION_TAG]}
            say = "show no templates of S3"
            yield Change("domain", domain, say, "sagemaker", "DeleteTags", request)
    for key in sorted(seen.keys):
        if key.startswith(STUDIO):
            at = {"Bucket": seen.bucket, "Key": key}
            yield Change("object", key, "delete", "s3", "DeleteObject", at)


def _refuse_in_use(seen: Observed, key: str, product: str) -> None:
    used, silent = usage(seen.account, product, seen.held.values())
    if used:
        raise SeedbedError(
            f"product {key}: something was provisioned from it: delete that first "
            "(`seedbed project list` in each account)"
        )
    if silent:
        raise SeedbedError(
            f"product {key}: accounts {', '.join(silent)} do not tell what they use: run `seedbed "
            "bootstrap spoke` there, or end the shares first (`seedbed portfolio unshare`)"
        )
