"""How fast the sandbox comes up cold, what it weighs, what a call costs, and a whole project in it.

`python bench/sandbox.py [RUNS]` prints one JSON object: medians; seconds, MB (resident), ms. The
project is that of tests/sandbox/test_build_from_push.py, from provisioning to the registered model,
once. Its peer are the commands of its build by hand, in the same folder with the same caches: what
CodeBuild runs, and the pipeline locally. CPU is that of all processes; ours has the organisation's
stacks too.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from seedbed.sandbox.fixture import OwnedSandbox, start

ROOT = Path(__file__).parents[1]
CALLS = 200
BUILD = ["setup", "lint", "test", "compile", "train"]
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


def project(folder: Path) -> dict[str, float]:
    """Return seconds and CPU seconds of a project from its product to its model, and the peer's."""
    sys.path.append(str(ROOT / "tests/sandbox"))
    from pushes import Run, rendered, settings

    os.environ.update(settings())
    pushed = rendered(folder / "my-model")
    bare = shutil.copytree(pushed, folder / "bare" / "my-model")
    by_hand = ["make", "--silent", *BUILD, f"DATA={folder / 'data.csv'}"]
    said = {}

    def in_sandbox() -> None:
        sandbox = start(folder / "sandbox")
        try:
            run = Run(sandbox, pushed, folder)
            run.prepare()
            began, before = time.perf_counter(), calls_of_roles(sandbox)
            run.provision()
            said["provisioned_s"] = time.perf_counter() - began
            run.push()
            run.deliver()
            said["model_s"] = time.perf_counter() - began
            said["calls"] = calls_of_roles(sandbox) - before
        finally:
            sandbox.stop()

    said["cpu_s"] = cpu(in_sandbox)
    began = time.perf_counter()
    said["by_hand_cpu_s"] = cpu(
        lambda: subprocess.run(by_hand, cwd=bare, check=True, capture_output=True)
    )
    said["by_hand_s"] = time.perf_counter() - began
    said["times_by_hand"] = said["model_s"] / said["by_hand_s"]
    return {key: round(value, 2) for key, value in said.items()}


def calls_of_roles(sandbox: OwnedSandbox) -> int:
    """Count the calls but for those of administrators: ours, which look how far it is."""
    return sum(not call["principal"].endswith(":root") for call in sandbox.calls())


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of the processes that `work` starts and ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(Path(folder) / str(number)) for number in range(runs)]
    medians = {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}
    with tempfile.TemporaryDirectory() as folder:
        pushed = project(Path(folder))
    print(json.dumps({"runs": runs, **medians, "a project from a push": pushed}, indent=2))


if __name__ == "__main__":
    main()
