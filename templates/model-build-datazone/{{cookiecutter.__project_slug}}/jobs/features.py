"""Turns raw columns into the model's numbers, the same way in training and in serving.

It travels inside model.tar.gz, so it needs nothing but NumPy and pandas.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Spec = dict[str, Any]  # what features.json holds
Where = Callable[[int], str]  # the name of the place where a column's n-th cell stands

MAX_LEVELS = 50
MISSING = "(missing)"
# What pandas takes for no value, written down so that serving agrees with training.
NO_VALUE = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "None", "NULL", "null"}
)
NO_VALUE |= {"NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
_IDENTIFIER = re.compile(r"(^|[\W_])(?i:id|uuid|guid|key|index)$|[a-z](Id|ID|Key)$")
_COMMA = re.compile(r"(?=.*,)[-+]?\d[\d.,' ]*")
_BOOLEANS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
_SHOWN = 60  # characters of a cell in a message
_LARGEST = float(np.finfo(np.float32).max)
_EXPECTED = {"number": "a number", "boolean": "true or false", "date": "a date such as 2024-12-31"}


class InputError(ValueError):
    """Input that its owner must mend: one line says what, where and how.

    `cell` is the value at fault. It is shown where data may be shown, and left out of `args`.
    """

    def __init__(self, line: str, cell: object = None) -> None:
        super().__init__(line)
        self.cell = cell

    def __str__(self) -> str:
        if self.cell is None:
            return str(self.args[0])
        return f"{self.args[0]} (the cell holds {str(self.cell)[:_SHOWN]!r})"


def parse(
    raw: pd.Series, kind: str, where: Where, remedy: str = "correct or empty the cell"
) -> pd.Series:
    """Return the cells of `raw` (n) as float64, or as text for a category: missing stays missing.

    A boolean becomes 0 or 1, a date the days since 1970-01-01 (UTC where it tells no zone).
    Raises InputError for the first cell that does not fit `kind`, or is beyond float32.
    """
    if kind == "category":
        return texts(raw)
    if kind == "boolean":
        values = texts(raw).str.lower().map(_BOOLEANS).astype("float64")
    elif kind == "date":
        cells = texts(raw) if raw.dtype == object else raw
        stamps = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True)
        values = (stamps - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    else:
        values = pd.to_numeric(raw, errors="coerce").astype("float64")
    wrong = (values.isna() & raw.notna()).to_numpy()
    if wrong.any():
        at = int(wrong.argmax())
        line = f"{where(at)}: expected {_EXPECTED[kind]}: {remedy}"
        raise InputError(line, raw.iloc[at])
    huge = (values.abs() > _LARGEST).to_numpy()
    if huge.any():
        at = int(huge.argmax())
        line = f"{where(at)}: infinite or beyond {_LARGEST:.1e}: {remedy}"
        raise InputError(line, raw.iloc[at])
    if kind == "number" and raw.dtype == object:
        return raw.astype("float64")  # to_numeric may miss the last bit of a text's number
    return values


def texts(raw: pd.Series) -> pd.Series:
    """Return `raw` with each cell as the text that a CSV file would hold; missing stays missing."""
    codes, values = pd.factorize(raw.astype(object).map(_text, na_action="ignore"))
    padded = np.append(np.asarray(values, dtype=object), np.nan)
    return pd.Series(padded[codes], index=raw.index, dtype=object)  # equal cells share one string


def _text(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def listing(names: Sequence[str], most: int = 8) -> str:
    """Return the first names for a message."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def fit(train: pd.DataFrame, kinds: Mapping[str, str]) -> tuple[list[Spec], list[str]]:
    """Learn the encoding of each column from the training part alone.

    `train` holds parsed columns. Returns one entry a column, as features.json keeps it, and what
    its owner should know: a constant, empty or identifying column, one of very many values.
    """
    columns, warnings = [], []
    for name, kind in kinds.items():
        column, warning = _fit_column(train[name], name, kind)
        columns.append(column)
        warnings += [f"column {name!r} {warning}"] if warning else []
    return columns, warnings


def _fit_column(values: pd.Series, name: str, kind: str) -> tuple[Spec, str]:
    counts, missing = values.value_counts(), bool(values.isna().any())
    warning = ""
    if counts.empty:
        warning = "has no value in the training part: the model cannot use it"
    elif len(counts) == 1 and not missing:
        warning = "has one value in the training part: the model cannot use it"
    suspect = kind == "category" or (kind == "number" and _IDENTIFIER.search(name))
    whole = kind == "category" or bool((counts.index.to_numpy() % 1 == 0).all())
    if suspect and whole and len(counts) > max(MAX_LEVELS, len(values) / 2):
        warning = f"looks like an identifier or free text ({len(counts)} values): it is ignored"
        if kind == "category" and counts.index.str.fullmatch(_COMMA).all():
            warning = "holds numbers with a comma: it is ignored; write such as 1234.5"
        return {"name": name, "kind": "ignored"}, warning
    if kind == "category":
        if len(counts) > MAX_LEVELS:
            warning = (
                f"has {len(counts)} values: those after the {MAX_LEVELS} most frequent are one"
            )
        ranked = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
        levels = sorted({str(level) for level, _ in ranked[:MAX_LEVELS]} - {MISSING})
        return {"name": name, "kind": kind, "levels": levels + [MISSING] * missing}, warning
    median = 0.0 if counts.empty else float(np.nanmedian(values.to_numpy()))
    return {"name": name, "kind": kind, "median": median, "missing_flag": missing}, warning


def layout(columns: list[Spec]) -> list[tuple[str, str, str]]:
    """Return the model's features in order: name, source column, and XGBoost's type (q or c)."""
    parts: dict[str, list[str]] = {"date": [" (days)", " (month)", " (weekday)"], "ignored": []}
    rows = []
    for column in columns:
        flags = [" (is missing)"] if column.get("missing_flag") else []
        for part in parts.get(column["kind"], [""]) + flags:
            kind = "c" if column["kind"] == "category" else "q"
            rows.append((column["name"] + part, column["name"], kind))
    return rows


def encode(values: Mapping[str, pd.Series] | pd.DataFrame, spec: Spec) -> npt.NDArray[np.float32]:
    """Encode parsed columns of n rows as a matrix (n, features), in the order of `layout`.

    A category becomes the position of its level; an unseen or rare one shares the next position.
    """
    blocks: list[npt.NDArray[Any]] = []
    for column in spec["columns"]:
        if column["kind"] != "ignored":
            blocks += _encode_column(values[column["name"]], column)
    matrix = np.empty((len(blocks[0]), len(blocks)), dtype=np.float32)
    for position, block in enumerate(blocks):
        matrix[:, position] = block
    return matrix


def _encode_column(values: pd.Series, column: Spec) -> list[npt.NDArray[Any]]:
    if column["kind"] == "category":
        levels = column["levels"]
        codes = pd.Index(levels, dtype=object).get_indexer(pd.Index(values.fillna(MISSING)))
        return [np.where(codes < 0, len(levels), codes)]
    numbers = values.to_numpy(dtype="float64")
    missing = np.isnan(numbers)
    filled = np.where(missing, column["median"], numbers)
    blocks: list[npt.NDArray[Any]] = [filled]
    if column["kind"] == "date":
        days = np.floor(filled).astype("int64")
        months = days.astype("datetime64[D]").astype("datetime64[M]").astype("int64")
        blocks += [months % 12 + 1, (days + 3) % 7]  # 1970-01-01 was a Thursday, Monday is 0
    return [*blocks, missing] if column["missing_flag"] else blocks
