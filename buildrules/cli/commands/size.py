"""`buildrules size`."""

from typing import Any

import click

from buildrules.cli.groups import GroupedCommand
from buildrules.cli.options import building_labels


@click.command(cls=GroupedCommand)
@click.argument("image", metavar="LABEL")
@building_labels
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
def command(image: str, **options: Any) -> int:
    """Say what makes an image large, as a tree of layers, packages and folders, and what could be left out.

    Instead of a label, which is built, an image in a place can be named, as for 'buildrules diff'.
    """
    from buildrules.cli.images import ask
    from buildrules.cli.size import weigh_image

    return ask("size", [image], options, weigh_image)
