"""Describes the training part in the files that SageMaker Model Monitor compares live data with.

Source of both layouts: "Schema for Statistics" and "Schema for Constraints" in the SageMaker
guide (model-monitor-byoc-statistics, model-monitor-byoc-constraints).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features import MAX_LEVELS

BUCKETS = 10  # fixed by the layout
SKETCH = 2048  # values kept of one column, the KLL parameter k

Facts = dict[str, Any]


def describe(train: pd.DataFrame, kinds: Mapping[str, str]) -> tuple[Facts, Facts]:
    """Return statistics.json and constraints.json of the parsed columns in `train`."""
    statistics, constraints = [], []
    for name, kind in kinds.items():
        column = train[name]
        present = column.dropna()
        common = {"num_present": len(present), "num_missing": len(column) - len(present)}
        rule: Facts = {"name": name, "completeness": len(present) / len(column)}
        if kind == "number":
            numbers = present.to_numpy(dtype="float64")
            whole = bool((numbers % 1 == 0).all())
            inferred = "Unknown" if not len(numbers) else "Integral" if whole else "Fractional"
            fact = {"numerical_statistics": {"common": common, **_numbers(numbers)}}
            rule["num_constraints"] = {"is_non_negative": bool((numbers >= 0).all())}
        else:
            inferred = "String" if len(present) else "Unknown"
            counts = _texts(present, kind).value_counts()
            few = kind != "date" and len(counts) <= MAX_LEVELS
            # Many different values may be names or addresses: they stay out of the files.
            listed = sorted(counts.items()) if few else []
            buckets = [{"value": value, "count": int(count)} for value, count in listed]
            distribution = {"categorical": {"buckets": buckets}}
            facts = {"distinct_count": len(counts), "distribution": distribution}
            fact = {"string_statistics": {"common": common, **facts}}
            if listed:
                rule["string_constraints"] = {"domains": [value for value, _ in listed]}
        statistics.append({"name": name, "inferred_type": inferred, **fact})
        constraints.append({**rule, "inferred_type": inferred})
    dataset = {"item_count": len(train)}
    monitoring = {
        "evaluate_constraints": "Enabled",
        "emit_metrics": "Enabled",
        "datatype_check_threshold": 1.0,
        "domain_content_threshold": 1.0,
        "distribution_constraints": {
            "perform_comparison": "Enabled",
            "comparison_threshold": 0.1,
            "comparison_method": "Robust",
        },
    }
    return (
        {"version": 0, "dataset": dataset, "features": statistics},
        {"version": 0, "features": constraints, "monitoring_config": monitoring},
    )


def _texts(present: pd.Series, kind: str) -> pd.Series:
    return present.map({0.0: "False", 1.0: "True"}) if kind == "boolean" else present


def _numbers(numbers: npt.NDArray[np.float64]) -> Facts:
    if not len(numbers):
        return {}
    low, high = float(numbers.min()), float(numbers.max())
    edges = np.linspace(low, high, BUCKETS + 1)  # np.histogram refuses large, almost equal numbers
    places = np.searchsorted(edges, numbers, side="right") - 1
    counts = np.bincount(np.clip(places, 0, BUCKETS - 1), minlength=BUCKETS)
    buckets = [
        {"lower_bound": float(edge), "upper_bound": float(after), "count": int(count)}
        for edge, after, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    sketch = {"parameters": {"c": 0.64, "k": SKETCH}, "data": _sketch(np.sort(numbers))}
    return {
        "mean": float(numbers.mean()),
        "sum": float(numbers.sum()),
        "std_dev": float(numbers.std()),
        "min": low,
        "max": high,
        "distribution": {"kll": {"buckets": buckets, "sketch": sketch}},
    }


def _sketch(ordered: npt.NDArray[np.float64]) -> list[list[float]]:
    """Return a KLL sketch: the n-th list holds values that stand for 2**n rows each.

    Sorted data needs no chance: the middle of each block of 2**n rows stands for the block.
    """
    top = max(0, (len(ordered) - 1) // SKETCH).bit_length()
    levels: list[list[float]] = [[] for _ in range(top + 1)]
    start = 0
    for level in range(top, -1, -1):
        size = 1 << level
        stop = start + (len(ordered) - start) // size * size
        levels[level] = ordered[start + size // 2 : stop : size].tolist()
        start = stop
    return levels
