"""What the commands that reach AWS share: options, questions, plans on the screen."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from seedbed.declaration import Declaration
    from seedbed.publishing import Account, Plan

out = Console(soft_wrap=True)


def account_id(value: str) -> str:
    """Return an account's id, or nothing where none is given. Raises SeedbedError."""
    if value and not re.fullmatch(r"\d{12}", value, re.ASCII):
        raise SeedbedError(f"--hub is {value!r}: write an account id of 12 digits")
    return value


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Show = Annotated[
    bool,
    typer.Option("--plan", help="Show what would change, change nothing; exit code 2 if any."),
]
Profile = Annotated[
    str | None,
    typer.Option(help="AWS profile of the account; default: the environment's credentials."),
]
Release = Annotated[Path, typer.Option("--release", help="The folder that `package` wrote.")]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="Only this one of the declared regions; repeatable."),
]
Prune = Annotated[bool, typer.Option("--prune", help="Retire products declared no more, too.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the stacks; repeatable."),
]
Hub = Annotated[
    str,
    typer.Option("--hub", metavar="ACCOUNT", help="The hub's account id.", callback=account_id),
]
DIST = Path("dist")


def declared_here() -> Declaration:
    from seedbed import catalog, declaration

    return declaration.load(catalog.CHECKOUT / declaration.FILE)


def send(plans: Iterable[tuple[Account, Plan]], release: Path) -> None:
    """Send the requests of plans, with a bar for each region."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from seedbed.publishing import apply

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    says = Console(stderr=True)
    with Progress(*columns, console=says, transient=True, disable=not says.is_terminal) as bar:
        for account, one in plans:
            task = bar.add_task(one.region, total=len(one.changes))
            apply(
                account,
                one,
                release,
                lambda change, task=task, at=one.region: bar.update(  # type: ignore[misc]
                    task, advance=1, description=f"{at} {change.kind} {change.target}"
                ),
            )


def carry_out(
    plans: Sequence[tuple[Account, Plan]],
    release: Path,
    *,
    yes: bool,
    as_json: bool,
    look: str,
    show: bool = False,
) -> int:
    """Show plans, ask, send them; return how many requests were sent, 0 if JSON tells it.

    With `show`, only show them, and end the command as `seedbed plan` does.
    """
    from seedbed.publishing.plan import dump

    if as_json and not (yes or show):
        able_to_ask(as_json=True, look=look)
    if not as_json:
        show_plans(one for _, one in plans)
    count = sum(len(one.changes) for _, one in plans)
    if show:
        if as_json:
            print(dump([one for _, one in plans]))
        raise due(count)
    if count and not yes and not agreed(f"Send {counted(count, 'request')}?"):
        raise typer.Exit(1)
    send(plans, release)
    if as_json:
        print(dump([one for _, one in plans]))
    return 0 if as_json else count


def due(changes: int) -> typer.Exit:
    """Return what ends a command that only looked: 0, or 2 if something would change."""
    return typer.Exit(2 if changes else 0)


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def show_plans(plans: Iterable[Plan]) -> None:
    """Print each request on a line, and how many of each kind there are."""
    for plan in plans:
        where = f"{plan.account} {plan.region}"
        if not plan.changes:
            out.print(f"{where}: nothing to do ({plan.calls} calls)", highlight=False)
        else:
            named = [
                re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", c.target) for c in plan.changes
            ]
            width = max(map(len, named))
            out.print(f"{'kind':<12} {'what':<{width}} change", style="bold", highlight=False)
            for name, one in zip(named, plan.changes, strict=True):
                line = f"{one.kind:<12} {name:<{width}} {one.summary}"
                out.print(line, markup=False, highlight=False)
            kinds = Counter(f"{one.service}:{one.operation}" for one in plan.changes)
            each = ", ".join(f"{count} {name}" for name, count in kinds.most_common())
            out.print(f"{where}: {counted(len(plan.changes), 'request')}: {each}", highlight=False)
        for note in plan.notes:
            out.print(f"note: {note}", markup=False, highlight=False)


def agreed(question: str) -> bool:
    """Ask, on stderr. Raises SeedbedError where nobody can be asked."""
    able_to_ask()
    return typer.confirm(question, err=True)


def able_to_ask(*, as_json: bool = False, look: str = "") -> None:
    """Raise SeedbedError where nobody can be asked; `look` is what only shows."""
    if as_json or not sys.stdin.isatty():
        why = "--json asks nobody" if as_json else "nobody can be asked here"
        other = f", or {look} to look only" if look else ""
        raise SeedbedError(f"{why}: give --yes{other}")
