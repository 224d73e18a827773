"""`buildrules show`."""

from typing import Any

import click

from buildrules.cli.groups import GroupedCommand
from buildrules.cli.main import perform_request
from buildrules.cli.options import building, label_argument


@click.command(cls=GroupedCommand)
@label_argument
@building
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
def command(label: str | None, **options: Any) -> int:
    """Build one package, which costs nothing where nothing changed, and show what its image is.

    Routes, ports, environment variables, layers with what they come from, locks, models, the build and its log.
    """
    return perform_request("show", (label,), options)
