"""The commands of maintainers and platform engineers, who reach AWS; other modules do the work."""

from __future__ import annotations

import typer

from seedbed.commands import doctor, portfolio, project, publish, stacks


def register(app: typer.Typer) -> None:
    """Add the commands to the tool's own."""
    for command in (publish.package, publish.plan, publish.publish, doctor.doctor):
        app.command()(command)
    app.add_typer(stacks.bootstrap, name="bootstrap")
    app.add_typer(stacks.teardown, name="teardown")
    app.add_typer(portfolio.portfolio, name="portfolio")
    app.add_typer(project.project, name="project")
