"""`buildrules query`."""

import click

from buildrules.cli.options import config_option
from buildrules.cli.query import OUTPUTS


@click.command()
@click.argument("expression", nargs=-1, metavar="[EXPR]")
@click.option(
    "-o", "--output", type=click.Choice(OUTPUTS), default=OUTPUTS[0], show_default=True, help="What to print."
)
@config_option
def command(expression: tuple[str, ...], output: str, configurations: tuple[str, ...]) -> None:
    """Ask which targets there are and who needs whom; without EXPR all are listed.

    EXPR is a pattern, a function of others - deps(X), rdeps(//..., X), allpaths(X, Y), somepath(X, Y), kind(RE, X),
    attr(NAME, RE, X), filter(RE, X), inputs(X), tests(X) - or some joined by + (or), - (without) and ^ (and).

    With --output inputs the files that a build of these targets opens are listed.
    """
    from buildrules.cli.query import answer
    from buildrules.cli.shortly import write

    write(answer(" ".join(expression), output, configurations))
