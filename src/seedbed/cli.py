"""The command line: parses and reports; other modules do the work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from seedbed.errors import SeedbedError

app = typer.Typer(
    help="Templates for governed machine learning on Amazon SageMaker: make, upgrade, publish.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def main() -> None:
    """Run the command line; a bad input is one line on stderr and exit code 2."""
    try:
        app()
    except SeedbedError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"seedbed: {error}", markup=False
        )
        sys.exit(2)


@app.command("list")
def list_templates(*, as_json: Json = False) -> None:
    """Show the templates, each with its purpose."""
    from seedbed import catalog  # noqa: PLC0415

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
    from seedbed import render  # noqa: PLC0415

    path = render.new(template, dest, render.read_answers(data_file, sets or []), ask=ask)
    out.print(f"{template} is in {path}. Next: cd {dest} && make train", highlight=False)


@app.command()
def compose(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 on drift.")
    ] = False,
) -> None:
    """Write templates/ from layers/ (maintainers)."""
    from seedbed import catalog  # noqa: PLC0415
    from seedbed import compose as composer  # noqa: PLC0415

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
