"""Executes a pipeline definition on this machine: no Docker, no AWS, the standard library only.

S3 is a folder, the model registry is a folder, and each job is a subprocess with an /opt/ml of its
own, to which the paths in its arguments and environment lead. What has no local equivalent stops
the run before anything runs.
"""

from __future__ import annotations

import gzip
import json
import operator
import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import IO, Any

BAD_INPUT = 2  # the exit code with which a job says that its input is at fault
LARGE = 16 * 2**20  # bytes: a larger input is linked, a smaller one is a copy that a job may change
FOREIGN = "PYTHON(PATH|SAFEPATH|DONTWRITEBYTECODE)$|SM_"  # variables that no job is to see
HOSTS: Mapping[str, Any] = {"current_host": "algo-1", "hosts": ["algo-1"]}
NAMES = ("OutputName", "InputName", "ChannelName")


def _finite(value: object) -> float:
    number = float(str(value))
    if not isfinite(number):  # JSON has no word for it, and no metric compares with it
        raise ValueError(value)
    return number


TYPES: Mapping[str, Callable[[Any], Any]] = {
    "String": str,
    "Integer": int,
    "Float": _finite,
    "Boolean": lambda value: str(value).lower() == "true",
}
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


class LocalError(ValueError):
    """What cannot run here, in one line, before anything has run."""


class StepError(Exception):
    """Why a step failed, and the exit code of the run."""

    def __init__(self, reason: str, code: int = 1) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Step:
    """A step's state: Executing, then Succeeded, Failed, Skipped, or NotRun after a failure.

    `outputs` leads to a job's results by their names, and holds a condition's Outcome.
    """

    name: str
    type: str
    status: str
    seconds: float = 0.0
    reason: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None


@dataclass(frozen=True)
class Result:
    """How a run went: `failure` is the step that ended it, `code` the exit code."""

    steps: tuple[Step, ...]
    seconds: float
    model_package: Path | None
    failure: Step | None
    code: int


@dataclass(frozen=True)
class Node:
    """A step of the definition, the steps it needs, and the branch it stands in."""

    name: str
    type: str
    request: Mapping[str, Any]
    needs: frozenset[str]
    branch: tuple[str, bool] | None

    @property
    def unsupported(self) -> str:
        """Why the step cannot run here; empty if it can."""
        if not hasattr(Run, f"_{self.type}"):
            return f"{self.name} is a {self.type} step, which has no local equivalent"
        hyper = self.request["Arguments"].get("HyperParameters", {})
        if self.type == "Training" and "sagemaker_program" not in hyper:
            return f"{self.name} trains a built-in algorithm, which has no local equivalent"
        return ""


def run(
    definition: Mapping[str, Any],
    *,
    parameters: Mapping[str, object],
    mounts: Mapping[str, Path],
    root: Path,
    on_progress: Callable[[Step], None] = lambda _: None,
    execution: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    skip_unsupported: bool = False,
) -> Result:
    """Execute the definition and return how it went; a failed step ends it.

    Args:
        definition: the parsed JSON.
        parameters: values for the pipeline's parameters, as text or in their own type.
        mounts: which file or folder stands for which S3 address; the rest is below `root`/s3.
        root: where S3, the registry (`root`/registry) and the runs' folders are.
        on_progress: called when a step starts, about every second while it runs, and at its end.
        execution: execution variables that are not to be made up, such as PipelineName.
        environment: variables that every job gets here, such as where a service's stand-in is.
        skip_unsupported: leave out what cannot run here, and what depends on it.

    Raises:
        LocalError: before anything has run, for what cannot run here.
    """
    nodes = order(definition["Steps"])
    for node in nodes:
        if node.unsupported and not skip_unsupported:
            raise LocalError(f"{node.unsupported}: --skip-unsupported leaves it out")
    values = parameter_values(definition.get("Parameters", ()), parameters)
    root = root.resolve()  # jobs run in folders of their own
    return Run(
        nodes,
        values,
        S3(root / "s3", mounts),
        root=root,
        on_progress=on_progress,
        execution=execution or {},
        environment=environment or {},
    ).run()


