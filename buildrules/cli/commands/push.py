"""`buildrules push`."""

from typing import Any

import click

from buildrules.cli.main import perform_request
from buildrules.cli.options import NeedsPatterns, building, pattern_argument


@click.command(cls=NeedsPatterns)
@pattern_argument
@building
@click.option("--to", metavar="REGISTRY[/REPO]", help="Push there instead of where the packages' names say.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag (default: latest); may be given again.")
@click.option("--annotation", "annotations", multiple=True, metavar="NAME=VALUE", help="Note this in an index.")
@click.option("--tested", is_flag=True, help="Test first, and push only packages whose tests passed.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and change nothing.")
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
def command(patterns: tuple[str, ...], **options: Any) -> int:
    """Build packages and push them to a registry, sending only what it lacks.

    Each layer is sent once, whatever the number of packages that share it, and mounted where the registry has it
    already. A package goes to its own name, below the workspace's default_registry; with --to to that repository, and
    where patterns name several below it, by directory and name. Tags move last. In tags and annotations stand
    {version}, {git.sha}, {git.branch} and {date} for what they are called after; no layer and no image knows of them.
    """
    return perform_request("push", patterns, options)
