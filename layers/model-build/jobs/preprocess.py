"""Checks the data, splits it, and encodes each part with what the training part taught.

The order matters: the split comes before anything is fitted, so nothing leaks from the rows that
judge the model into the rows that train it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import baseline
import job
import table
from features import InputError, Spec, Where, encode, fit, layout, listing, parse, texts

PARTS = ("train", "validation", "test")
PROBLEM_TYPES = ("binary_classification", "multiclass_classification", "regression")
MIN_ROWS = 10
MAX_CLASSES = 100
MOSTLY = 0.8  # a column is of a kind when this share of its cells is; the others are mistakes
_CONFIG = "config/dev.yml"

Labels = list[Any]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prepared:
    """All that preprocessing writes, before it writes any of it."""

    matrices: dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[Any]]]
    documents: dict[str, Any]  # path below the output folder -> JSON
    warnings: list[str]


def prepare(
    data: table.Table, problem_type: str, target: str, ratios: Sequence[float], seed: int
) -> Prepared:
    """Return the encoded parts and their documents; raises InputError and touches no file.

    `ratios` are the shares of the training, validation and test part.
    """
    raw, kinds = data.frame, dict[str, str]()
    if target not in raw:
        raise InputError(_no_target(target, raw.columns, data.files[0][0].name))
    goal, labels = encode_target(_timeless(raw.pop(target)), problem_type, data.place)
    if raw.columns.empty:
        raise InputError(f"there is no column besides the target {target!r}: add feature columns")
    for name in map(str, raw.columns):
        kinds[name] = kind_of(raw[name], name)
        raw[name] = parse(raw[name], kinds[name], _locator(name, data))
    parts = split(goal, labels, ratios, seed)
    train = raw.iloc[parts["train"]]
    columns, warnings = fit(train, kinds)
    if repeated := int(raw.assign(**{target: goal}).duplicated().sum()):
        line = f"{repeated} rows repeat another one: the same row may train and judge the model"
        warnings.append(line)
    features = layout(columns)
    if not features:
        raise InputError("every column looks like an identifier or free text: add feature columns")
    spec: Spec = {
        "version": 1,
        "problem_type": problem_type,
        "target": {"name": target, "labels": labels},
        "columns": columns,
        "features": [dict(zip(("name", "column", "type"), row, strict=True)) for row in features],
    }
    statistics, constraints = baseline.describe(train, kinds)
    rows = {"total": len(raw)} | {part: len(index) for part, index in parts.items()}
    return Prepared(
        {part: (encode(raw.iloc[index], spec), goal[index]) for part, index in parts.items()},
        {
            "features/features.json": spec,
            "baseline/statistics.json": statistics,
            "baseline/constraints.json": constraints,
            "summary/summary.json": {
                "rows": rows,
                "columns": len(raw.columns),
                "data_sha256": data.sha256,
                "warnings": warnings,
            },
        },
        warnings,
    )


def _no_target(target: str, columns: pd.Index, file: str) -> str:
    if len(columns) == 1 and any(mark in str(columns[0]) for mark in ";\t|"):
        return f"target column {target!r} is not in {file}: its fields must be parted by commas"
    names = listing([repr(name) for name in columns])
    remedy = f"correct problem.target_column in {_CONFIG}"
    return f"target column {target!r} is not in {file}, which has {names}: {remedy}"


def _timeless(target: pd.Series) -> pd.Series:
    """Return the target unless it holds times: no model learns those as they are."""
    if pd.api.types.is_datetime64_any_dtype(target) or pd.api.types.is_timedelta64_dtype(target):
        remedy = "write classes, or a number such as the days between two dates"
        raise InputError(f"target column {target.name!r} holds times: {remedy}")
    return target


def _locator(name: str, data: table.Table) -> Where:
    return lambda position: f"column {name!r}, {data.place(position)}"


def kind_of(raw: pd.Series, name: str) -> str:
    """Return number, boolean, date or category: what the cells of all rows look like.

    Raises InputError for a column without any value.
    """
    if raw.isna().all():
        raise InputError(f"column {name!r} has no value in any row: fill it or remove it")
    if pd.api.types.is_bool_dtype(raw):
        return "boolean"
    if pd.api.types.is_numeric_dtype(raw):
        return "number"
    if pd.api.types.is_datetime64_any_dtype(raw):
        return "date"
    counts = texts(raw).value_counts()
    cells = counts.index.to_series()
    if cells.str.lower().isin({"true", "false"}).all():
        return "boolean"
    numbers = pd.to_numeric(cells, errors="coerce").notna()
    dates = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True).notna()
    for kind, fitting in (("number", numbers), ("date", dates)):
        if counts[fitting].sum() >= MOSTLY * counts.sum():
            return kind
    return "category"


def encode_target(
    raw: pd.Series, problem_type: str, place: Where
) -> tuple[npt.NDArray[Any], Labels | None]:
    """Return the target (n): class positions and their sorted labels, or float64 and None.

    Raises InputError for a target that is missing somewhere, or that does not suit the problem.
    """
    name, missing = f"target column {raw.name!r}", raw.isna().to_numpy()
    if missing.any():
        at = f"{place(int(missing.argmax()))} ({missing.sum()} in all)"
        raise InputError(f"{name} has no value in {at}: fill or remove (NA and None count too)")

    def where(position: int) -> str:
        return f"{name}, {place(position)}"

    numeric = pd.api.types.is_numeric_dtype(raw) and not pd.api.types.is_bool_dtype(raw)
    if problem_type == "regression":
        if not numeric and kind_of(raw, str(raw.name)) != "number":
            line = f"{name} is text in {place(0)}: regression needs numbers; correct the column"
            raise InputError(f"{line}, or problem.type in {_CONFIG}", raw.iloc[0])
        goal = parse(raw, "number", where, "correct the cell or remove the row").to_numpy()
        if goal.min() == goal.max():
            raise InputError(f"{name} has one value in all rows: there is nothing to learn")
        return goal, None
    values = texts(raw) if raw.dtype == object else raw
    fractional = False
    if numeric:
        values = parse(raw, "number", where, "correct the cell or remove the row")
        fractional = bool((values % 1 != 0).any())
        values = values if fractional else values.astype("int64")
    codes, found = pd.factorize(values, sort=True)
    labels: Labels = found.tolist()
    if len(labels) == 1:
        raise InputError(f"{name} has one class ({labels[0]!r}): bring rows of two or more")
    if len(labels) > (MAX_CLASSES // 5 if fractional else MAX_CLASSES):
        remedy = f"set problem.type to regression in {_CONFIG}, or group the values"
        raise InputError(f"{name} has {len(labels)} different values, too many classes: {remedy}")
    if problem_type == "binary_classification" and len(labels) > 2:  # noqa: PLR2004
        first = ", ".join(map(repr, labels[:5]))
        remedy = f"set problem.type to multiclass_classification in {_CONFIG}"
        raise InputError(f"{name} has {len(labels)} classes ({first}): correct them, or {remedy}")
    return codes.astype("int64"), labels


def split(
    goal: npt.NDArray[Any], labels: Labels | None, ratios: Sequence[float], seed: int
) -> dict[str, Indices]:
    """Return the row numbers of each part, drawn by `seed`; every part holds every class.

    Raises InputError for too few rows, in all or of one class.
    """
    if len(goal) < MIN_ROWS:
        raise InputError(f"{len(goal)} rows are too few to split: bring at least {MIN_ROWS}")
    least = 1 if labels else 2  # of each class, or of all rows
    strata = [np.flatnonzero(goal == code) for code in range(len(labels))] if labels else None
    rng = np.random.default_rng(seed)
    chosen: list[list[Indices]] = [[], [], []]
    for code, members in enumerate(strata or [np.arange(len(goal))]):
        if labels and len(members) < len(PARTS):
            line = f"class {labels[code]!r} of the target has {len(members)} rows"
            raise InputError(f"{line}: bring at least {len(PARTS)}, or merge it with another class")
        sizes = [max(least, round(ratio * len(members))) for ratio in ratios]
        sizes[int(np.argmax(sizes))] += len(members) - sum(sizes)
        pieces = np.split(rng.permutation(members), np.cumsum(sizes)[:-1])
        for part, piece in zip(chosen, pieces, strict=True):
            part.append(piece)
    return {
        part: np.sort(np.concatenate(pieces)) for part, pieces in zip(PARTS, chosen, strict=True)
    }


def write(prepared: Prepared, folder: Path) -> None:
    """Write features.npy (n, features) and labels.npy (n) of each part, and the documents."""
    for part, (matrix, goal) in prepared.matrices.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        np.save(folder / part / "features.npy", matrix)
        np.save(folder / part / "labels.npy", goal)
    for path, document in prepared.documents.items():
        job.write_json(folder / path, document)


def parse_ratios(text: str) -> list[float]:
    """Return the three ratios in `text`; raises InputError unless they are shares of a whole."""
    try:
        ratios = [float(ratio) for ratio in text.split(",")]
    except ValueError:
        ratios = []
    if len(ratios) != len(PARTS) or min(ratios) <= 0 or not np.isclose(sum(ratios), 1):
        remedy = "give three shares above 0 that add up to 1, such as 0.7,0.15,0.15"
        raise InputError(f"split.ratios {text!r} cannot be used: {remedy}")
    return ratios


def main(argv: Sequence[str] | None = None) -> int:
    parser = job.Parser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--problem-type", choices=PROBLEM_TYPES, required=True)
    parser.add_argument("--target-column", required=True)
    parser.add_argument("--ratios", default="0.7,0.15,0.15", help="train,validation,test")
    parser.add_argument("--seed", type=int, default=42)
    job.add_message_file(parser)

    def work(args: argparse.Namespace) -> None:
        ratios = parse_ratios(args.ratios)
        if args.seed < 0:
            raise InputError(f"split.seed {args.seed} cannot be used: give a whole number from 0")
        data = table.load(args.data_dir)
        prepared = prepare(data, args.problem_type, args.target_column, ratios, args.seed)
        write(prepared, args.output_dir)
        for warning in prepared.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        print(prepared.documents["summary/summary.json"]["rows"])

    return job.run(parser, work, argv)


if __name__ == "__main__":
    sys.exit(main())
