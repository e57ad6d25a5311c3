"""The encoding and the baseline: fitted on what is given, the same for training and serving."""

import numpy as np
import pandas as pd
import pytest
from pandas._libs.parsers import STR_NA_VALUES

import baseline
import features
import preprocess


def kinds_and_values(frame):
    kinds = {name: preprocess.kind_of(frame[name], name) for name in frame}
    return kinds, frame.apply(lambda column: features.parse(column, kinds[column.name], str))


def encoded(train, other=None):
    """Return the names of the features and the matrix of `other` as `train` taught it."""
    kinds, values = kinds_and_values(train)
    columns, _ = features.fit(values, kinds)
    if other is not None:
        values = other.apply(lambda column: features.parse(column, kinds[column.name], str))
    matrix = features.encode(values, {"columns": columns})
    return [name for name, _, _ in features.layout(columns)], matrix


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1, 2.5, None], "number"),
        (["1", "2", "2.5"], "number"),
        ([True, False, None], "boolean"),
        (["TRUE", "false", None], "boolean"),
        (["2024-01-31", "2024-02-01T10:00:00+02:00"], "date"),
        (["31/01/2024", "01/02/2024"], "category"),
        (["a", "1", "2"], "category"),
    ],
)
def test_a_column_is_what_its_cells_look_like(cells, kind):
    assert preprocess.kind_of(pd.Series(cells), "column") == kind


def test_a_missing_number_is_the_median_and_flagged():
    names, matrix = encoded(pd.DataFrame({"age": [1.0, None, 3.0, 8.0]}))
    assert names == ["age", "age (is missing)"]
    assert matrix.tolist() == [[1, 0], [3, 1], [3, 0], [8, 0]]


def test_a_category_is_the_place_of_its_level_and_an_unseen_one_comes_last():
    train = pd.DataFrame({"city": ["Ulm", "Bonn", "Ulm"]})
    other = pd.DataFrame({"city": ["Bonn", "Ulm", "Atlantis", None]})
    assert encoded(train, other)[1].ravel().tolist() == [0, 1, 2, 2]


def test_a_missing_category_is_a_level_where_training_saw_it():
    train = pd.DataFrame({"city": ["Ulm", None, "Bonn"]})
    assert encoded(train)[1].ravel().tolist() == [1, 2, 0]


def test_a_date_is_its_days_month_and_weekday():
    names, matrix = encoded(pd.DataFrame({"day": ["1970-01-01", "2024-02-29T12:00", "1969-12-31"]}))
    assert names == ["day (days)", "day (month)", "day (weekday)"]
    assert matrix.tolist() == [[0, 1, 3], [19782.5, 2, 3], [-1, 12, 2]]  # Thursday is 3


def test_rare_levels_share_one_place():
    cities = [f"city {number % 60}" for number in range(600)] + ["city 0", "city 59"]
    kinds, values = kinds_and_values(pd.DataFrame({"city": cities}))
    columns, warnings = features.fit(values, kinds)
    assert len(columns[0]["levels"]) == features.MAX_LEVELS
    assert {"city 0", "city 59"} <= set(columns[0]["levels"])
    assert "'city' has 60 values" in warnings[0]
    assert features.encode(values, {"columns": columns}).max() == features.MAX_LEVELS


@pytest.mark.parametrize(
    ("name", "cells", "ignored"),
    [
        ("uid", [f"u{number}" for number in range(200)], True),
        ("customer_id", list(range(200)), True),
        ("customerId", list(range(200)), True),
        ("humid", list(range(200)), False),
        ("customer_id", [number % 20 for number in range(200)], False),
        ("amount_id", [number + 0.5 for number in range(200)], False),
    ],
)
def test_what_identifies_a_row_is_ignored_with_a_warning(name, cells, ignored):
    kinds, values = kinds_and_values(pd.DataFrame({name: cells}))
    columns, warnings = features.fit(values, kinds)
    assert (columns[0]["kind"] == "ignored") == ignored == bool(warnings)


@pytest.mark.parametrize("cells", [[7, 7, 7], ["a", "a", "a"], [None, None, None]])
def test_a_column_that_cannot_help_stays_with_a_warning(cells):
    values = pd.DataFrame({"odd": pd.Series(cells)})
    kind = "category" if cells[0] == "a" else "number"
    columns, warnings = features.fit(
        values.astype(object if kind == "category" else float), {"odd": kind}
    )
    assert columns[0]["kind"] == kind
    assert "'odd'" in warnings[0]


def test_serving_takes_for_missing_what_pandas_does():
    assert set(features.NO_VALUE) == STR_NA_VALUES


def test_a_number_in_text_is_exact():
    cell = "0.1000000000000000055511151231257827"
    assert features.parse(pd.Series([cell], dtype=object), "number", str)[0] == float(cell)


@pytest.fixture(scope="module")
def described():
    rows = np.arange(5000)
    frame = pd.DataFrame(
        {
            "count": rows,
            "price": np.where(rows < 50, np.nan, rows - 0.5),
            "flag": rows % 2 == 0,
            "city": np.where(rows % 3 == 0, "Ulm", "Bonn"),
            "name": [f"person {row}" for row in rows],
        }
    )
    kinds, values = kinds_and_values(frame)
    statistics, constraints = baseline.describe(values, kinds)
    return (
        {fact["name"]: fact for fact in statistics["features"]},
        {rule["name"]: rule for rule in constraints["features"]},
    )


def test_the_baseline_has_the_types_of_model_monitor(described):
    kinds = {name: fact["inferred_type"] for name, fact in described[0].items()}
    assert kinds == {name: rule["inferred_type"] for name, rule in described[1].items()}
    assert kinds == {
        "count": "Integral",
        "price": "Fractional",
        "flag": "String",
        "city": "String",
        "name": "String",
    }


def test_the_baseline_counts_what_is_there(described):
    price = described[0]["price"]["numerical_statistics"]
    assert price["common"] == {"num_present": 4950, "num_missing": 50}
    assert (price["min"], price["max"], price["mean"]) == (49.5, 4998.5, 2524)
    buckets = price["distribution"]["kll"]["buckets"]
    assert len(buckets) == baseline.BUCKETS
    assert sum(bucket["count"] for bucket in buckets) == 4950
    assert described[1]["price"]["completeness"] == 0.99
    assert described[1]["price"]["num_constraints"] == {"is_non_negative": True}


def test_the_sketch_stands_for_every_row_and_keeps_the_quantiles(described):
    kll = described[0]["count"]["numerical_statistics"]["distribution"]["kll"]
    levels = kll["sketch"]["data"]
    assert sum(len(values) << level for level, values in enumerate(levels)) == 5000
    weights = np.concatenate([np.full(len(values), 1 << n) for n, values in enumerate(levels)])
    values = np.concatenate(levels)
    assert np.average(values, weights=weights) == pytest.approx(2499.5, rel=0.001)


def test_values_that_may_tell_who_someone_is_stay_out_of_the_baseline(described):
    assert described[1]["city"]["string_constraints"] == {"domains": ["Bonn", "Ulm"]}
    assert "string_constraints" not in described[1]["name"]
    assert "person" not in str(described[0]["name"])


def test_numbers_that_are_large_and_almost_equal_have_buckets_too():
    numbers = pd.DataFrame({"k": np.nextafter(1e25, [0, 1e25, np.inf])})
    statistics, _ = baseline.describe(numbers, {"k": "number"})
    kll = statistics["features"][0]["numerical_statistics"]["distribution"]["kll"]
    assert sum(bucket["count"] for bucket in kll["buckets"]) == 3
