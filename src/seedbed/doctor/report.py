"""What doctor found, for people: a line a finding, its remedy below it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from seedbed.doctor.checks import Result, State

MARKS = {
    State.OK: ("ok", "green"),
    State.PROBLEM: ("PROBLEM", "bold red"),
    State.UNKNOWN: ("?", "yellow"),
    State.SKIPPED: ("-", "dim"),
}
MARK, CHECK = 8, 22  # columns


def show(console: Console, results: Sequence[Result]) -> None:
    """Print the findings, and how many of each there are; no word of a command is broken."""
    several = len({one.region for one in results}) > 1
    for one in results:
        word, style = MARKS[one.finding.state]
        where = f"{one.region}: " if several else ""
        line = Text.assemble((f"{word:<{MARK}}", style), f"{one.check:<{CHECK}} ", where)
        console.print(line + Text(one.finding.text), soft_wrap=True)
        if one.finding.remedy:
            console.print(Text(f"{'':<{MARK}}remedy: {one.finding.remedy}"), soft_wrap=True)
    counts = {state: sum(one.finding.state is state for one in results) for state in State}
    said = [f"{counts[State.OK]} ok", f"{counts[State.PROBLEM]} problems"]
    said += [f"{counts[State.UNKNOWN]} not known", f"{counts[State.SKIPPED]} skipped"]
    console.print(", ".join(said), highlight=False)
