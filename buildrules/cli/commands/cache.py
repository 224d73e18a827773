"""`buildrules cache`."""

import re

import click

from buildrules.cli.report import size_text
from buildrules.errors import UsageError
from buildrules.store import collect
from buildrules.store.store import Store

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@click.group()
def command() -> None:
    """Look at the store, check it, shrink it."""


@command.command()
def info() -> None:
    """Say where the store is and how large it is."""
    store = Store()
    with store.locked():
        sizes = collect.sizes(store)
    click.echo(f"store      {store.root}")
    click.echo(f"blobs      {sizes.blobs}, {size_text(sizes.blob_bytes)}")
    click.echo(f"records    {sizes.records}, {size_text(sizes.table_bytes)} with the stat index")
    click.echo(f"states     {sizes.states}, {size_text(sizes.state_bytes)}")
    if sizes.aside_bytes:
        click.echo(f"unfinished {size_text(sizes.aside_bytes)}")


@command.command()
def verify() -> int:
    """Hash every blob; remove the corrupt ones, so that the next build makes them again."""
    store = Store()
    with store.locked():
        count = collect.sizes(store).blobs
        corrupt = collect.verify(store)
    for digest in corrupt:
        click.echo(f"corrupt, removed: {digest}")
    click.echo(f"{count} blobs checked, {len(corrupt)} corrupt")
    return 1 if corrupt else 0


@command.command()
@click.option("--keep", default="14d", show_default=True, help="Keep what is younger: 12h, 14d, 4w, 0s.")
def gc(keep: str) -> None:
    """Remove what no build of the last days needs.

    What the last green builds of each workspace are made of is always kept.
    """
    store = Store()
    try:
        done = collect.collect(store, keep_seconds=_seconds(keep), wait=False)
    finally:
        store.close()
    click.echo(f"removed {done.blobs} blobs and {done.records} records, {size_text(done.bytes)}")


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)([smhdw])", text)
    if match is None:
        raise UsageError(f"not a duration: {text!r}", hint="write a number and s, m, h, d or w, such as 14d")
    return int(match[1]) * _UNITS[match[2]]
