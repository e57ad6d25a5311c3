"""`--set key=value`, for every command that takes it; imports next to nothing."""

from __future__ import annotations

from seedbed.errors import SeedbedError


def parse_pairs(pairs: list[str], option: str = "--set") -> dict[str, str]:
    """Return the values by their keys; raises SeedbedError for `x`, `=x`, or one key twice."""
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            lacks = "key" if equals else "'='"
            raise SeedbedError(f"{option}: {pair!r} has no {lacks}; write {option} key=value")
        if values.get(key, value) != value:
            raise SeedbedError(f"{option} {key}: {values[key]!r} and {value!r}: give it once")
        values[key] = value
    return values
