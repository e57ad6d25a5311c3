"""A generated project is the product: it passes its own checks, and trains."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize(
    ("problem", "host"), [*zip(PROBLEMS, HOSTS, strict=False), (PROBLEMS[0], HOSTS[3])]
)
def test_its_own_tests_pass_and_it_trains(template, problem, host, repository, tmp_path):
    answers = {"problem_type": problem, "git_host": host, "github_actions": host == "github"}
    project = born("folder", template, tmp_path / "project", repository, answers)
    # The jobs' and the report's tests are the same whatever was answered: once is enough.
    same = ["--ignore=tests/test_jobs.py", "--ignore=tests/test_report.py"]
    check(project, "-m", "pytest", *([] if host == HOSTS[0] else same))
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
