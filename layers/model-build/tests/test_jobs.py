"""The jobs: nothing leaks, bad data stops in one line, the model is good."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluate
import inference
import job
import preprocess
import table
import train
from pipeline import sample

JOBS = Path(__file__).resolve().parents[1] / "jobs"
RATIOS = [0.7, 0.15, 0.15]
HYPER = train.Hyperparameters(400, 25, 4, 0.1, 0.9, 42)
BINARY, MULTI, REGRESSION = "binary_classification", "multiclass_classification", "regression"


def small(rows=60):
    """Return a table with a number, a category and a boolean, and a target that follows them."""
    at = np.arange(rows)
    return pd.DataFrame(
        {
            "amount": at * 1.5,
            "city": np.where(at % 3 == 0, "Ulm", "Bonn"),
            "member": at % 2 == 0,
            "target": np.where(at % 4 < 2, "no", "yes"),
        }
    )


def prepare(frame, problem=BINARY, seed=42):
    data = table.Table(frame.copy(), ((Path("data.csv"), len(frame)),), "0" * 64)
    return preprocess.prepare(data, problem, "target", RATIOS, seed)


def run(frame, problem, seed=42):
    """Return the model, its evaluation and what was prepared for a whole run in memory."""
    prepared = prepare(frame, problem, seed)
    spec = prepared.documents["features/features.json"]
    booster, _ = train.fit(prepared.matrices["train"], prepared.matrices["validation"], spec, HYPER)
    model = inference.Model(booster, spec)
    facts, details = evaluate.evaluate(model, *prepared.matrices["test"])
    return model, facts[f"{problem}_metrics"], details


def mean(problem, metric, tmp_path):
    path = tmp_path / "sample.csv"
    sample.write(problem, "target", path)
    frame = pd.read_csv(path)
    return np.mean([run(frame, problem, seed)[1][metric]["value"] for seed in range(10)])


@pytest.mark.parametrize(
    ("problem", "metric", "least"),
    [(BINARY, "auc", 0.98), (MULTI, "accuracy", 0.9), (REGRESSION, "r2", 0.2)],
)
def test_the_sample_is_learnt_over_ten_seeds(problem, metric, least, tmp_path):
    assert mean(problem, metric, tmp_path) >= least


def test_shuffled_labels_teach_nothing(tmp_path):
    sample.write(BINARY, "target", tmp_path / "sample.csv")
    frame = pd.read_csv(tmp_path / "sample.csv")
    frame["target"] = np.random.default_rng(0).permutation(frame["target"])
    assert run(frame, BINARY)[1]["auc"]["value"] < 0.7


def test_rows_that_judge_the_model_teach_it_nothing():
    frame = small()
    goal, labels = preprocess.encode_target(frame["target"], BINARY, str)
    parts = preprocess.split(goal, labels, RATIOS, 42)
    changed = frame.copy()
    for part in ("validation", "test"):
        changed.loc[parts[part], "amount"] = 1e6
        changed.loc[parts[part], "city"] = "Atlantis"
    before, after = prepare(frame), prepare(changed)
    for name in ("features/features.json", "baseline/statistics.json", "baseline/constraints.json"):
        assert json.dumps(before.documents[name]) == json.dumps(after.documents[name])
    assert before.matrices["train"][0].tobytes() == after.matrices["train"][0].tobytes()
    assert not np.array_equal(before.matrices["test"][0], after.matrices["test"][0])


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    first, again, other = prepare(small()), prepare(small()), prepare(small(), seed=7)
    assert np.array_equal(first.matrices["test"][0], again.matrices["test"][0])
    assert not np.array_equal(first.matrices["test"][0], other.matrices["test"][0])
    rows = first.documents["summary/summary.json"]["rows"]
    assert rows["train"] + rows["validation"] + rows["test"] == rows["total"] == 60


def text(frame):
    return frame.to_csv(index=False)


def with_cell(column, row, value):
    frame = small().astype(object)
    frame.loc[row, column] = value
    return text(frame)


BAD = {
    "empty file": ("", ["data.csv", "empty"]),
    "empty lines": ("\n\n", ["data.csv", "empty"]),
    "header only": ("a,target\n", ["data.csv", "no rows"]),
    "no target": (text(small().rename(columns={"target": "label"})), ["'target'", "label"]),
    "one class": (text(small().assign(target="yes")), ["'target'", "one class", "'yes'"]),
    "a class of one row": (with_cell("target", 5, "perhaps"), ["target"]),
    "missing target": (with_cell("target", 5, None), ["'target'", "row 7"]),
    "text where numbers were": (with_cell("amount", 5, "many"), ["'amount'", "row 7", "many"]),
    "text in one cell of a date": (
        text(small().assign(day=["2024-05-01"] * 59 + ["soon"])),
        ["'day'", "row 61", "date", "soon"],
    ),
    "too large for the model": (with_cell("amount", 5, "1e39"), ["'amount'", "row 7"]),
    "infinite number": (with_cell("amount", 5, "inf"), ["'amount'", "row 7"]),
    "column all missing": (text(small().assign(city=None)), ["'city'", "no value"]),
    "too many fields": ("a,target\n1,x\n1,2,y\n", ["row 3", "3 fields"]),
    "too few fields": ("a,target\n1,x\n1\n", ["row 3", "1 fields"]),
    "column name twice": ("a,a,target\n1,2,x\n", ["two columns", "'a'"]),
    "semicolons": (text(small()).replace(",", ";"), ["commas"]),
    "column without a name": (",target\n1,x\n", ["column 1", "no name"]),
    "only the target": (text(small()[["target"]]), ["no column besides"]),
    "only identifiers": (
        text(small(200).assign(uid=[f"u{n}" for n in range(200)])[["uid", "target"]]),
        ["identifier"],
    ),
    "zero bytes": (text(small()).encode("utf-16-le"), ["not UTF-8 at byte 1 "]),
    "UTF-16": (text(small()).encode("utf-16"), ["not UTF-8 at byte 3 "]),
    "open quote": ('a,target\n1,"x\n', ["data.csv", "quote"]),
    "too few rows": (text(small(8)), ["8 rows", "too few"]),
    "many classes": (
        text(small(300).assign(target=np.arange(300) % 3)),
        ["'target'", "3 classes", "multiclass"],
    ),
}


def arguments(tmp_path, problem=BINARY):
    options = {
        "data-dir": tmp_path / "data",
        "output-dir": tmp_path / "out",
        "problem-type": problem,
        "target-column": "target",
        "message-file": tmp_path / "message",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def start(tmp_path, content, problem=BINARY):
    (tmp_path / "data").mkdir()
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "data" / "data.csv").write_bytes(data)
    return [sys.executable, str(JOBS / "preprocess.py"), *arguments(tmp_path, problem)]


PROBLEMS = {
    "a text target in a regression": (REGRESSION, text(small()), ["'target'", "text", "row 2"]),
    "a text cell in a number target": (
        REGRESSION,
        text(small().assign(target=["many", *range(59)])),
        ["'target'", "row 2", "many"],
    ),
    "a constant number target": (REGRESSION, text(small().assign(target=3)), ["one value"]),
    "a regression's target as classes": (
        MULTI,
        text(small().assign(target=np.arange(60) + 0.5)),
        ["'target'", "60 different values", "regression"],
    ),
}


def refused(tmp_path, capsys, content, problem=BINARY):
    code = preprocess.main(start(tmp_path, content, problem)[2:])
    return code, capsys.readouterr().err


@pytest.mark.parametrize("case", BAD)
def test_bad_data_stops_in_one_line(case, tmp_path, capsys):
    content, words = BAD[case]
    code, line = refused(tmp_path, capsys, content)
    assert code == 2
    assert len(line.strip().splitlines()) == 1
    assert all(word in line for word in words), line
    assert not (tmp_path / "out").exists()
    assert len((tmp_path / "message").read_text().splitlines()) == 1


def test_another_encoding_is_named_with_its_place(tmp_path, capsys):
    content = text(small()).replace("Ulm", "Köln").encode("latin-1")
    code, line = refused(tmp_path, capsys, content)
    assert code == 2
    assert "UTF-8" in line
    assert "line 2" in line


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_target_that_does_not_suit_the_problem_is_refused(case, tmp_path, capsys):
    problem, content, words = PROBLEMS[case]
    code, line = refused(tmp_path, capsys, content, problem)
    assert code == 2
    assert len(line.strip().splitlines()) == 1
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ["no .csv"]),
        ({".ipynb_checkpoints/a.csv": small(), "notes.txt": small()}, ["no .csv"]),
        ({"a.csv": small(), "b.csv": small().drop(columns="city")}, ["'city'", "b.csv"]),
        ({"a.csv": small(), "b.csv": small().replace(3.0, "many")}, ["'amount'", "b.csv row 4"]),
    ],
)
def test_files_that_do_not_fit_together_are_refused(files, words, tmp_path, capsys):
    for name, frame in files.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(text(frame))
    code = preprocess.main([*arguments(tmp_path)])
    line = capsys.readouterr().err
    assert code == 2
    assert len(line.strip().splitlines()) == 1
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--ratios", "0.7,0.3", "split.ratios"),
        ("--ratios", "0.8,0.2,0", "split.ratios"),
        ("--seed", "-1", "split.seed"),
        ("--seed", "x", "--seed"),
        ("--problem-type", "guess", "--problem-type"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(option, value, word, tmp_path, capsys):
    start(tmp_path, text(small()))
    assert preprocess.main([*arguments(tmp_path), f"{option}={value}"]) == 2
    line = capsys.readouterr().err
    assert len(line.strip().splitlines()) == 1
    assert word in line


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + text(small()).encode(),
        b"\xef\xbb\xbf" + small().to_csv(index=False, quoting=1).encode(),
        text(small()).replace("\n", "\r\n").encode(),
        text(small()).replace("\n", "\n\n").encode(),
    ],
    ids=["byte order mark", "mark and quotes", "Windows line ends", "empty lines"],
)
def test_what_other_programs_write_is_read_alike(content, tmp_path):
    start(tmp_path, content)
    pd.testing.assert_frame_equal(table.load(tmp_path / "data").frame, small())


def test_several_files_are_one_table(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.csv").write_text("k,target\n1,x\n,y\n")
    (tmp_path / "b" / "c.csv").write_text("target,k\nx,A2\n")
    found = table.load(tmp_path)
    assert found.frame["k"].dropna().tolist() == ["1", "A2"]  # not 1.0, which serving never sends
    assert [found.place(position) for position in range(3)] == [
        "a.csv row 2",
        "a.csv row 3",
        "c.csv row 2",
    ]


def test_the_message_for_the_registry_keeps_the_cell_out(tmp_path, capsys):
    refused(tmp_path, capsys, with_cell("amount", 5, "confidential"))
    assert "confidential" not in (tmp_path / "message").read_text()


def test_a_useless_column_only_warns(tmp_path):
    content = text(small().assign(constant=1))
    done = subprocess.run(start(tmp_path, content), capture_output=True, text=True)
    summary = json.loads((tmp_path / "out" / "summary" / "summary.json").read_text())
    assert done.returncode == 0
    assert "constant" in done.stderr
    assert any("constant" in warning for warning in summary["warnings"])


def test_rows_that_repeat_others_are_told():
    assert not any("repeat" in line for line in prepare(small()).warnings)
    twice = pd.concat([small(), small().head(5)], ignore_index=True)
    assert any(line.startswith("5 rows repeat another") for line in prepare(twice).warnings)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("{:,.1f}", "with a comma"),
        ("{:.1f}0,5", "with a comma"),
        ("{:.1f}", ""),
        ("no {:,.1f}", "free text"),
    ],
)
def test_numbers_with_a_comma_are_told_from_free_text(form, says):
    amounts = [form.format(1000.5 + n) for n in range(200)]
    told = prepare(small(200).assign(amount=amounts)).warnings
    warnings = [line for line in told if "amount" in line]
    assert bool(warnings) == bool(says)
    assert all(says in line for line in warnings)


@pytest.mark.parametrize("problem", [BINARY, REGRESSION])
def test_times_are_no_target(problem, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    days = pd.to_datetime("2024-01-01") + pd.to_timedelta(np.arange(60) % 2, unit="D")
    small().assign(target=days).to_parquet(tmp_path / "data" / "data.parquet")
    assert preprocess.main(arguments(tmp_path, problem)) == 2
    assert "'target' holds times" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_column_that_no_model_takes_is_told_with_one_remedy(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    small().assign(tags=[["a"]] * 60).to_parquet(tmp_path / "data" / "data.parquet")
    assert preprocess.main(arguments(tmp_path)) == 2
    line = capsys.readouterr().err
    assert "'tags' holds lists" in line
    assert "export it again" not in line


def test_every_part_holds_every_class():
    goal = np.repeat([0, 1, 2], [100, 20, 3])
    parts = preprocess.split(goal, ["a", "b", "c"], RATIOS, 42)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(123))
    assert {part: np.bincount(goal[rows]).tolist() for part, rows in parts.items()} == {
        "train": [70, 14, 1],
        "validation": [15, 3, 1],
        "test": [15, 3, 1],
    }


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        (["yes", "no"] * 30, ["no", "yes"]),
        ([10, 9] * 30, [9, 10]),
        ([1.0, 0.0] * 30, [0, 1]),
        ([True, False] * 30, [False, True]),
    ],
)
def test_labels_are_sorted_and_keep_their_type(target, labels):
    found = preprocess.encode_target(pd.Series(target, name="target"), BINARY, str)[1]
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]


def test_the_same_seed_gives_the_same_model_whatever_the_cores():
    prepared = prepare(pd.concat([small(200)] * 20, ignore_index=True))
    spec, parts = prepared.documents["features/features.json"], prepared.matrices
    models = [
        train.fit(parts["train"], parts["validation"], spec, HYPER, threads)[0].save_raw("json")
        for threads in (1, 2)
    ]
    assert models[0] == models[1]


@pytest.mark.parametrize(
    ("name", "value"), [("rounds", 0), ("learning_rate", 2), ("subsample", 0), ("max_depth", 0)]
)
def test_a_wrong_hyperparameter_is_named(name, value):
    with pytest.raises(job.InputError, match=f"training.{name} {value}"):
        dataclasses.replace(HYPER, **{name: value})


def channels(tmp_path, monkeypatch):
    """Run preprocessing, and set what SageMaker sets for the training job."""
    start(tmp_path, text(small(200).assign(noise="x")))
    assert preprocess.main(arguments(tmp_path)) == 0
    for channel in ("train", "validation", "features"):
        monkeypatch.setenv(f"SM_CHANNEL_{channel.upper()}", str(tmp_path / "out" / channel))
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path / "model"))


def test_a_whole_run_tells_its_metrics_and_keeps_plain_json(tmp_path, monkeypatch, capsys):
    channels(tmp_path, monkeypatch)
    assert train.main(["--problem-type", BINARY]) == 0
    assert re.search(r"^validation:auc=[0-9.eE+-]+$", capsys.readouterr().out, re.MULTILINE)
    folders = {"model-dir": "model", "test-dir": "out/test", "output-dir": "evaluation"}
    options = [f"--{name}={tmp_path / folder}" for name, folder in folders.items()]
    assert evaluate.main(options) == 0
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)  # no bare NaN, no Infinity
    facts = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    metrics = facts["binary_classification_metrics"]
    assert {"auc", "accuracy", "precision", "recall", "f1"} <= metrics.keys()
    assert metrics["auc"]["standard_deviation"] == "NaN"


def test_training_for_another_problem_is_refused(tmp_path, monkeypatch, capsys):
    channels(tmp_path, monkeypatch)
    capsys.readouterr()
    assert train.main(["--problem-type", REGRESSION]) == 2
    assert "problem.type" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_details_name_every_column_and_thin_the_curve():
    rng = np.random.default_rng(0)
    frame = small(3000).assign(noise="x", target=rng.choice(["no", "yes"], 3000))
    frame["amount"] = rng.normal(size=3000)
    details = run(frame, BINARY)[2]
    gains = {row["feature"]: row["gain"] for row in details["importance"]}
    assert gains.keys() == {"amount", "city", "member", "noise"}
    assert gains["noise"] == 0
    assert sum(gains.values()) == pytest.approx(1)
    assert len(details["roc"][0]["fpr"]) <= 200
    assert (details["roc"][0]["fpr"][0], details["roc"][0]["fpr"][-1]) == (0, 1)
    assert details["positive_label"] == "yes"


def test_counts_are_actual_by_predicted():
    _, metrics, details = run(small(200).assign(target=np.repeat(["a", "b", "c", "d"], 50)), MULTI)
    counts = details["confusion_matrix"]["counts"]
    assert np.sum(counts) == details["rows"]
    assert [sum(row) for row in counts] == [8, 8, 8, 8]  # the test part's rows of each class
    assert metrics["confusion_matrix"]["a"] == dict(zip("abcd", counts[0], strict=True))
    assert len(details["roc"]) == 4


def test_residuals_are_a_sample():
    actual = np.arange(5000.0)
    sampled = evaluate.residuals(actual, actual)
    assert len(sampled) == 2000
    assert sampled == evaluate.residuals(actual, actual)


@pytest.mark.parametrize("problem", [BINARY, MULTI, REGRESSION])
def test_the_sample_is_the_same_each_time(problem, tmp_path):
    first = sample.write(problem, "age", tmp_path / "new" / "a.csv").read_bytes()
    assert first == sample.write(problem, "age", tmp_path / "b.csv").read_bytes()
    assert first.splitlines()[0].endswith(b",age")
    assert first.splitlines()[0].split(b",").count(b"age") == 1


def test_no_sample_for_another_problem(tmp_path):
    with pytest.raises(ValueError, match="'clustering'"):
        sample.write("clustering", "target", tmp_path / "a.csv")


def test_jobs_know_neither_the_sdk_nor_the_container_paths():
    for path in JOBS.glob("*.py"):
        source = path.read_text()
        assert "/opt/ml" not in source
        # One that fetches data imports boto3 when it talks to AWS, not when it is imported.
        assert not re.search(r"^(import|from) boto", source, re.MULTILINE)
        assert not re.search(r"^\s*(import|from) sagemaker", source, re.MULTILINE)
