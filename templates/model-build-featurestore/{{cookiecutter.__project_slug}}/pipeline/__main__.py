"""The pipeline's commands: parses and reports; other modules do the work."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import check, cloud, data_source, local, report
from pipeline.definition import DefinitionError
from pipeline.pipeline import build
from pipeline.settings import ROOT, Settings, SettingsError

HELP = """\
The project's pipeline, here and on SageMaker.

  python -m pipeline local                        run all of it here, on a sample of real data
  python -m pipeline local --data path            the same on your own data
  python -m pipeline local --parameter SplitSeed=7
  python -m pipeline explain                      show what a run reads
  python -m pipeline compile                      write the definition, offline
  python -m pipeline upsert                       upload the code, create or update the pipeline
  python -m pipeline start --wait                 start it in AWS and wait for its end
"""
LOCAL = ROOT / ".local"
REPORTS = ROOT / "reports" / "local"
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 1 if the run failed, or 2 for bad input, told in one line."""
    args = parser().parse_args(argv)
    try:
        return COMMANDS[args.command](Settings.load(args.env), args)
    except (SettingsError, DefinitionError, local.LocalError) as error:
        return _fail(str(error), BAD_INPUT)
    except cloud.CloudError as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, and needs no traceback
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m pipeline",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--env", default="dev", help="which config/<env>.yml holds (default: dev)")
    verbs = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    verb = verbs.add_parser("compile", help="check the definition and write it, offline")
    verb.add_argument("--output", type=Path, help="default: build/definition-<env>.json; - prints")
    verbs.add_parser("check", help="check the definition against what SageMaker accepts, offline")
    verb = verbs.add_parser("local", help="run the whole pipeline here, without AWS")
    verb.add_argument("--data", type=Path, help="a file or folder in place of the sample")
    _add_parameters(verb)
    verb.add_argument(
        "--skip-unsupported",
        action="store_true",
        help="leave out what has no local equivalent, and what depends on it",
    )
    verbs.add_parser("upsert", help="upload the code and create or update the pipeline in AWS")
    verb = verbs.add_parser("start", help="start the pipeline in AWS")
    _add_parameters(verb)
    verb.add_argument("--wait", action="store_true", help="until it ends; fails if it fails")
    verbs.add_parser("explain", help="show what a run reads, and how it asks for it")
    return top


def _add_parameters(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value for one of the pipeline's parameters; repeatable",
    )


def _parameters(settings: Settings, args: argparse.Namespace) -> dict[str, str]:
    """Return the given parameters, and the commit unless it is among them."""
    given = dict(item.partition("=")[::2] for item in args.parameter if "=" in item)
    if len(given) != len(args.parameter):
        raise SettingsError(f"--parameter {args.parameter}: write each name once, as NAME=VALUE")
    return {"GitCommit": _commit(settings), **given}


