"""Sends a plan's requests, one after the other, exactly as the plan holds them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account, reason, told
from seedbed.publishing.changes import Change, Plan
from seedbed.publishing.observe import CATALOG

SHARE_SECONDS = 900  # an organisational unit with many accounts takes minutes
ARTIFACT_SECONDS = 120
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
ORGANIZATION = (
    "if another change of this share goes on, wait a minute and run it again; else, is sharing "
    "with the organisation enabled (in its management account: aws servicecatalog "
    "enable-aws-organizations-access), and the hub a delegated administrator (aws organizations "
    "register-delegated-administrator)? `seedbed doctor --as hub` tells; then run it again"
)
MEANWHILE = "if somebody else publishes too, wait for their end; then run the command again"
REMEDIES = {  # error code -> what to do, for those whose message does not say it
    "DuplicateResourceException": MEANWHILE,
    "ResourceNotFoundException": MEANWHILE,
    "OperationNotSupportedException": ORGANIZATION,
    "InvalidStateException": ORGANIZATION,
    "LimitExceededException": "ask for a higher quota, or keep fewer versions",
}


def apply(
    account: Account,
    plan: Plan,
    folder: Path,
    progress: Callable[[Change], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Carry out a plan; whatever stops it, the next plan holds what is missing.

    Args:
        account: whose plan it is.
        plan: what to send.
        folder: the release, for the contents of objects.
        progress: called before each request.
        pause: waits so many seconds, where AWS goes on in the background.

    Raises:
        SeedbedError: AWS refuses a request, or what it goes on with in the background fails.
    """
    known: dict[str, str] = {}
    for change in plan.changes:
        progress(change)
        request = _resolved(change.parameters, known, folder)
        ask = getattr(account.client(change.service), xform_name(change.operation))
        try:
            answer = ask(**request)
        except (ClientError, BotoCoreError) as error:
            raise _refusal(change, error) from error
        for name, path in change.gives.items():
            known[name] = _look_up(answer, path)
        with told(f"{change.kind} {change.target}"):
            if token := answer.get("PortfolioShareToken"):
                _shared(account, change, token, pause)
            elif answer.get("Status") == "CREATING" or (
                answer.get("ProductViewDetail", {}).get("Status") == "CREATING"
            ):
                _created(account, change, answer, pause)


def _resolved(value: Any, known: Mapping[str, str], folder: Path) -> Any:  # noqa: ANN401
    """Return a request with the ids that are known by now, and with its files' contents."""
    match value:
        case {"$id": str() as name}:
            return known[name]
        case {"$file": str() as name}:
            return (folder / name).read_bytes()
        case dict():
            return {key: _resolved(item, known, folder) for key, item in value.items()}
        case list():
            return [_resolved(item, known, folder) for item in value]
    return value


def _look_up(answer: Any, path: str) -> str:  # noqa: ANN401
    for name in path.split("."):
        answer = answer[name]
    return str(answer)


def _refusal(change: Change, error: ClientError | BotoCoreError) -> SeedbedError:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    remedy = REMEDIES.get(code, "mend it and run the command again: it goes on from here")
    what = f"{change.kind} {change.target}: {change.summary}"
    return SeedbedError(f"{what}: {reason(error)}: {remedy}")


def _shared(account: Account, change: Change, token: str, pause: Callable[[float], None]) -> None:
    """Wait for a share with the organisation: the next one is refused until it is done."""
    ask = account.client(CATALOG).describe_portfolio_share_status

    def look() -> Any:  # noqa: ANN401 (boto3's answer)
        return ask(PortfolioShareToken=token)

    answer = _until(look, ("COMPLETED", "COMPLETED_WITH_ERRORS", "ERROR"), SHARE_SECONDS, pause)
    if answer["Status"] == "COMPLETED":
        return
    errors = answer.get("ShareDetails", {}).get("ShareErrors", ())
    lines = [f"{', '.join(e.get('Accounts', ()))}: {e.get('Message', '')}" for e in errors]
    detail = "; ".join(lines) or answer["Status"]
    what = f"share {change.target}: {change.summary}: {detail}"
    raise SeedbedError(f"{what}: mend these accounts and run `seedbed publish` again")


def _created(
    account: Account, change: Change, answer: Mapping[str, Any], pause: Callable[[float], None]
) -> None:
    """Wait for a template that AWS still reads."""
    artifact = answer["ProvisioningArtifactDetail"]["Id"]
    summary = answer.get("ProductViewDetail", {}).get("ProductViewSummary", {})
    product = summary.get("ProductId") or change.parameters["ProductId"]
    at = {"ProductId": product, "ProvisioningArtifactId": artifact}
    ask = account.client(CATALOG).describe_provisioning_artifact

    def look() -> Any:  # noqa: ANN401 (boto3's answer)
        return ask(**at)

    if _until(look, ("AVAILABLE", "FAILED"), ARTIFACT_SECONDS, pause)["Status"] == "FAILED":
        what = f"product {change.target}: {change.summary}: AWS could not read the template"
        raise SeedbedError(f"{what}: look at {artifact} in Service Catalog")


def _until(
    look: Callable[[], Any], ends: tuple[str, ...], limit: float, pause: Callable[[float], None]
) -> Any:  # noqa: ANN401 (boto3's answer)
    waited, step = 0.0, FIRST_PAUSE
    while True:
        answer = look()
        if answer["Status"] in ends:
            return answer
        if waited >= limit:
            raise SeedbedError(f"still {answer['Status']} after {limit:.0f} s: run it again later")
        pause(step)
        waited += step
        step = min(step * 2, LONGEST_PAUSE)
