"""`buildrules logs`."""

import sys

import click

from buildrules.cli.named import named
from buildrules.errors import Interrupted, UsageError
from buildrules.serving.container import Container
from buildrules.serving.engine import engine_here


@click.command()
@click.argument("name", metavar="CONTAINER|LABEL")
@click.option("-f", "--follow", is_flag=True, help="Go on until it exits; Ctrl-C ends this, not the package.")
@click.option("-n", "--tail", type=click.IntRange(min=0), metavar="NUMBER", help="Only the last lines.")
def command(name: str, follow: bool, tail: int | None) -> int:
    """Show what a package that `run` started has written, its standard error as ours.

    CONTAINER is a name that `buildrules ps` lists; a label stands for the one container of that package.
    """
    with engine_here() as engine:
        (one, *others) = named(engine, [name])
        if others:
            listed = ", ".join(it.name for it in (one, *others))
            raise UsageError(f"several containers run '{name}'", hint=f"name one of them: {listed}")
        try:
            for stream, line in Container.of(engine, one.name, one.label).follow(tail=tail, on=follow):
                output = sys.stderr if stream == "stderr" else sys.stdout
                output.write(line + "\n")
                output.flush()
        except (KeyboardInterrupt, Interrupted):
            if not follow:
                raise
    return 0
