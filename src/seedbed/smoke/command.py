"""The command line of a run."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from seedbed import catalog, declaration
from seedbed.commands.options import agreed
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account
from seedbed.smoke.debts import Debts
from seedbed.smoke.project import Project
from seedbed.smoke.steps import Smoke, Step

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run; return 0, 1 if a step or the cleaning up failed, 2 for bad input, 130 if interrupted."""
    args, console = _parser().parse_args(argv), Console(stderr=True)
    try:
        with tempfile.TemporaryDirectory(prefix="seedbed-smoke-") as folder:
            with console.status("looking"):
                smoke = _smoke(args, Path(folder) / "release")
                smoke.check()
                about = smoke.about()
            print(about, flush=True)
            if not args.yes and not agreed("Begin?"):
                return FAILED
            with console.status("") as status:
                smoke.debts.progress = status.update
                return run(smoke, keep=args.keep)
    except SeedbedError as error:
        print(f"seedbed: {error}", file=sys.stderr)
        return BAD_INPUT


def run(smoke: Smoke, *, keep: bool = False) -> int:
    """Carry out the steps, clean up in every case, say what stays; return the exit code."""
    debts, steps = smoke.debts, smoke.steps()
    try:
        kept = steps[:-1] if keep else steps  # the last one deletes the project
        code = 0 if all(_step(debts, number, one) for number, one in enumerate(kept, 1)) else FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
        debts.say("interrupted: cleaning up; interrupt once more to leave all as it is")
    try:
        if not keep and not debts.clean():
            code = code or FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
        debts.say("interrupted while cleaning up")
    for line in debts.lines():
        debts.say(line)
    return code


def _step(debts: Debts, number: int, step: Step) -> bool:
    """Carry out a step, say how it went, and tell whether it went well."""
    started = time.monotonic()
    debts.progress(step.title)
    try:
        mark, said = "ok", step.run()
    except (SeedbedError, BotoCoreError, ClientError) as error:
        mark, said = "FAILED", " ".join(str(error).split())
    seconds = time.monotonic() - started
    debts.say(f"{mark:<6} {number:>2} {step.title:<24} {seconds:7.1f} s  {said}")
    if mark == "FAILED":
        debts.say(f"          to find out more, with --keep: {step.remedy}")
    return mark == "ok"


def _smoke(args: argparse.Namespace, release: Path) -> Smoke:
    declared = declaration.load(catalog.CHECKOUT / declaration.FILE)
    region = args.region or declared.regions[0]
    declared = declared.model_copy(update={"regions": [region]})
    profiles = {"hub": args.profile, "spoke": args.spoke_profile}
    flags = {kind: f"--profile {name}" if name else "" for kind, name in profiles.items()}
    hub, spoke = (Account.of(region, name) for name in profiles.values())
    debts = Debts(say=lambda line: print(line, flush=True))
    return Smoke(
        base=catalog.CHECKOUT,
        declared=declared,
        hub=hub,
        spoke=spoke,
        flags=flags,
        release=release,
        debts=debts,
        project=Project(spoke, declared, debts, flags["spoke"]),
        version=args.version,
        data=args.data,
        whole=args.teardown,
    )


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m seedbed.smoke",
        description="Hub, spoke, publish, a project, its model, and back; says first what it does.",
    )
    made.add_argument(
        "--profile",
        help="of the hub; default: the environment's credentials, which must outlast the run",
    )
    made.add_argument(
        "--spoke-profile",
        required=True,
        help="of the spoke, in the same organisation; a profile with role_arn and "
        "credential_source = Environment assumes a role with the environment's credentials",
    )
    made.add_argument("--region", help="default: the first one that is declared")
    made.add_argument("--version", help="what to call HEAD; default: its tag")
    made.add_argument("--data", type=Path, help="a CSV file with a column `target` of two values")
    made.add_argument("--yes", action="store_true", help="do not ask")
    end = made.add_mutually_exclusive_group()
    end.add_argument("--keep", action="store_true", help="remove nothing; say what is there")
    end.add_argument("--teardown", action="store_true", help="remove the platform too")
    return made
