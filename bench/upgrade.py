"""CPU of one upgrade next to `copier update`: same project, same run, children included.

The ratio of the commands counts interpreter start and imports on both sides; the ratio in process
counts neither. A last column compares the trees that both leave. Prints a table and, last, JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from itertools import pairwise
from pathlib import Path

import copier

from seedbed.upgrade import upgrade

HERE = Path(__file__).parents[1]
BODY = "templates/bench/{{cookiecutter.__project_slug}}"
CHOOSER = """\
_min_copier_version: "9.19.0"
_templates_suffix: ""
_envops: {undefined: jinja2.StrictUndefined}
_subdirectory: "templates/{{ template }}/{% raw %}{{cookiecutter.__project_slug}}{% endraw %}"
template: {type: str, choices: [bench], default: bench}
project_name: {type: str, default: my-model}
project_slug: {type: str, default: "{{ project_name | lower }}", when: false}
owner: {type: str, default: ml-team}
cookiecutter:
  type: json
  when: false
  default: "{{ {'project_name': project_name, '__project_slug': project_slug,
    'owner': owner} | to_json }}"
"""
ANSWERS = """\
_commit: '{{ _copier_answers._commit }}'
_src_path: '{{ _copier_answers._src_path }}'
owner: '{{ cookiecutter.owner }}'
project_name: '{{ cookiecutter.project_name }}'
template: bench
"""
BUDGET = 6.0  # times less CPU than copier, at least
STRAIGHT = 1.5  # the last files may cost this many times what the first ones did, each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[60, 240, 960])
    parser.add_argument("--peer-up-to", type=int, default=240, help="most files for copier update")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    own = [key for key in os.environ if key.startswith("PYTHON")]
    for key in own:  # a cold or absent bytecode cache would measure the compiler
        del os.environ[key]
    rows = []
    print(
        f"{'project':<22}{'ours':>8}{'copier':>8}{'ratio':>7}{'in process':>18}{'ratio':>7}  trees"
    )
    with tempfile.TemporaryDirectory(prefix="seedbed-bench-") as scratch:
        os.environ["GIT_CONFIG_GLOBAL"] = str(identity(Path(scratch)))
        for files in options.files:
            folder = Path(scratch) / str(files)
            project = born(synthetic(folder / "templates", files), "bench", folder / "project")
            peer_rounds = options.rounds if files <= options.peer_up_to else 0
            rows.append(measure(f"{files} files", project, options.rounds, peer_rounds))
        real = Path(scratch) / "real"
        project = born(ours(real / "templates"), "model-build-s3", real / "project")
        rows.append(measure("model-build-s3", project, options.rounds, options.rounds))
    verdict = judge(rows)
    print(json.dumps({"rows": rows, **verdict}, indent=2))
    sys.exit(not all(verdict["met"].values()))


def measure(name: str, project: Path, rounds: int, peer_rounds: int) -> dict[str, object]:
    """Return CPU seconds (medians) of one upgrade by both, as commands and in process."""
    command = [sys.executable, "-m", "seedbed", "upgrade", str(project)]
    rival = [sys.executable, "-m", "copier", "update", "--defaults", "--quiet", str(project)]
    row: dict[str, object] = {"project": name, "files": len(git(project, "ls-files").splitlines())}
    row["ours"], tree = median(rounds, project, lambda: run(command))
    row["ours_in_process"], _ = median(rounds, project, lambda: upgrade(project))
    if peer_rounds:
        row["copier"], theirs = median(peer_rounds, project, lambda: run(rival))
        row["copier_in_process"], _ = median(peer_rounds, project, lambda: update(project))
        row["same_tree"] = tree == theirs
        row["ratio"] = round(row["copier"] / row["ours"], 1)
        row["ratio_in_process"] = round(row["copier_in_process"] / row["ours_in_process"], 1)
    show(row)
    return row


def show(row: dict[str, object]) -> None:
    def cell(key: str, width: int, places: int = 2) -> str:
        return f"{row[key]:>{width}.{places}f}" if key in row else f"{'-':>{width}}"

    print(
        f"{row['project']:<22}{cell('ours', 8)}{cell('copier', 8)}{cell('ratio', 7, 1)}"
        f"{cell('ours_in_process', 9)}{cell('copier_in_process', 9)}"
        f"{cell('ratio_in_process', 7, 1)}  "
        + {True: "same", False: "DIFFER", None: "-"}[row.get("same_tree")],
        flush=True,
    )


def judge(rows: list[dict[str, object]]) -> dict[str, dict[str, object]]:
    """Return the worst ratios, and whether each budget is met."""
    compared = [row for row in rows if "ratio" in row]
    sizes = [row for row in rows if str(row["project"]).endswith("files")]
    each = [
        (b["ours_in_process"] - a["ours_in_process"]) / (b["files"] - a["files"])
        for a, b in pairwise(sizes)
    ]
    worst = {
        "ratio": min(row["ratio"] for row in compared),
        "ratio_in_process": min(row["ratio_in_process"] for row in compared),
        "milliseconds_per_file": [round(1000 * cost, 2) for cost in each],
    }
    met = {
        "ratio": worst["ratio"] >= BUDGET,
        "ratio_in_process": worst["ratio_in_process"] >= BUDGET,
        "same_tree": all(row["same_tree"] for row in compared),
        "linear": len(each) < 2 or each[-1] <= STRAIGHT * each[0],  # noqa: PLR2004
    }
    return {"worst": worst, "met": met}


def median(rounds: int, project: Path, work: Callable[[], object]) -> tuple[float, str]:
    """Return the median CPU seconds of `work` on the committed project, and the tree it leaves."""
    seconds = []
    for turn in range(rounds + 1):
        git(project, "reset", "-q", "--hard")
        git(project, "clean", "-qfd")
        before = cpu()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            work()
        if turn:  # the first one warms caches, for both
            seconds.append(cpu() - before)
    git(project, "add", "-A")
    return statistics.median(seconds), git(project, "write-tree")


def cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def update(project: Path) -> None:
    copier.run_update(project, defaults=True, overwrite=True, quiet=True)


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(("git", *args), cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def identity(folder: Path) -> Path:
    path = folder / "gitconfig"
    path.write_text("[user]\n name = Bench\n email = bench@example.com\n")
    return path


def born(repository: Path, template: str, project: Path) -> Path:
    """Make a project at the first version, with an edit of the user's, committed."""
    data = {"template": template}
    copier.run_copy(str(repository), project, data, vcs_ref="v1.0.0", defaults=True, quiet=True)
    with (project / "README.md").open("a") as file:
        file.write("A line of the user's.\n")
    git(project, "init", "-q")
    save(project)
    return project


