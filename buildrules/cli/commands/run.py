"""`buildrules run`."""

from typing import Any

import click

from buildrules.cli.groups import GroupedCommand
from buildrules.cli.main import perform_request
from buildrules.cli.options import building, label_argument


@click.command(cls=GroupedCommand)
@label_argument
@building
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    metavar="NUMBER",
    default=0,
    help="Port on 127.0.0.1 (default: a free one).",
)
@click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="Set a variable in the container.")
@click.option(
    "--timeout", type=float, metavar="SECONDS", default=60.0, show_default=True, help="Seconds to wait for readiness."
)
@click.option("-d", "--detach", is_flag=True, help="Leave it running and return.")
def command(label: str | None, **options: Any) -> int:
    """Build one package, load it into Docker, start it, wait until it is ready and print how to call it.

    Follows the logs; Ctrl-C stops and removes the container.
    """
    options["env"] = list(options["env"])
    return perform_request("run", (label,), options)
