"""`buildrules cache` with a place elsewhere: what there is, who wrote it, what is sound, what may go."""

import time
from collections.abc import Callable, Sequence
from itertools import groupby

import click

from buildrules.cli.errand import Errand
from buildrules.cli.harmless import harmless
from buildrules.cli.report import size_text
from buildrules.cli.sharing import settings_of
from buildrules.engine import upkeep
from buildrules.engine.inventory import Inventory, Written
from buildrules.errors import UsageError
from buildrules.remote.opening import open_backend
from buildrules.workspace.trust import open_trust


class Upkeep:
    """One place elsewhere and what is done to it. `errand` shows progress and has the connections."""

    def __init__(self, errand: Errand, inventory: Inventory) -> None:
        self._errand = errand
        self._inventory = inventory

    def info(self) -> None:
        """Say how much there is."""
        entries = self._inventory.entries()
        click.echo(f"cache      {self._inventory.url}")
        for kind in ("record", "content"):
            found = [entry for entry in entries if entry.kind == kind]
            oldest = f", oldest of {_day(min(entry.written for entry in found))}" if found else ""
            name = "records" if kind == "record" else "content"
            click.echo(f"{name:10} {len(found)}, {size_text(sum(entry.size for entry in found))}{oldest}")
        if entries and self._inventory.url.startswith("oci:") and not found:
            click.echo("           (content that images of the repository may be made of is checked, and not listed)")

    def audit(self, *, each: bool) -> int:
        """Say what was written by whom; the exit code: 1 where nobody who is trusted has signed something."""
        found = upkeep.read_all(self._inventory, self._inventory.entries(), self._errand.progress)
        rows = sorted(found, key=lambda one: (one.writer, one.namespace, one.wrong, one.holds, one.entry.written))
        if each:
            titles = dict(one.about for one in found if one.about is not None and not one.wrong)
            for one in rows:
                parts = [_when(one.entry.written), _who(one), one.holds, f"{one.entry.size} B", one.entry.name[:12]]
                _say("  ".join([*parts, *filter(None, [titles.get(one.key)])]))
        for _, group in groupby(rows, key=_who):
            same = list(group)
            first, last = (_day(pick(one.entry.written for one in same)) for pick in (min, max))
            size = size_text(sum(one.entry.size for one in same) + _content_size(same))
            _say(f"{_who(same[0])}: {len(same)} records with content of {size}, {first} to {last}")
            for holds, alike in groupby(same, key=lambda one: one.holds):
                _say(f"  {len(list(alike)):6} {holds or '?'}")
        wrong = sum(bool(one.wrong) for one in found)
        click.echo(f"{len(found)} records, {wrong} without a trusted signature")
        return 1 if wrong else 0

    def verify(self) -> int:
        """Hash all content, and remove what is something else and records that lack some; 1 where there was any."""
        found = upkeep.verify(self._inventory, self._errand.progress)
        for name in found.lacking:
            click.echo(f"record without its content, removed: {name}")
        for digest in found.removed:
            click.echo(f"corrupt, removed: {digest}")
        for digest in found.left:
            click.echo(f"corrupt, left to the server to remove: {digest}")
        corrupt, lacking = len(found.removed) + len(found.left), len(found.lacking)
        click.echo(f"{found.checked} blobs checked, {corrupt} corrupt; {lacking} records without their content")
        return 1 if corrupt or lacking else 0

    def expire(self, *, records: float, content: float, dry_run: bool) -> None:
        """Remove records and content that are older than so many seconds, unless a younger record names them."""
        progress = self._errand.progress
        found = upkeep.expire(self._inventory, progress, records=records, content=content, dry_run=dry_run)
        _say_dropped(found, dry_run=dry_run)

    def shrink(self, high: int, low: int, *, dry_run: bool) -> None:
        """Where there are more than `high` bytes, remove records, oldest first, until `low` are left."""
        found = upkeep.shrink(self._inventory, self._errand.progress, high, low, dry_run=dry_run)
        _say_dropped(found, dry_run=dry_run)


def each_place(remote: str, do: Callable[[Upkeep], int | None]) -> int:
    """Do something to the place at the URL `remote`, or to each of the workspace where that is "".

    Returns the highest exit code. Raises UsageError, FetchError, CredentialsError.
    """
    with Errand() as errand:
        cache = errand.settings.shared_cache() if errand.settings is not None else {}
        urls = [remote] if remote else settings_of(cache).get("remote", [])
        if not urls:
            raise UsageError(
                "no shared cache is named here", hint="name one: --remote URL, or workspace.cache.remote in BUILD.yaml"
            )
        trust = open_trust({**cache, "signatures": "require"}, errand.workspace)
        strict = cache.get("signatures") == "require"
        worst = 0
        for url in urls:
            place = open_backend(url, errand.session, cache.get("connection"))
            try:
                worst = max(worst, do(Upkeep(errand, Inventory(place, trust, strict=strict))) or 0)
            finally:
                place.close()
        return worst


def _content_size(records: Sequence[Written]) -> int:
    return sum({blob.digest: blob.size for one in records for blob in one.needs or ()}.values())


def _who(one: Written) -> str:
    standing = f", {one.wrong}" if one.wrong else ""
    return f"{one.writer or '(unsigned)'} in {one.namespace or '?'}{standing}"


def _say_dropped(found: upkeep.Dropped, *, dry_run: bool) -> None:
    said = "would remove" if dry_run else "removed"
    counts = f"{found.content} blobs and {found.records} records"
    click.echo(f"{said} {counts}, {size_text(found.size)}; {size_text(found.stays)} are left")


def _say(text: str) -> None:
    click.echo(harmless(text.replace("\n", " ")))


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))
