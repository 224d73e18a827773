"""`buildrules cache`."""

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from buildrules.cli.commands import cache_key
from buildrules.cli.report import size_text
from buildrules.errors import UsageError
from buildrules.store import collect
from buildrules.store.store import Store

if TYPE_CHECKING:
    from buildrules.cli.upkeep import Upkeep

HERE = ""
"""Stands for the places of the workspace's settings."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@click.group()
def command() -> None:
    """Look at the store, check it, shrink it; keys of a shared cache."""


command.add_command(cache_key.command, "key")


_F = TypeVar("_F", bound=Callable[..., int])


def _remote(command: _F) -> _F:
    """Let a command take the address of a cache, as its argument or with --remote; as `remote`, None where neither is.

    HERE stands for --remote without an address.
    """

    @functools.wraps(command)
    def run(url: str | None, remote: str | None, **more: Any) -> int:
        if url and remote and url != remote:
            raise UsageError(f"two caches are named: {url!r} and {remote!r}", hint="do one after the other")
        return command(remote=url or remote, **more)

    option = click.option(
        "--remote",
        is_flag=False,
        flag_value=HERE,
        metavar="[URL]",
        help="Of the shared cache: at URL, or the workspace's.",
    )
    return cast("_F", option(click.argument("url", required=False)(run)))


@command.command()
@_remote
def info(remote: str | None) -> int:
    """Say where the store is and how large it is; with --remote or URL, what is in a shared cache."""
    if remote is not None:
        return _each_place(remote, lambda place: place.info())
    store = Store()
    with store.locked():
        sizes = collect.sizes(store)
    click.echo(f"store      {store.root}")
    click.echo(f"blobs      {sizes.blobs}, {size_text(sizes.blob_bytes)}")
    click.echo(f"records    {sizes.records}, {size_text(sizes.table_bytes)} with the stat index")
    click.echo(f"states     {sizes.states}, {size_text(sizes.state_bytes)}")
    for word, size in {"unfinished": sizes.tmp_bytes, **sizes.more}.items():
        if size:
            click.echo(f"{word:10} {size_text(size)}")
    return 0


@command.command()
@_remote
@click.option("--each", is_flag=True, help="A line for each record.")
def audit(remote: str | None, each: bool) -> int:
    """Say who wrote what into the shared cache at URL, the workspace's by default: kinds, bytes, when.

    The exit code is 1 where something has no signature by a key that the workspace trusts.
    """
    return _each_place(remote or HERE, lambda place: place.audit(each=each))


@command.command()
@_remote
def verify(remote: str | None) -> int:
    """Hash every blob, and interpreters that compile bytecode; remove the corrupt ones, so that the next build makes
    them again.

    With --remote or URL, records whose content is not there are removed as well.
    """
    if remote is not None:
        return _each_place(remote, lambda place: place.verify())
    from buildrules.actions.python.interpreter import mend

    store = Store()
    with store.locked():
        count = collect.sizes(store).blobs
        corrupt = collect.verify(store)
        interpreters = mend(store.blobs.store)
    for name in (*corrupt, *(f"interpreter {name}" for name in interpreters)):
        click.echo(f"corrupt, removed: {name}")
    click.echo(f"{count} blobs checked, {len(corrupt)} corrupt")
    return 1 if corrupt or interpreters else 0


@command.command()
@_remote
@click.option("--keep", metavar="AGE", help="Keep what is younger: 12h, 14d (if left out), 4w, 0s.")
@click.option("--high", metavar="SIZE", help="Instead of by age: only where the store is larger, such as 50GB.")
@click.option("--low", metavar="SIZE", help="Then remove until it has this size; four fifths of --high if left out.")
@click.option("-n", "--dry-run", is_flag=True, help="With --remote: remove nothing, say what would be.")
def gc(remote: str | None, keep: str | None, high: str | None, low: str | None, dry_run: bool) -> int:
    """Remove what no build of the last days needs, or, with --high, what was not used for longest.

    By age, what the last green builds of each workspace are made of is always kept. With --high all may go: it is made
    or fetched again where it is wanted. That may be done while builds run.

    With --remote or URL, records of a shared cache that are older than --keep (30d if left out) go, then content that
    is half as old again and named by no other record; with --high, the oldest records, with the content only they name.
    A registry removes content by its own garbage collection.
    """
    if high is None and low is not None:
        raise UsageError("--low goes with --high", hint="--high says from which size on something is removed")
    if high is not None and keep is not None:
        raise UsageError("--keep removes by age and --high by size", hint="do one after the other")
    marks = None if high is None else _marks(high, low)
    if remote is not None:
        if marks is not None:
            return _each_place(remote, lambda place: place.shrink(*marks, dry_run=dry_run))
        age = _seconds(keep or "30d")
        return _each_place(remote, lambda place: place.expire(records=age, content=1.5 * age, dry_run=dry_run))
    if dry_run:
        raise UsageError("--dry-run goes with --remote")
    store = Store()
    try:
        if marks is not None:
            _shrink(store, *marks)
        else:
            done = collect.collect(store, keep_seconds=_seconds(keep or "14d"), wait=False)
            click.echo(f"removed {done.blobs} blobs and {done.records} records, {size_text(done.bytes)}")
    finally:
        store.close()
    return 0


def _each_place(remote: str, do: "Callable[[Upkeep], int | None]") -> int:
    from buildrules.cli.upkeep import each_place

    return each_place(remote, do)


def _marks(high: str, low: str | None) -> tuple[int, int]:
    upper = _size(high)
    lower = upper * 4 // 5 if low is None else _size(low)
    if lower > upper:
        raise UsageError("--low is above --high", hint="what is removed from --high on is removed down to --low")
    return upper, lower


def _shrink(store: Store, high: int, low: int) -> None:
    from buildrules.store.watermark import shrink

    done = shrink(store, high=high, low=low)
    said = f"{size_text(done.before)} of {size_text(high)}"
    if done.before <= high:
        click.echo(f"{said}: nothing to remove")
        return
    gone = done.removed
    click.echo(f"{said}: removed {gone.blobs} blobs and {gone.records} records, {size_text(gone.bytes)}")
    if done.after > low:
        click.echo(f"{size_text(done.after)} are left: no blob is that may go now", err=True)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)([smhdw])", text)
    if match is None:
        raise UsageError(f"not a duration: {text!r}", hint="write a number and s, m, h, d or w, such as 14d")
    return int(match[1]) * _UNITS[match[2]]


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?([kMGT]?)(i?)B", text)
    if match is None:
        raise UsageError(f"not a size: {text!r}", hint="write a number and kB, MB, GB or TB, such as 50GB")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " kMGT".index(match[2] or " "))
