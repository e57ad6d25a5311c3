"""The commands: exit codes, one line for a mistake, and the whole pipeline with the real jobs."""

import json

import pytest

from pipeline import __main__ as command
from pipeline.settings import Settings


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Keep the project's own runs and reports out of the tests' way."""
    monkeypatch.setattr(command, "LOCAL", tmp_path / ".local")
    monkeypatch.setattr(command, "REPORTS", tmp_path / "reports")
    for name in ("ARTIFACT_BUCKET", "KMS_KEY_ARN", "EXECUTION_ROLE_ARN", "GIT_COMMIT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_whole_pipeline_runs_here_and_tells_how_it_went(folders, capsys):
    code = command.main(["local"])
    metrics = json.loads((folders / "reports/metrics.json").read_text())
    gate = Settings.load(environ={}).gate
    assert set(metrics) == {"metrics", "gate", "rows", "model_package", "seconds"}
    assert metrics["gate"]["metric"] == gate.metric
    assert metrics["gate"]["passed"] == (code == 0) == (metrics["model_package"] is not None)
    assert metrics["rows"]["train"] > metrics["rows"]["test"]
    assert "<html" in (folders / "reports/report.html").read_text()
    assert "Train        Succeeded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--env", "nowhere", "compile"], "config/nowhere.yml does not exist"),
        (["local", "--data", "nowhere.csv"], "--data nowhere.csv does not exist"),
        (["local", "--parameter", "Seed=7"], "there is no parameter Seed"),
        (["local", "--parameter", "SplitSeed"], "write each name once, as NAME=VALUE"),
        (["local", "--parameter", "SplitSeed=x"], "it takes type Integer"),
        (["upsert"], "KMS_KEY_ARN, EXECUTION_ROLE_ARN not set"),
        (["start"], "KMS_KEY_ARN, EXECUTION_ROLE_ARN not set"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, line, capsys, folders):
    assert command.main(arguments) == 2
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1
    assert not (folders / ".local/runs").exists()


def test_bad_data_leaves_no_report_of_an_earlier_run(folders, capsys):
    (folders / "reports").mkdir()
    (folders / "reports/metrics.json").write_text("{}")
    bad = folders / "bad" / "lake" / "bad.csv"
    bad.parent.mkdir(parents=True)
    bad.write_text("")
    assert command.main(["local", "--data", str(folders / "bad")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert list((folders / "reports").iterdir()) == []
    assert not (folders / ".local/registry").exists()


def test_the_definition_is_checked_before_it_is_written(folders, monkeypatch, capsys):
    monkeypatch.setattr(command.check, "findings", lambda *_: ["Train: one", "Train: two"])
    assert command.main(["compile", "--output", str(folders / "definition.json")]) == 2
    assert capsys.readouterr().err == "error: Train: one\nerror: Train: two\n"
    assert not (folders / "definition.json").exists()


def test_compile_prints_or_writes_the_same(folders, capsys):
    assert command.main(["compile", "--output", "-"]) == 0
    printed = capsys.readouterr().out
    assert command.main(["compile", "--output", str(folders / "definition.json")]) == 0
    assert (folders / "definition.json").read_text() == printed
