"""Reads the rows of a prediction request: CSV with or without a header, or JSON.

It travels inside model.tar.gz beside inference.py.
"""

import csv
import io
import json
from typing import Any

from features import NO_VALUE, InputError, Spec, listing

JSON, CSV = "application/json", "text/csv"

Rows = list[dict[str, Any]] | list[list[Any]]


def media_type(header: str) -> str:
    """Return the first media type in a Content-Type or Accept header, without its parameters."""
    return header.partition(",")[0].partition(";")[0].strip().lower()


def rows(body: str | bytes, content_type: str) -> Rows:
    """Return the rows of a request body: all lists, or all objects. Raises InputError."""
    try:
        text = body.decode("utf-8-sig") if isinstance(body, bytes) else body
        if media_type(content_type) == CSV:
            lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
            return [row for row in csv.reader(lines, strict=True) if row]
        if media_type(content_type) != JSON:
            raise InputError(f"content type {content_type!r} is not served: send {CSV} or {JSON}")
        content = json.loads(text, parse_int=_whole)
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"the request is not {content_type} ({error}): correct it") from error
    found = content.get("instances") if isinstance(content, dict) else content
    if isinstance(found, list):
        for kind in (list, dict):
            if all(isinstance(row, kind) for row in found):
                return found
    raise InputError('JSON must be {"instances": [...]}: send all rows as lists, or as objects')


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 40 else float(digits)  # noqa: PLR2004 (beyond: no identifier)


def columns(found: Rows, spec: Spec) -> dict[str, list[Any]]:
    """Return the cells of each column that the model uses; None is no value.

    Raises InputError for a row without some column, with an unknown one, or with a nested cell.
    """
    names = [column["name"] for column in spec["columns"]]
    needed = [column["name"] for column in spec["columns"] if column["kind"] != "ignored"]
    known, target = {*names, spec["target"]["name"]}, spec["target"]["name"]
    records: list[tuple[list[str], list[Any]]] = []
    for number, row in enumerate(found):
        if isinstance(row, dict):
            records.append((list(row), list(row.values())))
        elif number == 0 and _is_header(list(row), known, needed):
            names = [str(name) for name in row]
        else:
            records.append((names, list(row)))
    if not records:
        raise InputError("the request holds no row: send at least one")
    cells: dict[str, list[Any]] = {name: [] for name in needed}
    checked: list[str] | None = None
    for number, (header, row) in enumerate(records, start=1):
        if header != checked:
            _check_header(header, known, needed, number)
            checked = header
        if len(row) != len(header):
            line = f"row {number} has {len(row)} fields instead of {len(header)}"
            rest = "" if target in header else f", without {target}"
            raise InputError(f"{line}: send {listing(header)} in this order{rest}")
        record = dict(zip(header, row, strict=True))
        for name, column in cells.items():
            cell = record[name]
            if isinstance(cell, list | dict):
                raise InputError(f"column {name!r}, row {number} holds a list: send one value")
            column.append(None if cell in NO_VALUE else cell)
    return cells


def _check_header(header: list[str], known: set[str], needed: list[str], number: int) -> None:
    missing = [name for name in needed if name not in header]
    if missing:
        line = f"row {number} lacks column {missing[0]!r}"
        raise InputError(f"{line}: send every column, with an empty cell or null for no value")
    odd = [name for name in header if name not in known or header.count(name) > 1]
    if odd:
        raise InputError(f"row {number} has a column {odd[0]!r} too many: leave it out")


def _is_header(row: list[Any], known: set[str], needed: list[str]) -> bool:
    """Tell names from values: columns may have numbers for names, so a few hits prove nothing."""
    cells = [str(cell) for cell in row]
    hits = [cell for cell in cells if cell in known]
    likely = 2 * len(hits) >= len(cells) and not all(map(_is_number, hits))
    return likely or set(needed) <= set(hits)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
