"""What a check is, and how all of them are carried out at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

from botocore.exceptions import BotoCoreError, ClientError

from seedbed import projects
from seedbed.declaration import Declaration
from seedbed.doctor.site import Asked, Site, View
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account

VIEWS: tuple[View, ...] = get_args(View)
AT_ONCE = 8  # checks; most of their time they wait for AWS
DENIED = {
    "403",
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedException",
    "UnauthorizedOperation",
}
MISSING = {"404", "NoSuchBucket", "NoSuchEntity", "NoSuchKey", "ResourceNotFoundException"}


class State(StrEnum):
    """How a check ended; UNKNOWN: AWS did not let us look."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """What a check found, and in one line what to do about it."""

    state: State
    text: str
    remedy: str = ""


class SkipError(Exception):
    """There is nothing for this check to look at, and why."""


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    `once`: the same in every region. `asked`: made only where a project is asked about.
    """

    name: str
    looks_at: str
    views: tuple[View, ...]
    run: Callable[[Site], Iterator[Finding]]
    once: bool = False
    asked: bool = False


@dataclass(frozen=True)
class Result:
    """A finding of a check in a region."""

    check: str
    looks_at: str
    region: str
    finding: Finding

    def plain(self) -> dict[str, Any]:
        """Return the result as `--json` prints it."""
        return {
            "check": self.check,
            "looks_at": self.looks_at,
            "region": self.region,
            "state": str(self.finding.state),
            "finding": self.finding.text,
            "remedy": self.finding.remedy,
        }


CHECKS: list[Check] = []


def check(
    name: str, looks_at: str, *views: View, once: bool = False, asked: bool = False
) -> Callable[[Callable[[Site], Iterator[Finding]]], Callable[[Site], Iterator[Finding]]]:
    """Add a function to the checks of these points of view; what it yields is what is wrong."""

    def add(run: Callable[[Site], Iterator[Finding]]) -> Callable[[Site], Iterator[Finding]]:
        CHECKS.append(Check(name, looks_at, views or VIEWS, run, once, asked))
        return run

    return add


def problem(text: str, remedy: str) -> Finding:
    return Finding(State.PROBLEM, text, remedy)


def denied(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in DENIED


def missing(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in MISSING


def wanted(site: Site) -> list[Check]:
    """Return the checks that are made here."""
    return [
        one
        for one in CHECKS
        if site.view in one.views
        and (site.first or not one.once)
        and (site.asked.project or not one.asked)
    ]


def view_of(text: str) -> View:
    """Return a point of view by its name. Raises SeedbedError if there is none."""
    for view in VIEWS:
        if view == text:
            return view
    raise SeedbedError(f"--as is {text!r}: use one of {', '.join(VIEWS)}")


def sites(
    base: Path,
    declared: Declaration,
    view: View,
    asked: Asked,
    *,
    regions: Sequence[str] | None = None,
    profile: str | None = None,
) -> list[Site]:
    """Return where to look: the given regions, or the declared ones.

    Raises:
        SeedbedError: a region is not declared, there are no credentials, or no such project.
    """
    names = declared.chosen(regions)
    made = [
        Site(Account.of(name, profile), declared, base, asked, view, name == names[0])
        for name in names
    ]
    if asked.project:
        projects.show(made[0].account, asked.project)
    return made


def examine(
    sites: Sequence[Site], progress: Callable[[str], None] = lambda _: None
) -> list[Result]:
    """Carry out all checks, several at once; results stand in a fixed order.

    Args:
        sites: one a region.
        progress: called with what has been looked at.
    """
    jobs = [(one, site) for site in sites for one in wanted(site)]

    def carry_out(job: tuple[Check, Site]) -> list[Result]:
        one, site = job
        found = list(_carried_out(one, site)) or [Finding(State.OK, one.looks_at)]
        progress(f"{site.region}: {one.name}")
        return [Result(one.name, one.looks_at, site.region, item) for item in found]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [result for results in pool.map(carry_out, jobs) for result in results]


def _carried_out(one: Check, site: Site) -> Iterable[Finding]:
    try:
        yield from one.run(site)
    except SkipError as why:
        yield Finding(State.SKIPPED, str(why))
    except ClientError as error:
        if denied(error):
            said = f"not permitted to look: {error.operation_name}"
            yield Finding(State.UNKNOWN, said, "run it as a role that may, or ask an administrator")
        else:
            yield Finding(State.UNKNOWN, _line(error), "look at the message, then run it again")
    except (BotoCoreError, SeedbedError) as error:
        yield Finding(State.UNKNOWN, _line(error), "look at the message, then run it again")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
