"""`buildrules layers`."""

from typing import Any

import click

from buildrules.cli.main import perform_request
from buildrules.cli.options import NeedsPatterns, building, pattern_argument


@click.command(cls=NeedsPatterns)
@pattern_argument
@building
@click.option("--to", metavar="REGISTRY[/REPO]", help="Ask this registry what a push would send, as 'push --to' would.")
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
def command(patterns: tuple[str, ...], **options: Any) -> int:
    """Build packages and show which layers they share, and how many bytes a registry keeps of them.

    Bytes are compared with those of a layer for each wheel, of which nothing would be kept twice, and with what a push
    would send: to the registry of the packages' names, or that of earlier pushes, by what is known of these.
    """
    return perform_request("layers", patterns, options)
