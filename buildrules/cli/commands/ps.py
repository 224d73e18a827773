"""`buildrules ps`."""

import json
from dataclasses import asdict

import click

from buildrules.cli.harmless import harmless
from buildrules.serving.container import ADDRESS
from buildrules.serving.engine import engine_here
from buildrules.serving.started import Started, started


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(as_json: bool) -> None:
    """List the packages that `run` started on this machine, also those that have exited since.

    They are found by a label of their containers, in Docker, or in Podman where Docker does not answer.
    """
    with engine_here() as engine:
        those = started(engine)
    if as_json:
        click.echo(json.dumps({"containers": [asdict(one) for one in those]}, indent=2))
        return
    rows = [("CONTAINER", "PACKAGE", "STATUS", "ADDRESS"), *map(_row, those)] if those else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if not rows:
        click.echo("no package runs that buildrules started")


def _row(one: Started) -> tuple[str, str, str, str]:
    urls = [f"http://{ADDRESS}:{port}" for port in (one.ports or {}).values()]
    address = "network of this machine" if one.ports is None else ", ".join(urls)
    return harmless(one.name), harmless(one.label), harmless(one.status), address
