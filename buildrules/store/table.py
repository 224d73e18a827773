"""A small key-value table: `str` keys, `bytes` values, nothing else.

Rows stand in a database of diskcache (`store.database`). A single row is appended to a log beside it and folded in
later, and it is read with sqlite3 alone: importing diskcache takes longer than an edited script may. Every database
error is a miss. Each value carries a checksum, for SQLite has none: a damaged row is a miss and never another value.
"""

import contextlib
import os
import threading
import zlib
from collections.abc import Callable, Iterable

from buildrules.store.tablelog import TableLog
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from buildrules.store.database import Database

_LARGEST = 30_000  # bytes of a value; see store.database
_SMALL = 256 << 10  # bytes that the log may have when a process ends
_PATIENCE = 10.0  # seconds to wait for a database that others hold
_SELECT = "SELECT value FROM Cache WHERE key = ? AND raw = 1 AND mode = 1 AND filename IS NULL"


def _sealed(key: str, value: bytes) -> bytes:
    """The value behind the CRC-32 of key and value."""
    return zlib.crc32(value, zlib.crc32(key.encode("utf-8", "surrogateescape"))).to_bytes(4, "big") + value


def _opened(key: str, row: bytes) -> bytes | None:
    """The value of a row that `_sealed` wrote for this key, else None."""
    value = row[4:]
    return value if _sealed(key, value) == row else None


class Table:
    """Opened at first use. Safe for several processes and threads on a local file system."""

    largest = _LARGEST - 4

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._log = TableLog(os.path.join(directory, "log"))
        self._lock = threading.RLock()
        self._reader: sqlite3.Connection | None = None
        self._database: Database | None = None

    def get(self, key: str) -> bytes | None:
        """The value, or None where there is none or it cannot be read."""
        row: object = self._log.rows.get(key) or self._read(key)
        return _opened(key, row) if isinstance(row, bytes) else None

    def _read(self, key: str) -> object:
        with self._lock:
            if self._reader is None:
                path = os.path.join(self.directory, "cache.db")
                if not os.path.exists(path):
                    return None
            import _sqlite3 as sqlite  # what sqlite3 adds, conversions of dates among it, takes longer than a read

            try:
                if self._reader is None:
                    self._reader = sqlite.connect(
                        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
                    )
                row = self._reader.execute(_SELECT, (key,)).fetchone()
            except (sqlite.Error, ValueError):
                self._forget_reader()
                return None
            return row[0] if row else None

    def _forget_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def set(self, key: str, value: bytes) -> bool:
        """Write one, to the log. False where it is refused; nothing is raised."""
        if not isinstance(key, str) or not isinstance(value, bytes) or len(value) > self.largest:
            return False
        try:
            self._log.append(key, _sealed(key, value))
        except OSError:
            return False
        return True

    def set_many(self, items: Iterable[tuple[str, bytes]]) -> bool:
        """Write all in one transaction, to the database. False where it refused; nothing is raised."""
        return self._written(lambda database: database.set_many((key, _sealed(key, value)) for key, value in items))

    def delete(self, key: str) -> None:
        """Forget one."""
        self._written(lambda database: database.delete(key))

    def keys(self, prefix: str = "") -> list[str]:
        """All keys that begin with `prefix`, in their order."""
        found: list[str] = []
        self._written(lambda database: found.extend(key for key in database if key.startswith(prefix)))
        return found

    def written_before(self, limit: float, prefix: str) -> list[str]:
        """The keys that begin with `prefix` and were written before `limit` (Unix time)."""
        found: list[str] = []
        self._written(lambda database: found.extend(database.written_before(limit)))
        return [key for key in found if key.startswith(prefix)]

    def _written(self, use: "Callable[[Database], object]") -> bool:
        """Use the database, with the log folded in. False where it raises something: that costs time, nothing else."""
        from buildrules.store.database import ERRORS, Database

        with contextlib.suppress(*ERRORS), self._lock:
            if self._database is None:
                self._forget_reader()  # a damaged file is moved out of the way now
                self._database = Database(self.directory)
            database = self._database
            self._log.fold(lambda rows: database.set_many(rows.items()))
            use(database)
            return True
        return False

    def close(self) -> None:
        """Fold a log that has become long, and close everything."""
        if self._log.size > _SMALL:
            self._written(lambda _: None)
        with self._lock:
            self._forget_reader()
            if self._database is not None:
                self._database.close()
                self._database = None
            self._log.close()
