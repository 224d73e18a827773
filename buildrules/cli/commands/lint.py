"""`buildrules lint`."""

from typing import Any

import click

from buildrules.cli.main import perform_request
from buildrules.cli.options import PatternCommand, building, pattern_argument, tag_option
from buildrules.lints.finding import NAMES

_LISTED = "\n".join(f"    {name:<16} {about}" for name, about in NAMES.items())


@click.command(
    cls=PatternCommand,
    help=f"""Look for what is likely wrong in packages (all by default), without building their images.

    What has to be looked into is built: models are hashed, wheels fetched. Exit code 1 means that something was found
    that is an error.

    \b
{_LISTED}

    A line with `buildrules: ignore` is not searched for secrets; `lint_ignore` of a package leaves lints out.
    """,
)
@pattern_argument
@tag_option
@building
@click.option("--strict", is_flag=True, help="Fail for warnings as well.")
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
def command(patterns: tuple[str, ...], **options: Any) -> int:
    """Look for what is likely wrong."""
    everything = () if options["package"] else ("//...",)
    return perform_request("lint", patterns or everything, {**options, "keep_going": True})
