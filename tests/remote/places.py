"""Places for the tests of what is common to all: one that fails as told, in this process."""

import hashlib
import os
import random
from collections.abc import Callable, Collection, Iterator, Sequence

from buildrules.remote.backend import Backend, Blob, Body, Entry, RemoteError
from buildrules.remote.guarded import Guarded

MIB = 1 << 20


def blob_of(data: bytes) -> Blob:
    """What names `data`."""
    return Blob("sha256:" + hashlib.sha256(data).hexdigest(), len(data))


def key() -> str:
    """A key that nobody else has."""
    return os.urandom(32).hex()


def content(backend: Backend, size: int) -> tuple[Blob, bytes]:
    """Random content that is there."""
    data = random.randbytes(size)
    blob = blob_of(data)
    backend.content.write(blob, lambda: [data])
    return blob, data


class Scripted:
    """Keeps all in memory. Each entry of `faults` meets one request: an error, or where a read breaks off."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.content: dict[str, bytes] = {}
        self.faults: list[BaseException | int | None] = []
        self.asked: list[str] = []

    def _ask(self, what: str) -> int | None:
        self.asked.append(what)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, BaseException):
            raise fault
        return fault

    def get(self, key: str) -> bytes | None:
        self._ask(f"get {key[:4]}")
        return self.records.get(key)

    def put(self, key: str, data: bytes, blobs: Sequence[Blob], *, replace: bool = False) -> None:
        self._ask(f"put {key[:4]}")
        if replace or key not in self.records:
            self.records[key] = data

    def holds(self, blobs: Collection[Blob]) -> set[str]:
        self._ask(f"holds {len(blobs)}")
        return {blob.digest for blob in blobs if blob.digest in self.content}

    def read(self, blob: Blob, offset: int = 0) -> Iterator[bytes]:
        cut = self._ask(f"read {offset}")
        if blob.digest not in self.content:
            raise FileNotFoundError(blob.digest)
        data = self.content[blob.digest]
        for at in range(offset, len(data), 1 << 20):
            if cut is not None and at >= cut:
                raise RemoteError("torn", retry=True)
            yield data[at : at + (1 << 20)]

    def write(self, blob: Blob, body: Body) -> None:
        self._ask(f"write {blob.size}")
        self.content[blob.digest] = b"".join(body())

    def entries(self) -> Iterator[Entry]:
        yield from (Entry("content", digest, len(data), 0.0) for digest, data in self.content.items())

    def remove(self, entry: Entry) -> None:
        self.content.pop(entry.name, None)


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


class Lab:
    """A guarded scripted place, its clock and what it told."""

    def __init__(self, batch: int = 1, change: Callable[[Backend], Backend] = lambda place: place) -> None:
        self.place = Scripted()
        self.clock = Clock()
        self.told: list[str] = []
        backend = change(Backend("test://place", self.place, self.place, self.place, batch=batch))
        self.guarded = Guarded(backend, self.told.append, clock=self.clock, wait=self.clock.wait)
