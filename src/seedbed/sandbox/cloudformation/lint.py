"""cfn-lint, in process: its errors fail an operation, its warnings do not."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from seedbed.sandbox.cloudformation.errors import StackError

_LOCK = threading.Lock()  # cfn-lint's rules hold state while they run


@lru_cache(maxsize=1)
def _rules() -> Any:
    # Imported on first use: cfn-lint and its rules take 3 s, which no start of a server pays.
    from cfnlint.config import ConfigMixIn
    from cfnlint.runner import Runner

    rules = Runner(ConfigMixIn(regions=["us-east-1"])).rules
    # Without hints: E3703 passes those of other rules on as errors of its own.
    return type(rules)({name: rule for name, rule in rules.items() if not name.startswith("I")})


def warm() -> None:
    """Load cfn-lint and its rules: call it on a thread of its own after the server is up."""
    with _LOCK:
        _rules()


@lru_cache(maxsize=256)
def errors(body: str, region: str) -> tuple[str, ...]:
    """Return cfn-lint's errors for a template: `E3002 at Resources/Q/Properties/Foo: ...`."""
    with _LOCK:
        rules = _rules()
        from cfnlint.config import ConfigMixIn
        from cfnlint.decode.decode import decode_str
        from cfnlint.runner.template import run_template_by_data

        tree, unreadable = decode_str(body)
        matches = unreadable or list(
            run_template_by_data(tree or {}, ConfigMixIn(regions=[region]), rules)
        )
    return tuple(_line(match, tree or {}) for match in matches if match.rule.severity == "error")


def _line(match: Any, tree: Any) -> str:
    path = [str(part) for part in getattr(match, "path", None) or []]
    where = f" at {'/'.join(path)}" if path else f" in line {match.linenumber}"
    if path[:1] == ["Resources"] and len(path) > 1:
        resource = tree.get("Resources", {}).get(path[1])
        kind = resource.get("Type", "") if isinstance(resource, dict) else ""
        where = f" at {'/'.join(path[1:])} ({kind})".removesuffix(" ()")
    return f"{match.rule.id}{where}: {match.message}"


def check(body: str, region: str) -> None:
    """Lint a template.

    Raises:
        StackError: Gives every error's rule, place and message.
    """
    found = errors(body, region)
    if found:
        raise StackError("Template refused by cfn-lint: " + "; ".join(found))
