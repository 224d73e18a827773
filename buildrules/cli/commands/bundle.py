"""`buildrules bundle`."""

from typing import Any

import click

from buildrules.cli.main import perform_request
from buildrules.cli.options import NeedsPatterns, building, pattern_argument


@click.command(cls=NeedsPatterns)
@pattern_argument
@building
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="File to write.")
@click.option(
    "--have",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Leave out what this list, or bundle, says the other side has.",
)
@click.option("--tag", help="Tag of the images inside, as of push (default: latest).")
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
def command(patterns: tuple[str, ...], **options: Any) -> int:
    """Build packages and write them into one file, for where no network leads.

    What several of them share is in it once. 'buildrules unbundle' checks and takes it on the other side.
    """
    return perform_request("bundle", patterns, options)
