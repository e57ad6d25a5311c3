"""Writes a small data set to start with: scikit-learn's own, so nothing is downloaded."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets  # type: ignore[import-untyped] # scikit-learn carries no types

LOADERS = {
    "binary_classification": datasets.load_breast_cancer,
    "multiclass_classification": datasets.load_wine,
    "regression": datasets.load_diabetes,
}


def write(problem_type: str, target_column: str, path: Path) -> Path:
    """Write a CSV file to learn `problem_type` from, the same bytes each time; return `path`.

    Binary: 569 tumours, malignant or benign. Multiclass: 178 wines of three growers. Regression:
    442 patients and how their diabetes progressed. Raises ValueError for another problem type.
    """
    if problem_type not in LOADERS:
        known = ", ".join(LOADERS)
        raise ValueError(f"problem.type {problem_type!r} has no sample: choose one of {known}")
    bunch = LOADERS[problem_type](as_frame=True)
    # A feature may have the name that the project gave to its target.
    frame = bunch.data.rename(columns={target_column: f"{target_column} (feature)"})
    names = getattr(bunch, "target_names", None)  # the labels in words; a regression has none
    frame[target_column] = bunch.target if names is None else names[bunch.target]
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, lineterminator="\n")
    return path


def write_tables(problem_type: str, folder: Path) -> None:
    """Write observations.csv and outcomes.csv, as a data lake holds what `write` puts together.

    Each record is observed twice, the first time wrongly, and decided the day after the second.
    """
    bunch = LOADERS[problem_type](as_frame=True)
    names = getattr(bunch, "target_names", None)
    frame = bunch.data.rename(columns=lambda name: re.sub(r"\W+", "_", name.split("/")[0]))
    record = pd.Series(np.arange(len(frame))).map("R{:05d}".format)
    decided = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(len(frame)) % 365, unit="D")
    first = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    parts = [
        part.assign(record_id=record, observed_on=decided - pd.Timedelta(days=age))
        for part, age in ((first, 30), (frame, 1))
    ]
    outcome = bunch.target if names is None else names[bunch.target]
    outcomes = pd.DataFrame({"record_id": record, "decided_on": decided, "outcome": outcome})
    folder.mkdir(parents=True)
    for name, table in (("observations", pd.concat(parts)), ("outcomes", outcomes)):
        table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
