"""`buildrules size`."""

import os
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
    from buildrules.cli.images import Named
    from buildrules.cli.request import Request
    from buildrules.cli.size import weigh_other
    from buildrules.cli.verbs import start
    from buildrules.workspace.root import find_root, package_of

    root = directory = ""
    if image.startswith(("//", ":")):
        here = os.getcwd()
        root = find_root(here)
        directory = package_of(root, here)
    named = Named.parse(image, directory)
    if not named.here:
        return weigh_other(named, root, directory, options)
    argv = list(click.get_current_context().obj or ["size", image])
    return start(root, directory, argv, Request("size", [str(named.label)], {**options, "image": list(named)}))
