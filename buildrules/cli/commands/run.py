"""`buildrules run`."""

from typing import Any

import click

from buildrules.cli.given import check
from buildrules.cli.groups import GroupedCommand
from buildrules.cli.main import perform_request
from buildrules.cli.options import building_to_run, gpus_option, label_argument
from buildrules.cli.request import Request


@click.command(cls=GroupedCommand)
@label_argument
@building_to_run
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
    "--env-file",
    multiple=True,
    type=click.Path(dir_okay=False),
    help="Set the variables of a file of NAME=VALUE lines; --env wins.",
)
@click.option(
    "-v",
    "--volume",
    multiple=True,
    metavar="SOURCE:PLACE[:ro]",
    help="Mount a file or folder of this machine, or a volume of the engine.",
)
@gpus_option
@click.option("--network", metavar="NAME", help="Network of the engine to be in; `host` for this machine's own.")
@click.option("--name", metavar="NAME", help="Name of the container (default: one that is free).")
@click.option(
    "--timeout", type=float, metavar="SECONDS", default=60.0, show_default=True, help="Seconds to wait for readiness."
)
@click.option("-d", "--detach", is_flag=True, help="Leave it running and return.")
def command(label: str | None, **options: Any) -> int:
    """Build one package, load it into Docker, start it, wait until it is ready and print how to call it.

    Follows the logs; Ctrl-C stops and removes the container. What -d leaves running is listed by `buildrules ps`, and
    ended by `buildrules stop`. Docker is used, or Podman where it does not answer.
    """
    for name in ("env", "env_file", "volume"):
        options[name] = list(options[name])
    check(Request("run", [], options))
    return perform_request("run", (label,), options)
