"""`buildrules build`."""

from typing import Any

import click

from buildrules.cli.main import perform_request
from buildrules.cli.options import PatternCommand, building, pattern_argument


class _Build(PatternCommand):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            left = super().parse_args(ctx, args)
            if not ctx.params["patterns"] and not ctx.params["package"]:
                raise click.MissingParameter
            return left
        except click.MissingParameter as error:
            raise click.UsageError("no targets given; 'buildrules build //...' builds them all", ctx) from error


@click.command(cls=_Build, short_help="build targets")
@pattern_argument(required=False)
@building
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--trace", type=click.Path(dir_okay=False), help="Write a trace for chrome://tracing or Perfetto.")
def command(patterns: tuple[str, ...], **options: Any) -> int:
    """Build targets and print what was built, reused and why.

    \b
    //models:regressor   one target           //models:all     all of a BUILD.yaml
    //models             //models:models      //models/...     all below a directory
    :regressor           in this directory    -//models:old    all but this one

    With --package a file of Azure ML is built as it stands, without a BUILD.yaml.
    """
    return perform_request("build", patterns, options)
