"""`buildrules build`."""

from typing import Any

import click

from buildrules.cli.main import perform_request
from buildrules.cli.options import NeedsPatterns, building, explain_option, pattern_argument, tag_option


@click.command(name="build", cls=NeedsPatterns)
@pattern_argument
@tag_option
@building
@explain_option
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--steps", type=click.Path(file_okay=False), help="Write each step that runs to a file in this folder.")
def command(patterns: tuple[str, ...], **options: Any) -> int:
    """Build targets and print what was built, reused and why.

    \b
    //models:regressor   one target           //models:all     all of a BUILD.yaml
    //models             //models:models      //models/...     all below a directory
    :regressor           in this directory    -//models:old    all but this one

    With --package a file of Azure ML is built as it stands, without a BUILD.yaml.
    """
    return perform_request("build", patterns, options)