def order(steps: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Return all steps, those in branches too, each after the steps it needs."""
    waiting = list(flatten(steps))
    names, ordered = {node.name for node in waiting}, list[Node]()
    for node in waiting:
        if missing := node.needs - names:
            raise LocalError(
                f"{node.name} needs {', '.join(missing)}: the pipeline has no such step"
            )
    while waiting:
        done = {node.name for node in ordered}
        ready = [node for node in waiting if node.needs <= done]
        if not ready:
            raise LocalError(f"{', '.join(n.name for n in waiting)} wait for each other: a cycle")
        ordered.append(ready[0])
        waiting.remove(ready[0])
    return ordered


def flatten(
    steps: Sequence[Mapping[str, Any]], branch: tuple[str, bool] | None = None
) -> Iterator[Node]:
    """Yield the steps and, after each condition, those of its branches."""
    for step in steps:
        name, arguments = step["Name"], step["Arguments"]
        branches = [(arguments.get(key, ()), key == "IfSteps") for key in ("IfSteps", "ElseSteps")]
        own = {key: part for key, part in arguments.items() if key not in ("IfSteps", "ElseSteps")}
        needs = [n["Step"] if isinstance(n, Mapping) else n for n in step.get("DependsOn", ())]
        needs += [*references(own), *(branch[:1] if branch else ())]
        yield Node(name, step["Type"], step, frozenset(needs), branch)
        for inner, outcome in branches:
            yield from flatten(inner, (name, outcome))


def references(value: object) -> Iterator[str]:
    """Yield the names of the steps that a part of the definition refers to."""
    if isinstance(value, Mapping):
        if str(value.get("Get", "")).startswith("Steps."):
            yield value["Get"].split(".")[1].partition("[")[0]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def parameter_values(
    declared: Sequence[Mapping[str, Any]], given: Mapping[str, object]
) -> dict[str, Any]:
    """Return each parameter's value in its type. Raises LocalError for a wrong name or value."""
    values: dict[str, Any] = {}
    for item in declared:
        name, kind = item["Name"], item["Type"]
        try:
            values[name] = TYPES[kind](given.get(name, item.get("DefaultValue", "")))
        except ValueError:
            value = given.get(name)
            raise LocalError(f"parameter {name} is {value!r}: it takes type {kind}") from None
    if unknown := given.keys() - values.keys():
        raise LocalError(f"there is no parameter {min(unknown)}: use one of {', '.join(values)}")
    return values


@dataclass(frozen=True)
class S3:
    """Buckets as folders below `root`, but for the addresses that are mounted from elsewhere."""

    root: Path
    mounts: Mapping[str, Path]

    def path(self, uri: str) -> Path:
        """Return the file or folder that stands for an address."""
        if not uri.startswith("s3://") or ".." in uri.split("/"):
            raise StepError(f"{uri!r} is no S3 address")
        for address, path in sorted(self.mounts.items(), reverse=True):  # the longest first
            base = address.rstrip("/") + "/"
            if f"{uri}/".startswith(base):
                rest = uri[len(base) :].strip("/")
                return path / rest if rest else path
        return self.root / uri.removeprefix("s3://").rstrip("/")

    def download(self, uri: str, folder: Path, what: str) -> None:
        """Put everything below an address into a folder."""
        source = self.path(uri)
        below = source.parent if source.is_file() else source
        files = [source] if source.is_file() else [f for f in source.rglob("*") if f.is_file()]
        if not files:
            raise StepError(f"{what}: there is nothing at {uri}, which is {source} here")
        for file in files:
            target = folder / file.relative_to(below)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # from another file system it is a copy after all
                if file.stat().st_size > LARGE:
                    os.link(file.resolve(), target)
                    continue
            shutil.copyfile(file, target)

    def upload(self, folder: Path, uri: str) -> str:
        """Move everything in a folder to an address, and return where that is."""
        target = self.path(uri)
        target.mkdir(parents=True, exist_ok=True)
        for file in [f for f in folder.rglob("*") if f.is_file()]:
            place = target / file.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, place)
        return str(target)


