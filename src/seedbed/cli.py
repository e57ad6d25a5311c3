"""The command line: parses and reports; other modules do the work."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from seedbed import commands
from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from click import Command

    from seedbed.upgrade import Outcome


class _Folded(TyperGroup):
    """The commands, each paragraph of their help on one line: typer breaks it where it is full."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 (typer's own)
        super().__init__(**attributes)
        _fold(self)


def _fold(command: Command) -> None:
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    for inner in getattr(command, "commands", {}).values():
        _fold(inner)


app = typer.Typer(
    cls=_Folded,
    help="Templates for governed machine learning on Amazon SageMaker: make, upgrade, publish.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(soft_wrap=True)
INTERRUPTED = 130  # what typer ends with after Ctrl-C

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def main() -> None:
    """Run the command line; a bad input is one line on stderr and exit code 2."""
    say = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        app()
    except SeedbedError as error:
        say.print(f"seedbed: {error}", markup=False)
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            say.print("seedbed: interrupted; what AWS has begun goes on: run the command again")
        raise


@app.command("list")
def list_templates(*, as_json: Json = False) -> None:
    """Show the templates, each with its purpose."""
    from rich.table import Table

    from seedbed import catalog

    templates = catalog.load(catalog.root()).templates
    if as_json:
        print(json.dumps({name: template.title for name, template in templates.items()}, indent=2))
        return
    table = Table("template", "purpose", box=None)
    for name, template in templates.items():
        table.add_row(name, template.title)
    Console().print(table)


@app.command()
def new(
    template: Annotated[str, typer.Argument(help="A name that `seedbed list` shows.")],
    dest: Annotated[Path, typer.Argument(help="The new project's folder, absent or empty.")],
    data_file: Annotated[
        Path | None, typer.Option(help="A YAML file with answers, one `key: value` a line.")
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One answer; repeatable.")
    ] = None,
    *,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for every answer not given.")] = False,
) -> None:
    """Make a new project; what is not answered takes its default.

    Example: seedbed new model-build-s3 churn --set project_name=churn --set target_column=left
    """
    from seedbed import render

    path = render.new(template, dest, render.read_answers(data_file, sets or []), ask=ask)
    out.print(f"{template} is in {path}. Next: cd {dest} && make train", highlight=False)


@app.command()
def upgrade(
    path: Annotated[Path, typer.Argument(help="The project's folder, in a clean git checkout.")],
    to: Annotated[
        str | None, typer.Option(metavar="VERSION", help="A release; default: the newest.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A new answer; template=... swaps layers."),
    ] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if due.")] = False,
    as_json: Json = False,
) -> None:
    """Bring a project to a newer version of its template, and lose none of its edits.

    The result is staged, not committed. Exit code 1: conflicts, marked in the files as after a
    merge; 2: a bad input or state, and nothing was touched.
    """
    from seedbed import upgrade as upgrades
    from seedbed.pairs import parse_pairs

    answers = parse_pairs(sets or [])
    with Console(stderr=True).status("reading the template") as status:
        outcome = upgrades.upgrade(path, to=to, check=check, set=answers, progress=status.update)
    if as_json:
        print(json.dumps(asdict(outcome), indent=2))
    else:
        _tell(outcome)
    raise typer.Exit(outcome.exit_code)


def _tell(outcome: Outcome) -> None:
    versions = f"{outcome.from_version} to {outcome.to_version}"
    say = {
        "up-to-date": f"{outcome.to_version} is current; nothing to do.",
        "updated": f"{'would upgrade' if outcome.checked else 'upgraded'} {versions}",
        "conflicts": f"{versions}: conflicts in {len(outcome.conflicted)} files",
    }
    out.print(say[outcome.status], markup=False, highlight=False)
    for label, lines in (
        ("changed", outcome.changed),
        ("conflict", outcome.conflicted),
        ("note", outcome.notes),
    ):
        for line in lines:
            out.print(f"  {label:<9} {line}", markup=False, highlight=False)
    if outcome.status == "updated" and not outcome.checked:
        out.print("Next: make test, then git commit.", highlight=False)
    elif outcome.status == "conflicts" and not outcome.checked:
        out.print("Next: mend the marked files, git add them, git commit.", highlight=False)


@app.command("release-check")
def release_check(
    since: Annotated[
        list[str] | None, typer.Option(metavar="VERSION", help="Only from this one; repeatable.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Update projects of earlier versions to HEAD; refuse what would hurt them (maintainers)."""
    from seedbed import catalog, release

    with Console(stderr=True).status("reading the releases") as status:
        report = release.check(catalog.CHECKOUT, since=since, progress=status.update)
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        for label, lines in (
            ("checked", report.checked),
            ("problem", report.problems),
            ("note", report.notes),
        ):
            for line in lines:
                out.print(f"{label:<8} {line}", markup=False, highlight=False)
        verdict = "must not go out as it is" if report.problems else "may go out"
        out.print(f"release {report.version} {verdict}", markup=False, highlight=False)
    raise typer.Exit(report.exit_code)


@app.command()
def compose(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 on drift.")
    ] = False,
) -> None:
    """Write templates/ from layers/ (maintainers)."""
    from seedbed import catalog
    from seedbed import compose as composer

    base = catalog.CHECKOUT
    tree = composer.compose(base)
    changed = composer.drift(base, tree) if check else composer.write(base, tree)
    for path in changed:
        out.print(f"{'drifted' if check else 'wrote'} {path}", markup=False, highlight=False)
    if check and changed:
        out.print("Edit layers/, then run: seedbed compose")
        raise typer.Exit(1)
    if not changed:
        out.print(f"{len(tree)} files are as composed.")


commands.register(app)

sandbox = typer.Typer(
    help="A laptop-sized AWS organisation: one process, one endpoint, unmodified boto3.",
    no_args_is_help=True,
)
app.add_typer(sandbox, name="sandbox")


@sandbox.command()
def up(
    org: Annotated[
        Path | None, typer.Option(help="A YAML file with the organisation's accounts.")
    ] = None,
    account: Annotated[
        str, typer.Option(help="Whose administrator the exported credentials are.")
    ] = "hub",
    *,
    as_json: Json = False,
) -> None:
    """Start it in the background, or find the one that runs; print the endpoint and the exports.

    Example: eval "$(seedbed sandbox up --account dev)"; aws s3 ls
    """
    lifecycle = _lifecycle()
    made = lifecycle.up(organisation=org)
    known = made.organisation.accounts
    if org and type(made.organisation).load(org) != made.organisation:
        line = f"--org {org}: a sandbox with another organisation runs here"
        raise SeedbedError(f"{line}: `seedbed sandbox down` first")
    if account not in known:
        raise SeedbedError(f"--account {account}: use one of {', '.join(known)}")
    if as_json:
        print(json.dumps({"endpoint": made.endpoint, **made.environment(account)}, indent=2))
        return
    print(f"# {made.endpoint}; accounts: {', '.join(made.organisation.accounts)}")
    print(lifecycle.exports(made, account), end="")


@sandbox.command()
def status(*, as_json: Json = False) -> None:
    """Tell whether it runs, and what it holds; exit code 1 if it does not."""
    told = _lifecycle().status()
    if as_json:
        print(json.dumps(told, indent=2))
    elif told is None:
        out.print("no sandbox runs here; start one with `seedbed sandbox up`", markup=False)
    else:
        for name in ("endpoint", "folder", "region", "calls"):
            out.print(f"{name:<9} {told[name]}", markup=False, highlight=False)
        for name, account in told["accounts"].items():
            unit = account["org_path"].rstrip("/").rsplit("/", 1)[-1]
            line = f"account   {name:<11} {account['id']}  {account['ou']:<15} {unit}"
            out.print(line, markup=False, highlight=False)
    raise typer.Exit(told is None)


@sandbox.command()
def reset() -> None:
    """Forget everything that was made in it."""
    _lifecycle().reset()
    out.print("the sandbox is empty again")


@sandbox.command()
def down() -> None:
    """Stop it and whatever it started."""
    ended = _lifecycle().down()
    out.print("the sandbox has ended" if ended else "no sandbox ran here")


@sandbox.command("report")
def sandbox_report(*, as_json: Json = False) -> None:
    """List calls by role, the statements that allowed them, and granted actions never used."""
    told = _lifecycle().find().report()
    if as_json:
        print(json.dumps(told, indent=2))
        return
    from seedbed.sandbox import report

    print(report.text(told), end="")


def _lifecycle() -> ModuleType:
    """Return the sandbox's life cycle. Raises SeedbedError where the extra is not installed."""
    from importlib.util import find_spec

    for name in ("moto", "werkzeug", "cfnlint"):  # found, not imported: the server does that
        if find_spec(name) is None:
            line = f"the sandbox needs {name}, which is not installed"
            raise SeedbedError(f"{line}: pip install 'seedbed[sandbox]'")
    from seedbed.sandbox import lifecycle

    return lifecycle
