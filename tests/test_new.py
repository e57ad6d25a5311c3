"""`seedbed new`: a friendly front, and nothing half-written."""

import json
import subprocess
import sys

import pytest
import yaml
from conftest import TEMPLATES

from seedbed import catalog

SEEDBED = [sys.executable, "-m", "seedbed"]


def run(*args, cwd=None):
    return subprocess.run([*SEEDBED, *map(str, args)], cwd=cwd, capture_output=True, text=True)


def test_list_names_every_template_with_its_purpose():
    shown = json.loads(run("list", "--json").stdout)
    assert list(shown) == TEMPLATES
    assert all(title in run("list").stdout for title in TEMPLATES)


def test_new_takes_answers_from_file_and_flags(tmp_path):
    data = tmp_path / "answers.yml"
    data.write_text("owner: bank\ngate_threshold: 0.75\n")
    done = run("new", TEMPLATES[0], tmp_path / "p", "--data-file", data, "--set", "owner=team")
    answers = yaml.safe_load((tmp_path / "p" / ".copier-answers.yml").read_text())
    assert (done.returncode, answers["owner"], answers["gate_threshold"]) == (0, "team", "0.75")


REFUSED = {
    "unknown template": (["no-such", "p"], ["template", "'no-such'", TEMPLATES[0]]),
    "unknown key": ([TEMPLATES[0], "p", "--set", "ownr=x"], ["ownr", "owner"]),
    "no equals sign": ([TEMPLATES[0], "p", "--set", "owner"], ["--set", "'owner'", "key=value"]),
    "bad name": (
        [TEMPLATES[0], "p", "--set", "project_name=a b!"],
        ["project_name", "'a b!'", "must"],
    ),
    "bad bucket": ([TEMPLATES[0], "p", "--set", "data_location=/data"], ["data_location", "s3://"]),
    "bad choice": ([TEMPLATES[0], "p", "--set", "git_host=svn"], ["git_host", "svn"]),
    "bad bool": ([TEMPLATES[0], "p", "--set", "github_actions=maybe"], ["github_actions", "maybe"]),
    "metric of another problem": (
        [TEMPLATES[0], "p", "--set", "gate_metric=rmse"],
        ["gate_metric", "'rmse'", "problem type"],
    ),
    "threshold over 1": (
        [TEMPLATES[0], "p", "--set", "gate_threshold=95"],
        ["gate_threshold", "'95'"],
    ),
    "newline": ([TEMPLATES[0], "p", "--set", "owner=a\nb"], ["owner", "must"]),
    "shell in an answer": (
        [TEMPLATES[0], "p", "--set", "owner={{ cycler.__init__ }}"],
        ["owner", "must"],
    ),
    "missing file": ([TEMPLATES[0], "p", "--data-file", "none.yml"], ["--data-file", "none.yml"]),
    "destination holds files": ([TEMPLATES[0], "full"], ["DEST", "not empty"]),
    "destination is a file": ([TEMPLATES[0], "full/file"], ["DEST", "not empty"]),
    "destination below a file": ([TEMPLATES[0], "full/file/x"], ["DEST: cannot write to"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line_with_nothing_written(case, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("kept")
    before = sorted(tmp_path.rglob("*"))
    args, words = REFUSED[case]
    done = run("new", *args, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("project_name=a b!", "project_name"),
        ("gate_metric=rmse", "gate_metric"),
        ("aws_region=x", "aws"),
    ],
)
def test_cookiecutter_says_the_same_and_writes_nothing(answer, word, tmp_path):
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(tmp_path / "out")]
    command += [str(catalog.CHECKOUT), "--directory", f"templates/{TEMPLATES[0]}", answer]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert word in done.stderr
    assert "must be" in done.stderr
    assert not list((tmp_path / "out").rglob("*"))
