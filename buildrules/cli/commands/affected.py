"""`buildrules affected`."""

from typing import Any

import click

from buildrules.cli.affected_output import OUTPUTS
from buildrules.cli.options import config_option, tag_option
from buildrules.errors import UsageError


def _labels(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Raise UsageError for an option that was taken for a label."""
    for value in values:
        if value.startswith("-"):
            raise UsageError(f"--why needs a LABEL, not '{value}'", hint="write --why //models:name")
    return values


class _Number(click.IntRange):
    """Of shards; who writes I/N is told which command takes that."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """As click has it."""
        if isinstance(value, str) and "/" in value:
            number, _, count = value.partition("/")
            hint = f"write --shards {count or 4}; part {number} of them is run by `test --affected --shards {value}`"
            raise UsageError(f"'{value}' is one part: all parts are listed, by their number", hint=hint)
        return int(super().convert(value, param, ctx))


@click.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--since", required=True, metavar="REV", help="A revision of git; REV... is where HEAD and REV parted.")
@click.option("--committed", is_flag=True, help="Leave out what is not committed.")
@click.option("--tests", is_flag=True, help="The tests that would run again, instead of what would be built again.")
@click.option("--with-tests", is_flag=True, help="Both, each test beside its package: for jobs that build and test.")
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default=OUTPUTS[0], help="What to print.")
@click.option("--shards", type=_Number(1, 256), metavar="N", help="In N parts that take about as long.")
@config_option
@tag_option
@click.option(
    "--why",
    multiple=True,
    metavar="LABEL",
    callback=_labels,
    help="Say what of this one changed, and in which steps; can be repeated.",
)
def command(
    patterns: tuple[str, ...],
    since: str,
    committed: bool,
    tests: bool,
    with_tests: bool,
    output: str,
    shards: int | None,
    configurations: tuple[str, ...],
    with_tags: tuple[str, ...],
    why: tuple[str, ...],
) -> None:
    """List the packages, environments and bases that a change touches: what `build` would make anew.

    The change is all that differs between the revision and the files here, committed or not; what git ignores is not
    seen. It counts by what is made of it: a comment in a BUILD.yaml touches nothing, a new version in a lock what
    contains it. Locks are taken as they are. Of a shallow clone, ask for the history that is needed.
    """
    from buildrules.cli.affected import Asked, affected, with_affected_tests
    from buildrules.cli.affected_output import written
    from buildrules.cli.shortly import write

    if why and (shards or with_tests or output != OUTPUTS[0]):
        other = "--shards" if shards else "--with-tests" if with_tests else f"--output {output}"
        raise UsageError(f"--why is answered in lines of text, without {other}", hint="leave one of them out")
    asked = Asked(list(patterns) or ["//..."], since, committed, tests, configurations, tags=with_tags)
    answer = affected(asked, why)
    write(written(with_affected_tests(answer, asked) if with_tests else answer, output, shards))
