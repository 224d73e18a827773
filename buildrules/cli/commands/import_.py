"""`buildrules import`."""

from typing import Any

import click

from buildrules.cli.azureml import converting_options
from buildrules.cli.groups import GroupedCommand


@click.group()
def command() -> None:
    """Turn files of another system into targets of a BUILD.yaml."""


@command.command(
    "azureml", cls=GroupedCommand, short_help="import Azure ML packages, environments, models and deployments"
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True), metavar="PATH...")
@click.option("-o", "--output", type=click.Path(file_okay=False), metavar="DIR", help="Where BUILD.yaml is written.")
@click.option("--force", is_flag=True, help="Replace targets that are there and say something else.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@converting_options
def azureml(paths: tuple[str, ...], force: bool, dry_run: bool, **options: Any) -> int:
    """Turn Azure ML packages, environments, models and deployments into targets that build.

    A directory stands for the files in and below it. What cannot be carried over is said in a comment. Targets that
    are there already stay as they are unless --force; a file that differs is shown as a diff.
    """
    from buildrules.cli.importing import import_azureml

    return import_azureml(list(paths), options, force=force, dry_run=dry_run)
