"""`--set key=value`, for every command that takes it; imports next to nothing."""

from __future__ import annotations

from seedbed.errors import SeedbedError


def parse_pairs(pairs: list[str]) -> dict[str, str]:
    """Return the values by their keys; raises SeedbedError for a pair without `=`."""
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SeedbedError(f"--set: {pair!r} has no '='; write --set key=value")
        values[key] = value
    return values
