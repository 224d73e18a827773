"""The stat index: which digest a file had when it had this stat.

A row is (dev, ino, size, mtime_ns, ctime_ns) -> digest. ctime is in the row because a file moved
over another keeps its mtime. A file modified less than two seconds before it was hashed could change
again within the clock's resolution, so its row is not trusted (git calls such entries racy). A small file has no row
in the table: reading it costs no more than reading its row, and the state of its workspace has its digest.
"""

import os
import time
from collections.abc import Callable, Sequence

from buildrules.sha256 import hex_digest
from buildrules.state.rows import RACY_NS, Stat, modified
from buildrules.store.table import Table

__all__ = ["KEPT", "RACY_NS", "Stat", "StatIndex", "stat_row"]

KEPT = 64 << 10
"""Files of at least as many bytes have rows in the table."""


_PREFIX = "s:"


def stat_row(stat: os.stat_result) -> Stat:
    """The part of a stat result that a change to the file cannot leave as it was."""
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class StatIndex:
    """Digests by absolute path and variant. Reads go to memory first, then to the table; writes wait for `flush`."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: dict[tuple[str, str], tuple[Stat, str]] = {}
        self._unsaved: dict[tuple[str, str], tuple[Stat, str]] = {}
        self.racy: set[str] = set()

    def take(self, path: str, row: Stat, digest: str, variant: str = "") -> None:
        """Take a digest that was kept elsewhere, and was trusted then."""
        self._known[path, variant] = (row, digest)

    def take_joint(self, folder: str, files: Sequence[tuple[str, int, Stat]], digest: str, variant: str) -> None:
        """The same for a digest of `joint`."""
        self._known[folder, variant] = (_joint_row(files), digest)

    def digest(self, path: str, row: Stat, compute: Callable[[], str], variant: str = "") -> str:
        """The digest of the file at `path` with this row; `compute` is called where no digest of it is trusted.

        `variant` tells digests of different kinds apart ("" is the plain sha256 of the content).
        """
        return self._digest((path, variant), row, compute, [(path, row)])

    def joint(
        self, folder: str, files: Sequence[tuple[str, int, Stat]], compute: Callable[[], str], variant: str
    ) -> str:
        """The digest of all `files` together: (path, mode, row) each, in order, below `folder`. Else as `digest`."""
        together = [(path, row) for path, _, row in files]
        return self._digest((folder, variant), _joint_row(files), compute, together)

    def _digest(
        self, key: tuple[str, str], row: Stat, compute: Callable[[], str], files: Sequence[tuple[str, Stat]]
    ) -> str:
        known = self._known.get(key)
        if known is None and row[2] >= KEPT:
            known = self._load(key)
        if known is not None and known[0] == row:
            self._known[key] = known
            return known[1]
        began = time.time_ns()
        digest = compute()
        self._known[key] = (row, digest)
        for path, one in [*files, (key[0], row)]:
            if began - modified(one, began) < RACY_NS:
                self.racy.add(path)
            else:
                self.racy.discard(path)
        if row[2] >= KEPT and key[0] not in self.racy:
            self._unsaved[key] = (row, digest)
        return digest

    def _load(self, key: tuple[str, str]) -> tuple[Stat, str] | None:
        value = self._table.get(_name(key))
        if value is None:
            return None
        try:
            *numbers, digest = value.decode().split(" ")
            dev, ino, size, mtime, ctime = map(int, numbers)
        except ValueError:
            return None
        return (dev, ino, size, mtime, ctime), digest

    def noted_before(self, limit: float) -> list[tuple[str, str]]:
        """(path, name of the row in the table) of what was noted before `limit` (Unix time)."""
        rows = self._table.written_before(limit, _PREFIX)
        return [(row.removeprefix(_PREFIX).partition("\0")[0], row) for row in rows]

    def flush(self) -> None:
        """Write the new rows in one transaction."""
        if self._unsaved:
            rows = [
                (_name(key), " ".join([*map(str, row), digest]).encode())
                for key, (row, digest) in list(self._unsaved.items())
            ]
            self._table.set_many(rows)
            self._unsaved.clear()


def _joint_row(files: Sequence[tuple[str, int, Stat]]) -> Stat:
    """One row for many files: no change to any of them leaves it as it was."""
    mark = hex_digest(repr(files).encode())
    rows = [row for _, _, row in files]
    return (
        len(rows),
        int(mark, 16),
        sum(row[2] for row in rows),
        max(row[3] for row in rows),
        max(row[4] for row in rows),
    )


def _name(key: tuple[str, str]) -> str:
    return f"{_PREFIX}{key[0]}\0{key[1]}"
