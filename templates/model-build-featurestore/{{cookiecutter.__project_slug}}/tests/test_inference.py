"""Serving: model.tar.gz answers by itself, the same in every form, and refuses in one line."""

import io
import json
import subprocess
import sys
import tarfile
import types

import numpy as np
import pandas as pd
import pytest

import inference
import preprocess
import table
import train
from features import InputError

CSV, JSON = inference.CSV, inference.JSON


def rows(number=240):
    """Return a table with every kind of column, gaps and an identifier."""
    at = np.arange(number)
    return pd.DataFrame(
        {
            "id": at + 1000,
            "age": np.where(at % 11 == 0, np.nan, (at * 37 % 61) / 3),
            "city": np.where(at % 13 == 0, None, np.where(at % 3 == 0, "Ulm", "Bonn")),
            "member": at % 5 == 0,
            "day": [f"2024-{1 + row % 12:02d}-{1 + row % 28:02d}" for row in at],
            "target": np.where((at * 37 % 61 > 30) ^ (at % 3 == 0), "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder with the data, the model and its archive, and what was prepared."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "data").mkdir()
    rows().to_csv(folder / "data" / "data.csv", index=False)
    data = table.load(folder / "data")
    prepared = preprocess.prepare(data, "binary_classification", "target", [0.7, 0.15, 0.15], 42)
    spec, parts = prepared.documents["features/features.json"], prepared.matrices
    hyper = train.Hyperparameters(50, 10, 3, 0.3, 0.9, 42)
    booster, _ = train.fit(parts["train"], parts["validation"], spec, hyper)
    train.save(booster, spec, folder / "model")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        for path in sorted((folder / "model").iterdir()):
            archive.add(path, path.name)
    return folder, prepared


@pytest.fixture(scope="module")
def model(trained):
    return trained[0] / "model.tar.gz"


def lines(frame):
    return frame.to_csv(index=False, header=False)


def records(frame):
    return json.loads(frame.to_json(orient="records"))


def test_the_artifact_is_json_and_code_and_no_pickle(model):
    with tarfile.open(model) as archive:
        files = {member.name for member in archive if member.isfile()}
    assert files == {"model.json", "features.json", *(f"code/{name}" for name in train.SERVING)}


def test_a_served_row_gets_the_score_of_evaluation(trained, model):
    answers = json.loads(inference.predict(model, rows().to_csv(index=False)))["predictions"]
    served = sorted(np.float32(answer["probabilities"]["yes"]) for answer in answers)
    matrix = np.concatenate([part for part, _ in trained[1].matrices.values()])
    scored = inference.scores(inference.load(model), matrix)[:, 1]
    assert np.array_equal(served, np.sort(scored))


plain = rows().drop(columns="target")
FORMS = {
    "header and target": (rows().to_csv(index=False), CSV),
    "header, any order": (plain[plain.columns[::-1]].to_csv(index=False), CSV),
    "byte order mark": ("\ufeff" + plain.to_csv(index=False), CSV),
    "bytes, charset": (lines(plain).encode(), "text/csv; charset=utf-8"),
    "objects": (json.dumps({"instances": records(plain)}), JSON),
    "lists": (json.dumps([list(record.values()) for record in records(plain)]), JSON),
    "without what the model ignores": (json.dumps(records(plain.drop(columns="id"))), JSON),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_request_gets_the_same_answer(form, model):
    body, content_type = FORMS[form]
    assert inference.predict(model, body, content_type) == inference.predict(model, lines(plain))


def test_the_folder_answers_like_the_archive(trained, model):
    body = lines(plain[:3])
    assert inference.predict(trained[0] / "model", body) == inference.predict(model, body)
    assert inference.predict(trained[0], body) == inference.predict(model, body)


def test_csv_holds_the_label_and_the_probabilities_in_order(model):
    answer = inference.predict(model, lines(plain[:2]), accept="text/csv").splitlines()
    expected = json.loads(inference.predict(model, lines(plain[:2])))["predictions"]
    for line, row in zip(answer, expected, strict=True):
        label, no, yes = line.split(",")
        assert (label, float(no), float(yes)) == (row["label"], *row["probabilities"].values())
        assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)


def test_what_training_never_saw_is_still_answered(model):
    known = json.loads(inference.predict(model, "7,5,Ulm,True,2024-05-01\n"))
    for body in ("7,5,Atlantis,True,2024-05-01\n", ",,,,\n"):
        answer = json.loads(inference.predict(model, body))["predictions"][0]
        assert answer["label"] in {"yes", "no"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert known["predictions"][0]["label"] in {"yes", "no"}


def test_a_number_may_be_a_columns_name():
    spec = {
        "columns": [{"name": "0", "kind": "number"}, {"name": "1", "kind": "number"}],
        "target": {"name": "2"},
    }
    assert inference.payload.columns([["1", "5"]], spec) == {"0": ["1"], "1": ["5"]}
    assert inference.payload.columns([["1", "0"], ["5", "6"]], spec) == {"0": ["6"], "1": ["5"]}


one = records(plain[1:2])[0]
REFUSED = {
    "no row": ("", CSV, "no row"),
    "header alone": ("id,age,city,member,day\n", CSV, "no row"),
    "few fields": ("1,2\n", CSV, "row 1 has 2 fields instead of 5"),
    "many fields": ("1,2,Ulm,True,2024-01-01,x\n", CSV, "row 1 has 6 fields instead of 5"),
    "misspelt column": ("id,agee,city,member,day\n1,2,Ulm,True,2024-01-01\n", CSV, "'age'"),
    "open quote": ('1,"2', CSV, "text/csv"),
    "other encoding": (b"\xff", CSV, "text/csv"),
    "other type": ("x", "image/png", "'image/png'"),
    "no JSON": ("{", JSON, "application/json"),
    "too deep": ("[" * 100_000, JSON, "application/json"),
    "no rows in JSON": ('{"rows": []}', JSON, "instances"),
    "lists and objects": ('[[1], {"age": 1}]', JSON, "instances"),
    "unknown column": (json.dumps([one | {"height": 1}]), JSON, "'height'"),
    "missing column": (json.dumps([one, {"id": 1}]), JSON, "row 2 lacks column 'age'"),
    "nested cell": (json.dumps([one | {"age": [1]}]), JSON, "'age', row 1"),
    "text for a number": (json.dumps([one | {"age": "old"}]), JSON, "'age', row 1.*'old'"),
    "infinite number": (json.dumps([one | {"age": float("inf")}]), JSON, "'age', row 1"),
    "endless number": (json.dumps([one | {"age": 10**400}]), JSON, "'age', row 1"),
    "odd boolean": (json.dumps([one | {"member": "maybe"}]), JSON, "'member', row 1.*'maybe'"),
    "odd date": (json.dumps([one | {"day": "soon"}]), JSON, "'day', row 1.*'soon'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_request_is_refused_in_one_line(case, model):
    body, content_type, words = REFUSED[case]
    with pytest.raises(InputError, match=words) as refusal:
        inference.predict(model, body, content_type)
    assert len(str(refusal.value).splitlines()) == 1


def test_an_unknown_accept_is_refused(model):
    with pytest.raises(InputError, match="'image/png'"):
        inference.predict(model, lines(plain[:1]), accept="image/png")


def test_the_serving_toolkit_answers_400(model, monkeypatch):
    class GenericInferenceToolkitError(Exception):
        pass

    toolkit = types.ModuleType("sagemaker_inference.errors")
    toolkit.GenericInferenceToolkitError = GenericInferenceToolkitError
    monkeypatch.setitem(sys.modules, "sagemaker_inference.errors", toolkit)
    with pytest.raises(GenericInferenceToolkitError) as refusal:
        inference.predict(model, "1,2\n")
    assert refusal.value.args[0] == 400


def test_an_archive_can_lead_nowhere_else(tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("model.json")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.json")
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../escaped"), io.BytesIO())
    with pytest.raises(InputError, match="no model in"):
        inference.load(tmp_path)
    assert not (tmp_path.parent / "escaped").exists()


def test_the_packed_code_runs_by_itself(trained, tmp_path):
    with tarfile.open(trained[0] / "model.tar.gz") as archive:
        for name in train.SERVING:
            (tmp_path / name).write_bytes(archive.extractfile(f"code/{name}").read())
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"]
    command[-1] += "import inference; sys.exit(inference.main(sys.argv[1:]))"
    command += [str(trained[0] / "model.tar.gz"), "--accept", "text/csv"]
    done = subprocess.run(command, input=lines(plain[:1]), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(",")[0] in {"no", "yes"}


def test_the_command_line_tells_a_mistake_in_one_line(model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(b"[[1]]")))
    assert inference.main([str(model)]) == 2
    line = capsys.readouterr().err
    assert len(line.strip().splitlines()) == 1
    assert "1 fields instead of 5" in line
