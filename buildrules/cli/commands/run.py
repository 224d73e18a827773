"""`buildrules run`."""

from typing import Any

import click

from buildrules.cli.given import check
from buildrules.cli.groups import GroupedCommand
from buildrules.cli.main import perform_request
from buildrules.cli.options import building_to_run, gpus_option, label_argument
from buildrules.cli.request import Request

_ENTER = "to look inside: buildrules load LABEL, then docker run --rm -it --entrypoint python3 IMAGE"
_NOT_HERE = {
    "--rm": "the container is removed when it ends; what -d leaves running, by buildrules stop",
    **dict.fromkeys(("-i", "-t", "--interactive", "--tty", "--entrypoint"), _ENTER),
}
"""Options of `docker run` that many will try, and what to do instead."""


class _Port(click.IntRange):
    """A port of this machine; says so to who writes two, as for Docker."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        host, colon, _ = str(value).rpartition(":")
        if colon:
            port = host.rpartition(":")[2]
            meant = f": -p {port}" if port.isdecimal() else ""
            self.fail(f"'{value}' is not one number; the package's own port is known{meant}", param, ctx)
        return super().convert(value, param, ctx)


class _Run(GroupedCommand):
    """Says what there is instead of Docker's options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in _NOT_HERE:
                raise
            raise click.UsageError(f"no option '{error.option_name}': {_NOT_HERE[error.option_name]}", ctx) from error


@click.command(cls=_Run)
@label_argument
@building_to_run
@click.option(
    "-p",
    "--port",
    type=_Port(0, 65535),
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
