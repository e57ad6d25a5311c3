"""Up, status, reset, down; and nothing left behind, however the owner dies."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from access import allow, make_role, trusting
from codebuild_cases import ENVIRONMENT, spec

from seedbed.errors import SeedbedError
from seedbed.sandbox import lifecycle
from seedbed.sandbox.fixture import start


def gone(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while lifecycle._start_time(pid) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def home(tmp_path):
    yield tmp_path / "home"
    lifecycle.down(tmp_path / "home")


def test_up_status_reset_down(home):
    made = lifecycle.up(home)
    pid = json.loads((home / "state.json").read_text())["pid"]
    assert lifecycle.up(home).endpoint == made.endpoint
    made.client("sqs").create_queue(QueueName="q")
    assert lifecycle.status(home)["endpoint"] == made.endpoint
    lifecycle.reset(home)
    assert "QueueUrls" not in made.client("sqs").list_queues()
    assert f"export AWS_ENDPOINT_URL={made.endpoint}\n" in lifecycle.exports(made)
    assert lifecycle.exports(made).startswith("unset AWS_PROFILE AWS_SESSION_TOKEN\n")
    assert lifecycle.down(home)
    assert gone(pid)
    assert lifecycle.status(home) is None
    assert not lifecycle.down(home)


def test_killed_it_can_come_up_again(home):
    first = lifecycle.up(home)
    pid = json.loads((home / "state.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert lifecycle.status(home) is None
    assert lifecycle.up(home).endpoint != first.endpoint


def test_a_pid_that_was_taken_again_is_not_ours(home):
    home.mkdir()
    state = {"endpoint": "http://127.0.0.1:1", "pid": os.getpid(), "started": "long ago"}
    (home / "state.json").write_text(json.dumps(state))
    assert lifecycle.status(home) is None
    assert not lifecycle.down(home)
    with pytest.raises(SeedbedError, match="seedbed sandbox up"):
        lifecycle.reset(home)


def test_a_wrong_organisation_is_told_before_anything_starts(home, tmp_path):
    (tmp_path / "org.yml").write_text("accounts: {}")
    with pytest.raises(SeedbedError, match="management"):
        lifecycle.up(home, organisation=tmp_path / "org.yml")
    assert not home.exists()


OWNER = """
import sys, time
from pathlib import Path
from seedbed.sandbox.fixture import start
server = start(Path(sys.argv[1]))
print(server.process.pid, flush=True)
time.sleep(600)
"""

# A sandbox in a process, with a subprocess that has a child of its own, then killed.
BUSY = """
import sys
from pathlib import Path
from seedbed.sandbox.world import World
world = World(Path(sys.argv[1]))
child = world.popen(["sh", "-c", "sleep 600 & echo $!; wait"], env={}, stdout=-1)
print(child.pid, int(child.stdout.readline()), flush=True)
sys.stdin.read()
"""


def run(script, folder):
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.Popen(command, stdin=-1, stdout=subprocess.PIPE, text=True)


def test_killing_the_owner_leaves_no_process_and_no_file(tmp_path):
    folder = tmp_path / "sandbox"
    owner = run(OWNER, folder)
    server = int(owner.stdout.readline())
    owner.kill()
    owner.communicate()
    assert gone(server)
    assert not folder.exists()


def test_killing_the_server_takes_its_subprocesses_along(tmp_path):
    server = run(BUSY, tmp_path / "w")
    pids = [int(pid) for pid in server.stdout.readline().split()]
    server.kill()
    server.communicate()
    assert all(gone(pid) for pid in pids)


def test_killed_in_the_middle_of_its_work_it_leaves_no_file_elsewhere(home, tmp_path, monkeypatch):
    elsewhere = {name: tmp_path / f"watched-{name}" for name in ("TMPDIR", "HOME")}
    for name, folder in elsewhere.items():
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    monkeypatch.chdir(elsewhere["HOME"])
    made = lifecycle.up(home)
    pid = json.loads((home / "state.json").read_text())["pid"]
    s3 = made.client("s3")
    place = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="bucket-a", CreateBucketConfiguration=place)
    s3.put_object(Bucket="bucket-a", Key="k", Body=bytes(20_000_000))  # moto spools to a file
    # boto3 tries a throttled call again, so the stack is under way when the kill comes.
    made.chaos({"match": "sqs:CreateQueue", "kind": "throttle"})
    queues = {f"Queue{number}": {"Type": "AWS::SQS::Queue"} for number in range(20)}
    cf = made.client("cloudformation")
    cf.create_stack(StackName="s", TemplateBody=json.dumps({"Resources": queues}))
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    written = [path for folder in elsewhere.values() for path in folder.rglob("*")]
    assert written == []


HANDLER = """
import os, time, subprocess
def handler(event, context):
    subprocess.Popen(["sleep", "602"])
    time.sleep(600)
"""
JOB = 'import subprocess; subprocess.run(["sleep", "603"])'
SLEEPS = {"a build": "601", "a function": "602", "a job": "603"}


def processes(folder):
    """Return the command lines of the processes that know of a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            known = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:  # it ended, or is another user's
            continue
        if str(folder).encode() in known and words[0]:
            found.append(words)
    return found


