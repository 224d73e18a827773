"""Hashing beside reading."""

import hashlib
import threading
from queue import SimpleQueue

from buildrules.store.buffer import BUFFER, page_aligned
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from mmap import mmap


class Hasher:
    """sha256 of a stream, on a thread of its own from the second buffer on.

    Use as a context manager; read `digest()` after it. Either fill buffers of `take` and hand them to `give`, or
    `write` and `flush` in the end. Memory is bounded: at most `DEPTH` buffers and `LARGE` handed-over byte arrays.
    """

    DEPTH = 4
    LARGE = 2
    OWN = 256 << 10

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._thread: threading.Thread | None = None
        self._work: SimpleQueue[bytes | bytearray | memoryview | None] = SimpleQueue()
        self._free: SimpleQueue[mmap] = SimpleQueue()
        self._large = threading.Semaphore(self.LARGE)
        self._made = 0
        self._batch: mmap | None = None
        self._used = 0

    def __enter__(self) -> "Hasher":
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread:
            self._work.put(None)
            self._thread.join()

    def digest(self) -> str:
        """`sha256:<hex>` of all that was given."""
        return "sha256:" + self._sha256.hexdigest()

    def take(self) -> "mmap":
        """A buffer to fill."""
        if self._made < self.DEPTH and self._free.empty():
            self._made += 1
            return page_aligned()
        return self._free.get()

    def give(self, view: memoryview) -> None:
        """Hash a view of a buffer of `take`; the buffer is free afterwards."""
        self.size += len(view)
        if len(view) < BUFFER and not self._thread:
            self._sha256.update(view)
            self._free.put(view.obj)  # type: ignore[arg-type]
            return
        self._hand_over(view)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hash `data`. Large bytes are not copied: a bytearray must not be changed afterwards."""
        if len(data) >= self.OWN and isinstance(data, bytes | bytearray):
            self.flush()
            self.size += len(data)
            self._large.acquire()
            self._hand_over(data)
            return
        done, length = 0, len(data)
        while done < length:
            if self._batch is None:
                self._batch, self._used = self.take(), 0
            count = min(length - done, BUFFER - self._used)
            self._batch[self._used : self._used + count] = (
                data if count == length else memoryview(data)[done : done + count]
            )
            self._used += count
            done += count
            if self._used == BUFFER:
                self.flush()

    def flush(self) -> None:
        """Hand over what `write` has gathered."""
        if self._batch is not None:
            self.give(memoryview(self._batch)[: self._used])
            self._batch = None

    def _hand_over(self, data: bytes | bytearray | memoryview) -> None:
        if not self._thread:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._work.put(data)

    def _run(self) -> None:
        while (data := self._work.get()) is not None:
            self._sha256.update(data)
            if isinstance(data, memoryview):
                self._free.put(data.obj)  # type: ignore[arg-type]
            else:
                self._large.release()
            del data
