"""How fast the sandbox comes up cold, what it weighs, and what a call costs.

`python bench/sandbox.py [RUNS]` prints one JSON object: medians; seconds, MB (resident), ms.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seedbed.sandbox.fixture import OwnedSandbox, start

CALLS = 200
SERVICES = {
    "s3": "list_buckets",
    "iam": "list_roles",
    "sqs": "list_queues",
    "kms": "list_keys",
    "events": "list_rules",
    "sagemaker": "list_models",
}


def resident(pid: int) -> float:
    """Return a process's resident memory in MB."""
    said = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(said.stdout) / 1024


def milliseconds(sandbox: OwnedSandbox, role: str | None) -> float:
    client = sandbox.client("sts", "dev", role=role)
    client.get_caller_identity()
    began = time.perf_counter()
    for _ in range(CALLS):
        client.get_caller_identity()
    return (time.perf_counter() - began) / CALLS * 1000


def measure(folder: Path) -> dict[str, float]:
    began = time.perf_counter()
    sandbox = start(folder)
    said = {"cold_start_s": time.perf_counter() - began, "idle_mb": resident(sandbox.process.pid)}
    try:
        for service, method in SERVICES.items():
            getattr(sandbox.client(service), method)()
        said["used_mb"] = resident(sandbox.process.pid)
        said["call_ms"] = milliseconds(sandbox, None)
        said["call_as_role_ms"] = milliseconds(sandbox, sandbox.admin_role("dev"))
        began = time.perf_counter()
        sandbox.reset()
        said["reset_s"] = time.perf_counter() - began
    finally:
        sandbox.stop()
    return said


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(Path(folder) / str(number)) for number in range(runs)]
    medians = {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}
    print(json.dumps({"runs": runs, **medians}, indent=2))


if __name__ == "__main__":
    main()