def asleep(folder):
    """Return which of the three are in the middle of their work."""
    words = [words for words in processes(folder) if words[0] == "sleep"]
    return {name for name, seconds in SLEEPS.items() if ["sleep", seconds, ""] in words}


def work(sandbox):
    """Start a build, a function and a processing job, none of which ends by itself."""
    services = [f"{name}.amazonaws.com" for name in ("codebuild", "lambda", "sagemaker")]
    role = make_role(sandbox, "worker", allow("*"), trust=trusting({"Service": services}))
    codebuild = sandbox.client("codebuild")
    codebuild.create_project(
        name="app",
        source={"type": "NO_SOURCE", "buildspec": spec("sleep 601 & wait")},
        artifacts={"type": "NO_ARTIFACTS"},
        environment=ENVIRONMENT,
        serviceRole=role,
    )
    codebuild.start_build(projectName="app")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", HANDLER)
    code = {"Runtime": "python3.13", "Handler": "index.handler", "Timeout": 900}
    functions = sandbox.client("lambda")
    packed = {"Code": {"ZipFile": packed.getvalue()}}
    functions.create_function(FunctionName="f", Role=role, **code, **packed)
    functions.invoke(FunctionName="f", InvocationType="Event")
    s3, place = sandbox.client("s3"), {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="code", CreateBucketConfiguration=place)
    s3.put_object(Bucket="code", Key="code/job.py", Body=JOB.encode())
    source = {"S3Uri": "s3://code/code/", "LocalPath": "/opt/ml/processing/input/code"}
    given = {**source, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    size = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
    sandbox.client("sagemaker").create_processing_job(
        ProcessingJobName="job",
        ProcessingResources={"ClusterConfig": size},
        AppSpecification={
            "ImageUri": "333333333333.dkr.ecr.eu-west-1.amazonaws.com/i:1",
            "ContainerEntrypoint": ["python3", f"{source['LocalPath']}/job.py"],
        },
        ProcessingInputs=[{"InputName": "code", "S3Input": given}],
        RoleArn=role,
    )


def test_killed_while_a_build_a_function_and_a_job_run_it_leaves_nothing(
    home, tmp_path, monkeypatch
):
    elsewhere = {name: tmp_path / f"watched-{name}" for name in ("TMPDIR", "HOME")}
    for name, folder in elsewhere.items():
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    monkeypatch.chdir(elsewhere["HOME"])
    made = lifecycle.up(home)
    server = json.loads((home / "state.json").read_text())["pid"]
    work(made)
    deadline = time.monotonic() + 60
    while asleep(home) != set(SLEEPS):
        assert time.monotonic() < deadline, (asleep(home), processes(home))
        time.sleep(0.1)
    os.kill(server, signal.SIGKILL)
    assert gone(server)
    deadline = time.monotonic() + 20
    while processes(home):
        assert time.monotonic() < deadline, processes(home)
        time.sleep(0.1)
    assert [path for folder in elsewhere.values() for path in folder.rglob("*")] == []


def test_a_subprocess_keeps_its_files_below_the_folder(tmp_path):
    from seedbed.sandbox.world import World

    world = World(tmp_path / "w")
    child = world.popen(["sh", "-c", "echo ~; mktemp"], env={}, stdout=-1, text=True)
    told = child.communicate()[0].split()
    assert len(told) == 2
    assert all(path.startswith(str(world.folder)) for path in told)
    world.stop()


def test_killing_a_subprocess_kills_what_it_started(tmp_path):
    from seedbed.sandbox.world import World

    world = World(tmp_path / "w")
    child = world.popen(["sh", "-c", "sleep 600 & echo $!; wait"], env={}, stdout=-1, text=True)
    grandchild = int(child.stdout.readline())
    child.kill()
    assert child.communicate(timeout=60)[0] == ""
    assert gone(grandchild)
    world.stop()


def test_stop_ends_subprocesses_and_threads(tmp_path):
    from seedbed.sandbox.world import World

    world = World(tmp_path / "w")
    child = world.popen(["sleep", "600"], env={})
    began = threading.Event()
    waiting = world.spawn("wait", lambda: began.set() or world.wait(600))
    assert began.wait(60)
    world.stop()
    assert child.poll() is not None
    assert waiting.result() is True


def test_a_subprocess_reports_its_exit_and_output(tmp_path):
    from seedbed.sandbox.world import World

    world = World(tmp_path / "w")
    child = world.popen(
        ["sh", "-c", "echo $GREETING; exit 3"], env={"GREETING": "hi"}, stdout=-1, text=True
    )
    assert child.communicate()[0] == "hi\n"
    assert child.returncode == 3
    world.stop()


def test_an_owned_sandbox_stops_and_takes_its_folder(tmp_path):
    made = start(tmp_path / "s")
    made.client("sqs").list_queues()
    made.stop()
    assert made.process.returncode == 0
    assert not (tmp_path / "s").exists()