def save(folder: Path, tag: str = "") -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "edit")
    if tag:
        git(folder, "tag", tag)


def synthetic(folder: Path, files: int) -> Path:
    """Make a template of `files` files, a third of them rendered; a fifth change in v2.0.0."""
    code = "".join(f"def f{n}(x):\n    return x * {n}\n\n\n" for n in range(30))
    head = "# {{ cookiecutter.project_name }}, by {{ cookiecutter.owner }}\n"
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    for tag in ("v1.0.0", "v2.0.0"):
        texts = {"README.md": head + code, ".copier-answers.yml": ANSWERS}
        for number in range(files - len(texts)):
            text = (head if number % 3 == 0 else "") + code
            if tag == "v2.0.0" and number % 5 == 0:
                text = text.replace("x * 7\n", "x * 77\n")
            texts[f"package_{number % 7}/module_{number}.py"] = text
        for path, text in texts.items():
            target = folder / BODY / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        (folder / "copier.yml").write_text(CHOOSER)
        save(folder, tag)
    return folder


def ours(folder: Path) -> Path:
    """Make a repository of the templates as they are here; v2.0.0 changes every fifth file."""
    ignore = shutil.ignore_patterns("__pycache__", ".*_cache", ".venv")
    shutil.copytree(HERE / "templates", folder / "templates", ignore=ignore)
    shutil.copy(HERE / "copier.yml", folder)
    git(folder, "init", "-q")
    save(folder, "v1.0.0")
    body = folder / "templates" / "model-build-s3" / "{{cookiecutter.__project_slug}}"
    scripts = [path for path in sorted(body.rglob("*.py")) if path.stat().st_size]
    for path in scripts[::5]:
        path.write_text("# the second version\n" + path.read_text("utf-8"), "utf-8")
    save(folder, "v2.0.0")
    return folder


if __name__ == "__main__":
    main()
