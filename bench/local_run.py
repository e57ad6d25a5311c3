"""One local run of a generated project, step by step, next to its jobs as bare processes.

The peer is the same three jobs started by hand: what the runner adds is the ratio. With --rows the
data are that many generated rows of 30 columns, and the peak memory of each side is told.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from seedbed import render

SPLITS = ("train", "validation", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=0, help="generated rows instead of the sample")
    parser.add_argument("--columns", type=int, default=30)
    rows = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seedbed-bench-") as scratch:
        project = Path(scratch) / "project"
        render.new("model-build-s3", project, {"gate_threshold": "0.5"})
        data = Path(scratch) / "data.csv"
        if rows.rows:
            generate(data, rows.rows, rows.columns)
        else:
            data = project / "data" / "sample.csv"
            wanted = "from pipeline import sample; from pathlib import Path; "
            wanted += f"sample.write('binary_classification', 'target', Path({str(data)!r}))"
            run([sys.executable, "-c", wanted], project)
        print(json.dumps(measure(project, data, Path(scratch)), indent=2))


def measure(project: Path, data: Path, scratch: Path) -> dict[str, object]:
    """Return seconds a step, the ratio to the bare jobs, and peak memory in MB ."""
    started = time.monotonic()
    bare(project, data, scratch)
    peer = time.monotonic() - started
    started = time.monotonic()
    run([sys.executable, "-m", "pipeline", "local", "--data", str(data)], project)
    ours = time.monotonic() - started
    steps = json.loads((project / "reports/local/metrics.json").read_text())["seconds"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "seconds": {**steps, "command": round(ours, 2)},
        "bare jobs, seconds": round(peer, 2),
        "ratio to the bare jobs": round(ours / peer, 2),
        "data, MB": round(data.stat().st_size / 1e6, 1),
        "peak of one process, MB": round(peak),
    }


def bare(project: Path, data: Path, scratch: Path) -> None:
    """Run the three jobs as a person would by hand."""
    jobs, out, model = project / "jobs", scratch / "out", scratch / "model"
    folder = scratch / "in"
    folder.mkdir()
    (folder / "data.csv").symlink_to(data)
    model.mkdir()
    problem = ["--problem-type", "binary_classification"]
    run(
        [
            sys.executable,
            jobs / "preprocess.py",
            "--data-dir",
            folder,
            "--output-dir",
            out,
            *problem,
            "--target-column",
            "target",
            "--ratios",
            "0.7,0.15,0.15",
            "--seed",
            "42",
        ],
        project,
    )
    channels = {f"SM_CHANNEL_{n.upper()}": str(out / n) for n in (*SPLITS, "features")}
    hyper = ["--rounds", "400", "--early-stopping-rounds", "25", "--max-depth", "4"]
    hyper += ["--learning-rate", "0.1", "--subsample", "0.9", "--seed", "42"]
    command = [sys.executable, jobs / "train.py", *problem, *hyper]
    run(command, project, {**channels, "SM_MODEL_DIR": str(model)})
    run(
        ["tar", "-czf", model / "model.tar.gz", "-C", model, "model.json", "features.json", "code"],
        project,
    )
    run(
        [
            sys.executable,
            jobs / "evaluate.py",
            "--model-dir",
            model,
            "--test-dir",
            out / "test",
            "--output-dir",
            scratch / "evaluation",
        ],
        project,
    )


def run(command: list[object], folder: Path, environment: dict[str, str] | None = None) -> None:
    subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )


def generate(path: Path, rows: int, columns: int) -> None:
    """Write a learnable binary problem, in pieces, so that this process stays small."""
    generator = np.random.default_rng(0)
    names = [f"feature_{n}" for n in range(columns - 1)]
    for first in range(0, rows, 100_000):
        values = generator.normal(size=(min(100_000, rows - first), columns - 1)).round(4)
        frame = pd.DataFrame(values, columns=names)
        score = frame["feature_0"] + frame["feature_1"] * frame["feature_2"]
        frame["target"] = np.where(score + generator.normal(size=len(frame)) > 0, "yes", "no")
        frame.to_csv(path, mode="a", index=False, header=first == 0)


if __name__ == "__main__":
    main()
