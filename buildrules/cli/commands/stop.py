"""`buildrules stop`."""

import click

from buildrules.cli.harmless import harmless
from buildrules.cli.named import named
from buildrules.errors import UsageError
from buildrules.serving.container import Container
from buildrules.serving.engine import engine_here
from buildrules.serving.started import started


@click.command()
@click.argument("names", nargs=-1, metavar="[CONTAINER|LABEL]...")
@click.option("--all", "everything", is_flag=True, help="Stop all that `buildrules ps` lists.")
@click.option(
    "-t",
    "--time",
    "seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds until it is killed.",
)
def command(names: tuple[str, ...], everything: bool, seconds: float) -> None:
    """Stop packages that `run` started, and remove their containers.

    CONTAINER is a name that `buildrules ps` lists; a label stands for all containers of that package.
    """
    if bool(names) == everything:
        raise UsageError(
            "name what is to be stopped, or say --all, not both" if names else "nothing is named that is to be stopped",
            hint="`buildrules ps` lists what there is; --all stops all of it",
        )
    with engine_here() as engine:
        for one in started(engine) if everything else named(engine, names):
            container = Container.of(engine, one.name, one.label)
            container.grace = seconds
            ended = container.stop()
            how = f", killed: {ended.killed}" if ended is not None and ended.killed else ""
            click.echo(harmless(f"stopped {one.label} (container {one.name}){how}"))
