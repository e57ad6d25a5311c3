"""`make demo`: a project from nothing, and its whole pipeline, in a temporary folder."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from seedbed import render

TEMPLATE = "model-build-s3"


def main() -> int:
    """Render, train with the project's own make, print the metrics and where the report is."""
    console = Console()
    project = Path(tempfile.mkdtemp(prefix="seedbed-demo-")) / "my-model"
    started = time.monotonic()
    console.rule(f"seedbed new {TEMPLATE} {project}", align="left")
    render.new(TEMPLATE, project, {})
    console.rule(
        "make train (in the new project; the first time it installs its packages)", align="left"
    )
    done = subprocess.run(["make", "train"], cwd=project, check=False)  # noqa: S607
    if done.returncode:
        return done.returncode
    result = json.loads((project / "reports" / "local" / "metrics.json").read_text("utf-8"))
    table = Table("metric", "value", title="On the held-out part", title_justify="left")
    for name, value in sorted(result["metrics"].items()):
        table.add_row(name, f"{value:.4f}")
    console.print(table)
    gate = result["gate"]
    verdict = "passed" if gate["passed"] else "failed"
    console.print(f"gate     {gate['metric']} against {gate['threshold']}: {verdict}")
    total = f"{time.monotonic() - started:.1f} in all"
    where = {
        "report": project / "reports" / "local" / "report.html",
        "package": project / result["model_package"],
        "seconds": f"{total}, {result['seconds']['total']:.1f} of them the pipeline",
    }
    for label, value in where.items():
        console.print(f"{label:<8} {value}", soft_wrap=True, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
