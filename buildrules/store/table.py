"""A small key-value table in diskcache: `str` keys, `bytes` values, nothing else.

diskcache pickles by default and evicts silently (CVE-2025-69872); `_SafeDisk` refuses both, so a
hostile or damaged table can only lose entries. Every database error is a miss. A table that cannot
be opened is moved aside and begun anew. Each value carries a checksum, for SQLite has none: a damaged
row is a miss and never another value.
"""

import contextlib
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import diskcache

_MODE_RAW = 1  # diskcache.core.MODE_RAW
_LARGEST = 30_000  # bytes; diskcache puts longer values into files of their own, which are never synced


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
        if read or not isinstance(value, bytes) or len(value) > _LARGEST:
            raise TypeError("table values are bytes of at most 30,000")
        return 0, _MODE_RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> bytes:
        if mode != _MODE_RAW or filename is not None or not isinstance(value, bytes):
            raise ValueError("a value of a foreign type in the table")
        return value


def _sealed(key: str, value: bytes) -> bytes:
    """The value behind the CRC-32 of key and value."""
    return zlib.crc32(value, zlib.crc32(key.encode("utf-8", "surrogateescape"))).to_bytes(4, "big") + value


def _opened(key: str, row: bytes) -> bytes | None:
    """The value of a row that `_sealed` wrote for this key, else None."""
    value = row[4:]
    return value if _sealed(key, value) == row else None


_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR})
_PATIENCE = 10.0  # seconds to wait for a database that others hold


def _code(error: Exception) -> int:
    """SQLite's primary result code, 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_busy(error: Exception) -> bool:
    return isinstance(error, diskcache.Timeout) or _code(error) in _BUSY


def _is_damage(error: Exception) -> bool:
    """Whether the file itself is at fault. One that is locked, read-only or on a full disk is not."""
    return _code(error) in _DAMAGE


_MISS = (sqlite3.Error, diskcache.Timeout, ValueError, TypeError, OSError)


class Table:
    """Opened at first use. Safe for several processes and threads on a local file system."""

    largest = _LARGEST - 4

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._cache: Any = None

    def _open(self) -> Any:
        if self._cache is None:
            deadline = time.monotonic() + _PATIENCE
            while self._cache is None:
                try:
                    self._cache = self._connect()
                except (sqlite3.DatabaseError, diskcache.Timeout) as error:
                    if _is_damage(error):
                        self._set_aside()
                        self._cache = self._connect()
                    elif _is_busy(error) and time.monotonic() < deadline:
                        time.sleep(0.02)  # another process is making the table
                    else:
                        raise
        return self._cache

    def _connect(self) -> Any:
        os.makedirs(self.directory, exist_ok=True)
        return diskcache.Cache(
            self.directory,
            timeout=10,
            disk=_SafeDisk,
            eviction_policy="none",
            cull_limit=0,
            size_limit=1 << 62,
            statistics=0,
            sqlite_synchronous=1,
        )

    def _set_aside(self) -> None:
        for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
            path = os.path.join(self.directory, name)
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, f"{path}.corrupt")

    def get(self, key: str) -> bytes | None:
        """The value, or None where there is none or it cannot be read."""
        try:
            value = self._open().get(key, default=None)
        except _MISS:
            return None
        return _opened(key, value) if isinstance(value, bytes) else None

    def set_many(self, items: Iterable[tuple[str, bytes]]) -> bool:
        """Write all in one transaction. False where the database refused; nothing is raised."""
        try:
            cache = self._open()
            with cache.transact():
                for key, value in items:
                    cache.set(key, _sealed(key, value))
        except _MISS:
            return False
        return True

    def set(self, key: str, value: bytes) -> bool:
        """Write one. False where the database refused; nothing is raised."""
        try:
            return bool(self._open().set(key, _sealed(key, value)))
        except _MISS:
            return False

    def delete(self, key: str) -> None:
        """Forget one."""
        with contextlib.suppress(*_MISS):
            self._open().delete(key)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with `prefix`, in the order they were written."""
        try:
            for key in self._open().iterkeys():
                if isinstance(key, str) and key.startswith(prefix):
                    yield key
        except _MISS:
            return

    def close(self) -> None:
        """Close the database, if it was opened."""
        if self._cache is not None:
            with contextlib.suppress(*_MISS):
                self._cache.close()
            self._cache = None
