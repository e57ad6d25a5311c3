"""What doctor found, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seedbed.doctor.checks import Result, State

MARKS = {
    State.OK: ("ok", "green"),
    State.PROBLEM: ("PROBLEM", "bold red"),
    State.UNKNOWN: ("?", "yellow"),
    State.SKIPPED: ("-", "dim"),
}


def show(console: Console, results: Sequence[Result]) -> None:
    """Print a table, and how many of each there are."""
    several = len({one.region for one in results}) > 1
    table = Table("", *(["region"] if several else []), "check", "finding", "remedy", box=None)
    for one in results:
        word, style = MARKS[one.finding.state]
        cells = [one.check, one.finding.text, one.finding.remedy]
        cells = [one.region, *cells] if several else cells
        table.add_row(Text(word, style), *(Text(cell, overflow="fold") for cell in cells))
    console.print(table)
    counts = {state: sum(one.finding.state is state for one in results) for state in State}
    said = [f"{counts[State.OK]} ok", f"{counts[State.PROBLEM]} problems"]
    said += [f"{counts[State.UNKNOWN]} not known", f"{counts[State.SKIPPED]} skipped"]
    console.print(", ".join(said), highlight=False)