class Run:
    """One execution: its steps, and what they have left so far."""

    def __init__(
        self,
        nodes: Sequence[Node],
        parameters: Mapping[str, Any],
        s3: S3,
        *,
        root: Path,
        on_progress: Callable[[Step], None],
        execution: Mapping[str, str],
        environment: Mapping[str, str],
    ) -> None:
        self.nodes, self.s3, self.root, self.on_progress = nodes, s3, root, on_progress
        self.environment = environment
        now = datetime.now(UTC)
        self.id = (
            execution.get("PipelineExecutionId") or f"{now:%Y%m%d%H%M%S}{secrets.token_hex(2)}"
        )
        name = execution.get("PipelineName", "pipeline")
        arn = execution.get("PipelineArn", f"arn:aws:sagemaker:local:000000000000:pipeline/{name}")
        self.arn = arn.rsplit(":", 1)[0]
        self.known: dict[str, Any] = {  # what a Get leads to
            "Parameters": parameters,
            "Execution": {
                "PipelineName": name,
                "PipelineArn": arn,
                "PipelineExecutionId": self.id,
                "PipelineExecutionArn": f"{arn}/execution/{self.id}",
                "StartDateTime": now.isoformat(timespec="seconds"),
                "CurrentDateTime": now.isoformat(timespec="seconds"),
                **execution,
            },
            "Steps": {},  # what Describe would answer for each step that ran
        }
        self.folder = root / "runs" / self.id
        self.folder.mkdir(parents=True)
        self.steps: dict[str, Step] = {}
        self.package: Path | None = None

    def run(self) -> Result:
        begin, failure, code = time.perf_counter(), None, 0
        for node in self.nodes:
            start, step = time.perf_counter(), Step(node.name, node.type, "NotRun")
            if not failure and (reason := node.unsupported or self._skipped(node)):
                step = replace(step, status="Skipped", reason=reason)
            elif not failure:
                self.on_progress(replace(step, status="Executing"))
                try:
                    outputs = getattr(self, f"_{node.type}")(node)
                    step = replace(step, status="Succeeded", outputs=outputs)
                    shutil.rmtree(self.folder / node.name, ignore_errors=True)
                except (StepError, OSError) as error:
                    code = getattr(error, "code", 1)
                    step = replace(step, status="Failed", reason=str(error))
                log = self.folder / f"{node.name}.log"
                step = replace(step, log=log if log.exists() else None)
                step = replace(step, seconds=time.perf_counter() - start)
                failure = step if code else None
            self.steps[node.name] = step
            self.on_progress(step)
        seconds = time.perf_counter() - begin
        return Result(tuple(self.steps.values()), seconds, self.package, failure, code)

    def _skipped(self, node: Node) -> str:
        """Return why a step is not to run: its branch is not taken, or it needs a skipped step."""
        for name in sorted(node.needs):
            if self.steps[name].status == "Skipped":
                return f"needs {name}, which was skipped"
        if node.branch and self.steps[node.branch[0]].outputs["Outcome"] != str(node.branch[1]):
            return f"{node.branch[0]} went the other way"
        return ""

    def resolve(self, value: Any) -> Any:  # noqa: ANN401 (JSON is what it is)
        """Return a part of the definition with the values that its expressions have by now."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if "Get" in value:
            return look_up(self.known, value["Get"])
        if join := value.get("Std:Join"):
            return join["On"].join(str(self.resolve(item)) for item in join["Values"])
        if source := value.get("Std:JsonGet"):
            _, step, _, name = source["PropertyFile"]["Get"].split(".", 3)
            files = next(n.request for n in self.nodes if n.name == step).get("PropertyFiles", ())
            file = next((file for file in files if file["PropertyFileName"] == name), None)
            if file is None:
                raise StepError(f"{step} has no property file {name}")
            path = Path(self.steps[step].outputs[file["OutputName"]]) / file["FilePath"]
            try:
                return look_up(json.loads(path.read_text(encoding="utf-8")), source["Path"])
            except (OSError, ValueError) as error:
                raise StepError(f"{step} left no readable {file['FilePath']}: {error}") from None
        return {key: self.resolve(item) for key, item in value.items()}

    # One method for each type of step, by the type's name; each returns the step's outputs.

    def _Processing(self, node: Node) -> dict[str, str]:  # noqa: N802
        request, opt = self.resolve(node.request["Arguments"]), self.folder / node.name / "opt/ml"
        for item in request.get("ProcessingInputs", ()):
            source, what = item["S3Input"], f"input {item['InputName']}"
            self.s3.download(source["S3Uri"], inside(source["LocalPath"], opt), what)
        targets = {}
        for item in request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
            folder = inside(item["S3Output"]["LocalPath"], opt)
            folder.mkdir(parents=True, exist_ok=True)
            targets[item["OutputName"]] = folder, item["S3Output"]["S3Uri"]
        write_json(opt / "config/processingjobconfig.json", request)
        write_json(opt / "config/resourceconfig.json", HOSTS)
        app = request["AppSpecification"]
        command = [*app["ContainerEntrypoint"], *app.get("ContainerArguments", ())]
        self._execute(node, command, request.get("Environment", {}), opt, cwd=opt)
        self._describe(node, "ProcessingJob", request)
        return {name: self.s3.upload(*target) for name, target in targets.items()}

    def _Training(self, node: Node) -> dict[str, str]:  # noqa: N802
        """Do what the toolkit in AWS's images does in script mode."""
        request, opt = self.resolve(node.request["Arguments"]), self.folder / node.name / "opt/ml"
        code, model, channels = opt / "code", opt / "model", dict[str, str]()
        for item in request.get("InputDataConfig", ()):
            name, source = item["ChannelName"], item["DataSource"]["S3DataSource"]
            channels[name] = str(opt / "input/data" / name)
            self.s3.download(source["S3Uri"], Path(channels[name]), f"channel {name}")
        for folder in (code, model, opt / "output/data"):
            folder.mkdir(parents=True)
        hyper = request["HyperParameters"]
        archive = hyper["sagemaker_submit_directory"]
        unpack(self.s3.path(archive) if "://" in archive else inside(archive, opt), code)
        write_json(opt / "input/config/hyperparameters.json", hyper)
        write_json(opt / "input/config/resourceconfig.json", HOSTS)
        write_json(
            opt / "input/config/inputdataconfig.json",
            {name: {"TrainingInputMode": "File"} for name in channels},
        )
        # The toolkit reads a hyperparameter as JSON where it is JSON, so that 0.10 arrives as 0.1.
        own = {k: decoded(hyper[k]) for k in sorted(hyper) if not k.startswith("sagemaker_")}
        environment = {
            "SM_MODEL_DIR": str(model),
            "SM_OUTPUT_DATA_DIR": str(opt / "output/data"),
            "SM_CHANNELS": json.dumps(sorted(channels)),
            "SM_HPS": json.dumps(own),
            "SM_NUM_CPUS": str(os.cpu_count()),
            "SM_NUM_GPUS": "0",
            **{f"SM_CHANNEL_{name.upper()}": path for name, path in channels.items()},
            **{f"SM_HP_{name.upper()}": str(value) for name, value in own.items()},
            **request.get("Environment", {}),
        }
        arguments = [word for name, value in own.items() for word in (f"--{name}", str(value))]
        command = ["python3", hyper["sagemaker_program"], *arguments]
        self._execute(node, command, environment, opt, cwd=code)
        job = self._describe(node, "TrainingJob", request)
        uri = f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job}/output/model.tar.gz"
        self.known["Steps"][node.name]["ModelArtifacts"] = {"S3ModelArtifacts": uri}
        target = self.s3.path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            pack({str(f.relative_to(model)): f for f in model.rglob("*") if f.is_file()}, file)
        return {"model": str(target)}

    def _Condition(self, node: Node) -> dict[str, str]:  # noqa: N802
        outcome = all(self._holds(item) for item in node.request["Arguments"]["Conditions"])
        self.known["Steps"][node.name] = {"Outcome": str(outcome)}
        return {"Outcome": str(outcome)}

    def _holds(self, condition: Mapping[str, Any]) -> bool:
        left, right = (self.resolve(condition.get(side)) for side in ("LeftValue", "RightValue"))
        try:
            return COMPARE[condition["Type"]](left, right)
        except (KeyError, TypeError):
            raise StepError(f"cannot tell whether {left!r} {condition['Type']} {right!r}") from None

    def _RegisterModel(self, node: Node) -> dict[str, str]:  # noqa: N802
        request = self.resolve(node.request["Arguments"])
        group = request["ModelPackageGroupName"].rsplit("/", 1)[-1]
        folder = self.root / "registry" / group
        folder.mkdir(parents=True, exist_ok=True)
        taken = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
        version = max(taken, default=0) + 1
        for container in request["InferenceSpecification"]["Containers"]:
            self.s3.download(container["ModelDataUrl"], folder / str(version), "the model")
        record = {
            **request,
            "ModelPackageGroupName": group,
            "ModelPackageVersion": version,
            "ModelPackageArn": f"{self.arn}:model-package/{group}/{version}",
            "ModelPackageStatus": "Completed",
            "CreationTime": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.known["Steps"][node.name] = record
        self.package = folder / str(version) / "package.json"
        write_json(self.package, record)
        return {"package": str(self.package)}

    def _Fail(self, node: Node) -> dict[str, str]:  # noqa: N802
        raise StepError(str(self.resolve(node.request["Arguments"]["ErrorMessage"])))

    def _describe(self, node: Node, kind: str, request: Mapping[str, Any]) -> str:
        """Keep what Describe would answer for a job, and return the job's name."""
        name = f"pipelines-{self.id}-{node.name}"
        arn = f"{self.arn}:{kind.replace('Job', '-job').lower()}/{name}"
        state = {f"{kind}Name": name, f"{kind}Arn": arn, f"{kind}Status": "Completed"}
        self.known["Steps"][node.name] = {**request, **state}
        return name

    def _execute(
        self, node: Node, command: list[str], environment: Mapping[str, str], opt: Path, cwd: Path
    ) -> None:
        """Run a job's command; its output goes to the step's log."""
        program, *arguments = (led(word, opt) for word in command)
        program = sys.executable if program in ("python", "python3") else program
        # A job imports what its container has, and what it imports is compiled only once.
        ours = {k: v for k, v in os.environ.items() if not re.match(FOREIGN, k)}
        theirs = {key: led(value, opt) for key, value in environment.items()}
        log, start = self.folder / f"{node.name}.log", time.perf_counter()
        with (
            log.open("wb") as out,
            subprocess.Popen(  # noqa: S603 (a job of this project)
                [program, *arguments],
                cwd=cwd,
                env={**ours, "PYTHONUNBUFFERED": "1", **self.environment, **theirs},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                while process.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=1)
                        break
                    seconds = time.perf_counter() - start
                    self.on_progress(Step(node.name, node.type, "Executing", seconds))
            finally:
                process.kill()  # after an interruption; a job that has ended does not mind
        if status := process.returncode:
            last = next(reversed(tail(log)), "it printed nothing")
            if status == BAD_INPUT:
                raise StepError(last, BAD_INPUT)
            how = f"was killed by signal {-status}" if status < 0 else f"ended with code {status}"
            raise StepError(f"the job {how}: {last}")


def look_up(value: Any, path: str) -> Any:  # noqa: ANN401 (JSON is what it is)
    """Return what a path leads to: members, ['names'] of members or of list items, [numbers]."""
    for member, name, index in re.findall(r"\.?([\w-]+)|\['([^']*)'\]|\[(\d+)\]", path):
        if isinstance(value, list):
            named = (item for item in value if name and name in map(item.get, NAMES))
            value = next(iter(value[int(index) :][:1]) if index else named, None)
        else:
            value = value.get(member or name) if isinstance(value, Mapping) else None
        if value is None:
            raise StepError(f"there is no {path}")
    return value


def led(text: str, opt: Path) -> str:
    """Return text with each path below /opt/ml led below `opt`."""
    return re.sub(r"(?<![\w./-])/opt/ml(?=/|$)", lambda _: str(opt), text)


def inside(path: str, opt: Path) -> Path:
    """Return what a path below /opt/ml is here; any other one fails the step."""
    here = Path(led(path, opt)).resolve()
    if not here.is_relative_to(opt):
        raise StepError(f"{path} is not below /opt/ml")
    return here


def decoded(text: str) -> Any:  # noqa: ANN401 (JSON is what it is)
    """Return what JSON says, or the text itself if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def pack(members: Mapping[str, Path | bytes], target: IO[bytes]) -> None:
    """Write a tar.gz that is the same for the same content: sorted, without times and owners."""
    with (
        gzip.GzipFile(filename="", fileobj=target, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, source in sorted(members.items()):
            member = tarfile.TarInfo(name)
            content = BytesIO(source) if isinstance(source, bytes) else source.open("rb")
            with content:
                member.size = content.seek(0, os.SEEK_END)
                content.seek(0)
                archive.addfile(member, content)


def unpack(archive: Path, folder: Path) -> None:
    """Extract an archive's plain files; links, and what would lie outside, fail the step."""
    try:
        with tarfile.open(archive) as members:
            for member in members:
                target = (folder / member.name).resolve()
                inside = target.is_relative_to(folder.resolve())
                if not inside or not (member.isfile() or member.isdir()):
                    raise StepError(f"{archive.name} holds {member.name!r}, which is not safe")
                if content := members.extractfile(member):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as file:
                        shutil.copyfileobj(content, file)
    except (OSError, tarfile.TarError) as error:
        raise StepError(f"the code {archive} cannot be read: {error}") from None


def tail(log: Path, lines: int = 20) -> list[str]:
    """Return the last lines of a log that are not empty."""
    with log.open(encoding="utf-8", errors="replace") as file:
        return list(deque((line.rstrip() for line in file if line.strip()), maxlen=lines))
