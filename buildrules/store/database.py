"""The table's rows in diskcache: `str` keys, `bytes` values, nothing else.

diskcache pickles by default and evicts silently (CVE-2025-69872); `_SafeDisk` refuses both, so a hostile or damaged
database can only lose entries. One that cannot be opened is moved out of the way and begun anew. Imported by those
who write many rows, list or delete them; a single row is read in `store.table` without diskcache.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import Any

import diskcache

MODE_RAW = 1  # diskcache.core.MODE_RAW
NAME = "cache.db"  # diskcache.core.DBNAME
LARGEST = 30_000  # bytes; diskcache puts longer values into files of their own, which are never synced
_PATIENCE = 10.0  # seconds to wait for a database that others hold

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR})
ERRORS = (sqlite3.Error, diskcache.Timeout, ValueError, TypeError, OSError)
"""What the methods of `Database` raise."""


class _SafeDisk(diskcache.Disk):  # type: ignore[misc]
    """Stores text keys and bytes values in the row itself; reads nothing else."""

    def put(self, key: Any) -> tuple[Any, bool]:
        if not isinstance(key, str):
            raise TypeError(f"table keys are text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: bool) -> Any:
        if not raw or not isinstance(key, str):
            raise ValueError("a key of a foreign type in the table")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, None, Any]:
        if read or not isinstance(value, bytes) or len(value) > LARGEST:
            raise TypeError("table values are bytes of at most 30,000")
        return 0, MODE_RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> bytes:
        if mode != MODE_RAW or filename is not None or not isinstance(value, bytes):
            raise ValueError("a value of a foreign type in the table")
        return value


class Database:
    """One opened database. Safe for several processes and threads on a local file system. Raises `ERRORS`."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._cache = self._open()

    def _open(self) -> Any:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._connect()
            except (sqlite3.DatabaseError, diskcache.Timeout) as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code in _DAMAGE:  # the file itself is at fault, and not a lock, a mode or a full disk
                    self._set_aside()
                    return self._connect()
                busy = isinstance(error, diskcache.Timeout) or code in _BUSY
                if not busy or time.monotonic() >= deadline:
                    raise
                time.sleep(0.02)  # another process is making the table

    def _connect(self) -> Any:
        os.makedirs(self._directory, exist_ok=True)
        return diskcache.Cache(
            self._directory,
            timeout=10,
            disk=_SafeDisk,
            eviction_policy="none",
            cull_limit=0,
            size_limit=1 << 62,
            statistics=0,
            sqlite_synchronous=1,
        )

    def _set_aside(self) -> None:
        for name in (NAME, f"{NAME}-wal", f"{NAME}-shm"):
            path = os.path.join(self._directory, name)
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, f"{path}.corrupt")

    def set_many(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Write all in one transaction."""
        with self._cache.transact():
            for key, value in items:
                self._cache.set(key, value)

    def delete(self, key: str) -> None:
        """Forget one."""
        self._cache.delete(key)

    def __iter__(self) -> Iterator[str]:
        """All keys, in their order as text."""
        for key in self._cache.iterkeys():
            if isinstance(key, str):
                yield key

    def written_before(self, limit: float) -> list[str]:
        """The keys of the rows that were written before `limit` (Unix time)."""
        path = os.path.join(self._directory, NAME)
        with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE)) as reader:  # diskcache does not tell the time
            rows = reader.execute("SELECT key FROM Cache WHERE store_time < ?", (limit,)).fetchall()
        return [key for (key,) in rows if isinstance(key, str)]

    def close(self) -> None:
        """Close the database."""
        self._cache.close()
