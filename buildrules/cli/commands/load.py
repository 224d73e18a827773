"""`buildrules load`."""

from typing import Any

import click

from buildrules.cli.groups import GroupedCommand
from buildrules.cli.main import perform_request
from buildrules.cli.options import building, label_argument


@click.command(cls=GroupedCommand)
@label_argument
@building
@click.option("--tag", help="Name of the image in Docker (default: from the label, ':latest').")
def command(label: str | None, **options: Any) -> int:
    """Build one package and load it into Docker, sending only the layers it lacks."""
    return perform_request("load", (label,), options)
