"""`buildrules export`."""

from typing import Any

import click

from buildrules.cli.groups import GroupedCommand
from buildrules.cli.main import perform_request
from buildrules.cli.options import building, label_argument


@click.command(cls=GroupedCommand)
@label_argument
@building
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci-layout", "oci-archive", "docker-archive"]),
    default="oci-layout",
    show_default=True,
)
@click.option("-o", "--output", required=True, type=click.Path(), help="Directory (oci-layout) or file to write.")
@click.option("--tag", help="Name of the image inside (default: from the label, ':latest').")
def command(label: str | None, **options: Any) -> int:
    """Build one package and write it as an OCI layout, an OCI archive or a Docker archive."""
    return perform_request("export", (label,), options)