def _commit(settings: Settings) -> str:
    """Return the commit from the environment, or what git says of this folder."""
    if settings.cloud.git_commit != "unknown":
        return settings.cloud.git_commit
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(  # noqa: S603 (fixed words)
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def _checked(settings: Settings, values: Mapping[str, str] | None = None) -> str:
    """Return the definition. Raises DefinitionError if something in it is wrong."""
    text = build(settings).definition()
    definition = json.loads(text)
    typed = local.parameter_values(definition["Parameters"], values or {})
    if found := check.findings(definition, typed):
        for line in found[:-1]:
            _fail(line, BAD_INPUT)
        raise DefinitionError(found[-1])
    return text


def _compile(settings: Settings, args: argparse.Namespace) -> int:
    text = _checked(settings)
    if args.output == Path("-"):
        print(text, end="")
        return 0
    path = args.output or ROOT / "build" / f"definition-{args.env}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    if settings.cloud.missing:
        print(f"placeholders stand for {', '.join(settings.cloud.missing)}")
    print(f"checked and written: {_shown(path)}")
    return 0


def _check(settings: Settings, _: argparse.Namespace) -> int:
    definition = json.loads(_checked(settings))
    steps = [node.name for node in local.flatten(definition["Steps"])]
    print(f"nothing is wrong with {', '.join(steps)}")
    return 0


def _explain(settings: Settings, _: argparse.Namespace) -> int:
    print(*data_source.explain(settings), sep="\n")
    return 0


def _local(settings: Settings, args: argparse.Namespace) -> int:
    if args.data and not args.data.exists():
        raise SettingsError(f"--data {args.data} does not exist: give it a file or folder")
    definition = json.loads(build(settings).definition())
    REPORTS.mkdir(parents=True, exist_ok=True)
    for stale in ("metrics.json", "report.html"):  # a run that fails early is to leave neither
        (REPORTS / stale).unlink(missing_ok=True)
    stand_in = data_source.stand_in(settings, args.data)
    _put_code(settings)
    result = local.run(
        definition,
        parameters=_parameters(settings, args),
        mounts=stand_in.mounts,
        environment=stand_in.environment,
        root=LOCAL,
        on_progress=Progress(),
        execution={"PipelineName": settings.project},
        skip_unsupported=args.skip_unsupported,
    )
    given = _parameters(settings, args)
    facts = _facts(settings, definition, result, _shown(stand_in.data), given)
    if facts["metrics"]:
        _report(facts)
    if result.model_package is None:
        print("  no model was registered")
    if result.failure is None:
        return 0
    if result.failure.log and result.code != BAD_INPUT:
        print(*(f"  | {line}" for line in local.tail(result.failure.log)), sep="\n")
        print(f"  the whole log: {_shown(result.failure.log)}")
    return _fail(f"{result.failure.name}: {result.failure.reason}", result.code)


def _put_code(settings: Settings) -> None:
    """Put the code where the definition says it is, in the folder that stands for S3."""
    bucket = LOCAL / "s3" / settings.cloud.bucket
    package = cloud.package(settings)
    if (bucket / package.prefix / "jobs.tar.gz").exists():
        return
    for key, content in package.objects():  # the archive comes last: with it all are there
        path = bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_bytes(content)
        draft.replace(path)


def _facts(
    settings: Settings,
    definition: Mapping[str, Any],
    result: local.Result,
    data: str,
    given: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the report tells of a run; what the run did not reach is empty or None."""
    left = {step.name: step.outputs for step in result.steps}
    evaluation = left.get("Evaluate", {}).get("evaluation")
    measured = (_read(evaluation, "evaluation.json") or {}).get(settings.problem.group, {})
    summary = _read(left.get("Preprocess", {}).get("summary"), "summary.json") or {}
    outcome = left.get("Gate", {}).get("Outcome")
    values = local.parameter_values(definition["Parameters"], given)
    package = result.model_package
    seconds = {step.name: round(step.seconds, 3) for step in result.steps}
    return {
        "project": settings.project,
        "problem_type": settings.problem_type,
        "data": data,
        "definition": definition,
        "steps": [
            {
                "name": step.name,
                "type": step.type,
                "status": step.status,
                "seconds": round(step.seconds, 3),
                "reason": step.reason,
            }
            for step in result.steps
        ],
        "metrics": {
            name: value["value"]
            for name, value in measured.items()
            if isinstance(value, dict) and isinstance(value.get("value"), int | float)
        },
        "gate": {
            "metric": settings.gate.metric,
            "threshold": values.get("GateThreshold", settings.gate.threshold),
            "passed": None if outcome is None else outcome == "True",
        },
        "rows": summary.get("rows", {}),
        "warnings": summary.get("warnings", []),
        "details": _read(evaluation, "details.json"),
        "model_package": _shown(package) if package else None,
        "package": _read(package.parent, package.name) if package else None,
        "seconds": {**seconds, "total": round(result.seconds, 3)},
    }


def _read(folder: str | Path | None, name: str) -> Any:  # noqa: ANN401 (JSON is what it is)
    """Return what a JSON file holds, or None if there is none."""
    path = Path(folder or "") / name
    return json.loads(path.read_text(encoding="utf-8")) if folder and path.is_file() else None


def _report(facts: Mapping[str, Any]) -> None:
    """Write metrics.json and report.html, and say what is in them."""
    kept = ("metrics", "gate", "rows", "model_package", "seconds")
    local.write_json(REPORTS / "metrics.json", {key: facts[key] for key in kept})
    report.write(facts, REPORTS / "report.html")
    for warning in facts["warnings"]:
        print(f"  warning: {warning}")
    print()
    for name, value in facts["metrics"].items():
        mark = " <- gate" if name == facts["gate"]["metric"] else ""
        print(f"  {name:<20} {value:>10.4f}{mark}")
    print()
    package = facts["package"]
    if package:
        version = f"version {package['ModelPackageVersion']} of {package['ModelPackageGroupName']}"
        print(f"  registered  {version}, {package['ModelApprovalStatus']}")
        print(f"              {facts['model_package']}")
    print(f"  report      {_shown(REPORTS / 'report.html')}")
    print(f"  metrics     {_shown(REPORTS / 'metrics.json')}")


def _upsert(settings: Settings, _: argparse.Namespace) -> int:
    cloud.require(settings)
    text = _checked(settings)
    package = cloud.package(settings)
    new = cloud.upload(package, settings, cloud.client("s3", settings.region))
    print(f"code {package.code.sha256[:12]} {'uploaded' if new else 'is there already'}")
    print(cloud.upsert(text, settings, cloud.client("sagemaker", settings.region)))
    return 0


def _start(settings: Settings, args: argparse.Namespace) -> int:
    cloud.require(settings)
    values = _parameters(settings, args)
    _checked(settings, values)
    sagemaker = cloud.client("sagemaker", settings.region)
    arn = cloud.start(settings, values, sagemaker)
    print(arn)
    if args.wait:
        cloud.wait(arn, sagemaker, print)
    return 0


class Progress:
    """Prints a line for each step: on a terminal while it runs, elsewhere when it has ended."""

    def __call__(self, step: local.Step) -> None:
        line = f"  {step.name:<12} {step.status:<10} {step.seconds:7.1f} s"
        if step.status == "Executing":
            if sys.stdout.isatty():
                print(line, end="\r", flush=True)
        elif step.status in ("Skipped", "NotRun"):
            print(f"  {step.name:<12} {step.status:<10} {step.reason}".rstrip(), flush=True)
        else:
            print(line, flush=True)


def _shown(path: Path) -> str:
    """Return a path as short as it can be said from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _fail(line: str, code: int) -> int:
    print(f"error: {' '.join(line.split())}", file=sys.stderr, flush=True)
    return code


COMMANDS = {
    "compile": _compile,
    "check": _check,
    "local": _local,
    "explain": _explain,
    "upsert": _upsert,
    "start": _start,
}

if __name__ == "__main__":
    sys.exit(main())
