"""A generated project is the product: it passes its own checks, and trains."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import TEMPLATES, born

BIN = Path(sys.executable).parent
HOSTS = ["github", "gitlab", "bitbucket", "codecommit"]
PROBLEMS = ["binary_classification", "multiclass_classification", "regression"]


def check(project, *command):
    """Run one of the project's own commands with our packages, whose pins are the project's."""
    done = subprocess.run([sys.executable, *command], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("host", HOSTS)
def test_lint(template, problem, host, repository, tmp_path):
    answers = {"problem_type": problem, "git_host": host, "github_actions": host == "github"}
    project = born("folder", template, tmp_path / "project", repository, answers)
    check(project, "-m", "ruff", "check", ".")
    check(project, "-m", "ruff", "format", "--check", ".")


@pytest.mark.parametrize("template", TEMPLATES)
def test_infrastructure_is_clean(template, repository, tmp_path):
    project = born("folder", template, tmp_path / "project", repository, {})
    templates = sorted(str(path) for path in (project / "infra").glob("*.yml"))
    rules = ["--include-checks", "I", "--append-rules", "cfn_lint_serverless.rules"]
    done = subprocess.run(
        [BIN / "cfn-lint", *rules, "--", *templates], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("template", "problem", "host"),
    [
        *((name, *pair) for name in TEMPLATES for pair in zip(PROBLEMS, HOSTS, strict=False)),
        (TEMPLATES[0], PROBLEMS[0], HOSTS[3]),
    ],
)
def test_its_own_tests_pass_and_it_trains(template, problem, host, repository, tmp_path):
    answers = {"problem_type": problem, "git_host": host, "github_actions": host == "github"}
    project = born("folder", template, tmp_path / "project", repository, answers)
    # The jobs' and the report's tests are the same whatever was answered, and so is what they test.
    same = ["--ignore=tests/test_jobs.py", "--ignore=tests/test_report.py"]
    once = (template, host) == (TEMPLATES[0], HOSTS[0])
    check(project, "-m", "pytest", *([] if once else same))
    check(project, "-m", "pipeline", "local")
    run = json.loads((project / "reports" / "local" / "metrics.json").read_text())
    assert run["gate"]["passed"] is True
    assert (project / run["model_package"]).is_file()
    assert (project / "reports" / "local" / "report.html").stat().st_size > 10_000


def test_make_sets_everything_up_from_nothing_and_again(repository, tmp_path):
    project = born("folder", TEMPLATES[0], tmp_path / "my model", repository, {})
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if p != str(BIN))
    for _ in range(2):
        done = subprocess.run(
            ["make", "train", f"PYTHON={Path(sys.base_prefix) / 'bin' / 'python3'}"],
            cwd=project,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (project / ".local" / "registry" / project.name.replace(" ", "-") / "2").is_dir()
    shutil.rmtree(project)


def test_shuffled_labels_are_stopped_by_the_gate(repository, tmp_path):
    project = born("folder", TEMPLATES[0], tmp_path / "project", repository, {})
    data = tmp_path / "shuffled.csv"
    sample = "data_source.stand_in(Settings.load(), None)"
    imports = "from pipeline import data_source; from pipeline.settings import Settings"
    check(project, "-c", f"{imports}; {sample}")
    frame = pd.read_csv(project / "data" / "sample.csv")
    frame["target"] = frame["target"].sample(frac=1, random_state=0).to_numpy()
    frame.to_csv(data, index=False)
    command = [sys.executable, "-m", "pipeline", "local", "--data", str(data)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    run = json.loads((project / "reports" / "local" / "metrics.json").read_text())
    assert done.returncode == 1
    assert "auc is" in done.stdout + done.stderr
    assert (run["gate"]["passed"], run["model_package"]) == (False, None)
    assert not (project / ".local" / "registry").exists()


def test_bad_data_stops_a_run_with_one_line_and_no_model(repository, tmp_path):
    project = born("folder", TEMPLATES[0], tmp_path / "project", repository, {})
    (tmp_path / "bad.csv").write_text("a,target\n1,x\n2\n")
    command = [sys.executable, "-m", "pipeline", "local", "--data", str(tmp_path / "bad.csv")]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("bad.csv row 3") == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (project / ".local" / "registry").exists()
