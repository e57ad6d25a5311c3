"""The jobs: nothing leaks, bad data stops in one line, the model is good, the artifact serves."""

import json
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
        assert before.documents[name] == after.documents[name]
    assert np.array_equal(before.matrices["train"][0], after.matrices["train"][0])
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
    "header only": ("a,target\n", ["data.csv", "no rows"]),
    "no target": (text(small().rename(columns={"target": "label"})), ["'target'", "label"]),
    "one class": (text(small().assign(target="yes")), ["'target'", "one class", "'yes'"]),
    "a class of one row": (with_cell("target", 5, "perhaps"), ["target"]),
    "missing target": (with_cell("target", 5, None), ["'target'", "row 7"]),
    "text where numbers were": (with_cell("amount", 5, "many"), ["'amount'", "row 7", "many"]),
    "infinite number": (with_cell("amount", 5, "inf"), ["'amount'", "row 7"]),
    "column all missing": (text(small().assign(city=None)), ["'city'", "no value"]),
    "too many fields": ("a,target\n1,x\n1,2,y\n", ["row 3", "3 fields"]),
    "too few fields": ("a,target\n1,x\n1\n", ["row 3", "1 fields"]),
    "column name twice": ("a,a,target\n1,2,x\n", ["two columns", "'a'"]),
    "semicolons": (text(small()).replace(",", ";"), ["commas"]),
    "open quote": ('a,target\n1,"x\n', ["data.csv", "quote"]),
    "too few rows": (text(small(8)), ["8 rows", "too few"]),
    "many classes": (
        text(small(300).assign(target=np.arange(300) % 3)),
        ["'target'", "3 classes", "multiclass"],
    ),
}


def start(tmp_path, content, problem=BINARY):
    (tmp_path / "data").mkdir()
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "data" / "data.csv").write_bytes(data)
    command = [sys.executable, str(JOBS / "preprocess.py"), "--data-dir", str(tmp_path / "data")]
    command += ["--output-dir", str(tmp_path / "out"), "--problem-type", problem]
    command += ["--target-column", "target", "--message-file", str(tmp_path / "message")]
    return command


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


def test_a_text_target_is_no_regression(tmp_path, capsys):
    code, line = refused(tmp_path, capsys, text(small()), REGRESSION)
    assert code == 2
    assert "'target'" in line
    assert "text" in line


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


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A trained model's folder, as SageMaker unpacks it for an endpoint."""
    folder = tmp_path_factory.mktemp("model")
    prepared = prepare(small(200))
    spec = prepared.documents["features/features.json"]
    booster, _ = train.fit(prepared.matrices["train"], prepared.matrices["validation"], spec, HYPER)
    train.save(booster, spec, folder)
    return folder


def test_the_artifact_is_json_and_code_and_no_pickle(served):
    files = {str(path.relative_to(served)) for path in served.rglob("*") if path.is_file()}
    code = {f"code/{name}" for name in train.SERVING}
    assert files == {"model.json", "features.json", *code}


def test_csv_json_and_any_order_get_the_same_answer(served):
    rows = "3,Ulm,True\n4.5,Bonn,False\n"
    headed = "city,member,amount\nUlm,True,3\nBonn,False,4.5\n"
    records = [
        {"amount": 3, "city": "Ulm", "member": True},
        {"amount": 4.5, "city": "Bonn", "member": False},
    ]
    answers = {
        inference.predict(served, rows),
        inference.predict(served, headed),
        inference.predict(served, json.dumps({"instances": records}), "application/json"),
    }
    assert len(answers) == 1
    first = json.loads(answers.pop())["predictions"][0]
    assert first["label"] == max(first["probabilities"], key=first["probabilities"].get)
    assert sum(first["probabilities"].values()) == pytest.approx(1)


def test_what_training_never_saw_is_still_answered(served):
    answer = json.loads(inference.predict(served, ",Atlantis,\n"))["predictions"]
    assert len(answer) == 1


@pytest.mark.parametrize(
    ("body", "word"), [("1,Ulm\n", "2 fields"), ("a,b\n1,2\n", "fields"), ("", "no row")]
)
def test_a_bad_request_is_told_in_one_line(body, word, served):
    with pytest.raises(job.InputError, match=word):
        inference.predict(served, body)


def test_the_packed_code_runs_by_itself(served, tmp_path):
    program = served / "code" / "inference.py"
    done = subprocess.run(
        [sys.executable, str(program), str(served), "--accept", "text/csv"],
        input="3,Ulm,True\n",
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(",")[0] in {"no", "yes"}
