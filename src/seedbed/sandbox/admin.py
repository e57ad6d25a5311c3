"""The admin API below /_sandbox/: what boto3 has no words for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from seedbed.sandbox import chaos, moto_state, replay, report
from seedbed.sandbox.identity import Principal
from seedbed.sandbox.protocol import Reply

if TYPE_CHECKING:
    from seedbed.sandbox.server import Front


def answer(front: Front, method: str, path: str, body: bytes) -> Reply:
    """Carry out one admin request; the answer is JSON."""
    handler = HANDLERS.get((method, path))
    if handler is None:
        known = ", ".join(f"{verb} /_sandbox/{name}" for verb, name in HANDLERS)
        return _json(404, {"error": f"no {method} /_sandbox/{path}; there are: {known}"})
    try:
        return _json(200, handler(front, json.loads(body) if body else {}))
    except (KeyError, TypeError, ValueError) as error:
        return _json(400, {"error": f"{method} /_sandbox/{path}: {error}"})


def _json(status: int, value: object) -> Reply:
    body = json.dumps(value, default=str).encode()
    return Reply(status, {"Content-Type": "application/json"}, body)


def _status(front: Front, _: dict[str, Any]) -> object:
    world = front.world
    organisation = world.organisation
    return {
        "endpoint": world.endpoint,
        "folder": str(world.folder),
        "region": world.region,
        "calls": len(world.calls),
        "accounts": {
            name: {
                "id": account.id,
                "ou": account.ou,
                "org_path": organisation.path(account.id),
                "access_key": account.access_key,
            }
            for name, account in organisation.accounts.items()
        },
    }


def _reset(front: Front, _: dict[str, Any]) -> object:
    front.reset()
    return {"reset": True}


def _calls(front: Front, _: dict[str, Any]) -> object:
    return [asdict(replace(call, requests=[])) for call in list(front.world.calls)]


def _advance(front: Front, body: dict[str, Any]) -> object:
    front.world.advance(float(body["seconds"]))
    return {"now": front.world.now()}


def _report(front: Front, _: dict[str, Any]) -> object:
    return report.report(list(front.world.calls))


def _grants(front: Front, _: dict[str, Any]) -> object:
    return replay.told(list(front.world.calls))


def _chaos(front: Front, body: dict[str, Any]) -> object:
    rules = [_placed(front, rule) for rule in body.get("rules", [])]
    front.chaos = chaos.Chaos.parse(int(body.get("seed", 0)), rules)
    return {"rules": len(front.chaos.rules)}


def _placed(front: Front, rule: dict[str, Any]) -> dict[str, Any]:
    """Return a chaos rule with its account's id in place of the name."""
    if "account" not in rule or rule["account"] == "*":
        return rule
    number = front.world.account_id(rule["account"])
    if number not in front.world.account_ids:
        known = ", ".join(front.world.organisation.accounts)
        raise ValueError(f"chaos: there is no account {rule['account']!r}; there are {known}")
    return {**rule, "account": number}


def _struck(front: Front, _: dict[str, Any]) -> object:
    """Tell how often each rule met a call and struck: one that met none is perhaps misspelt."""
    return [asdict(rule) for rule in front.chaos.rules]


def _become(front: Front, body: dict[str, Any]) -> object:
    """Give a role's credentials without asking its trust policy: for tests of its permissions."""
    arn = body["role_arn"]
    if moto_state.role(arn) is None:
        raise ValueError(f"there is no role {arn}")
    principal = Principal(arn.split(":")[4], arn, "role", body.get("session_name", "sandbox"))
    session = front.world.grant(principal)
    return {
        "aws_access_key_id": session.access_key,
        "aws_secret_access_key": session.secret_key,
        "aws_session_token": session.token,
    }


def _shutdown(front: Front, _: dict[str, Any]) -> object:
    front.shutdown()
    return {"shutdown": True}


HANDLERS: dict[tuple[str, str], Callable[[Front, dict[str, Any]], object]] = {
    ("GET", "status"): _status,
    ("POST", "reset"): _reset,
    ("GET", "calls"): _calls,
    ("POST", "advance"): _advance,
    ("POST", "become"): _become,
    ("GET", "report"): _report,
    ("GET", "grants"): _grants,
    ("GET", "chaos"): _struck,
    ("PUT", "chaos"): _chaos,
    ("POST", "shutdown"): _shutdown,
}
