"""Chunks of bytes as a file, for libraries that read one."""

import io
from collections.abc import Iterable, Iterator
from typing import Any

from buildrules.store.blobs import CHUNK

XZ_MEMORY = 100 << 20
"""Bytes that unpacking xz may take, most of it for the dictionary that the file asks for: `xz -9` asks for 64 MiB."""


def chunk_file(chunks: Iterable[bytes]) -> io.BufferedReader:
    """A file to be read once, from front to back; it asks for a chunk when it needs one."""
    return io.BufferedReader(_Chunks(iter(chunks)), CHUNK)


class _Chunks(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
