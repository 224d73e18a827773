"""Reading ranges of files into buffers, and cutting a stream of pieces into full buffers."""

import os
from collections.abc import Callable, Iterable, Iterator

from buildrules.errors import ActionError, DamagedError, IntegrityError
from buildrules.oci.parts.entry import DeflateRange, FileRange
from buildrules.oci.tar import Piece
from buildrules.sha256 import new_hash
from buildrules.store.buffer import page_aligned
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from mmap import mmap

AHEAD = 8 << 20


class Reader:
    """Reads ranges; the last file stays open, since the members of an archive come one after the other."""

    def __init__(self) -> None:
        self._path = ""
        self._fd = -1
        self._size = 0
        self._ahead = -1

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file that is open."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._path = -1, ""

    def open(self, piece: FileRange | DeflateRange) -> int:
        """The descriptor of the piece's file. Raises ActionError where it cannot be read or has another size."""
        if piece.path != self._path:
            self.close()
            try:
                self._fd = os.open(piece.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise ActionError(f"cannot read {piece.path!r}: {(error.strerror or '').lower()}") from error
            self._path, self._ahead = piece.path, -1
            self._size = os.fstat(self._fd).st_size
            if self._size > AHEAD:
                os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        end = piece.offset + piece.length
        if self._size < end or (isinstance(piece, FileRange) and piece.whole and self._size != end):
            raise damaged(piece.digest) if isinstance(piece, FileRange) and piece.digest else changed(piece.path)
        return self._fd

    def some(self, piece: FileRange | DeflateRange, done: int, view: memoryview) -> int:
        """Read into `view` what follows the first `done` bytes of the range; returns how many bytes, at least one."""
        fd = self.open(piece)
        left = piece.length - done
        position = piece.offset + done
        if left > AHEAD and position // AHEAD != self._ahead:
            self._ahead = position // AHEAD
            os.posix_fadvise(fd, (self._ahead + 1) * AHEAD, AHEAD, os.POSIX_FADV_WILLNEED)
        count = os.preadv(fd, [view[:left]], position)
        if not count:
            raise changed(piece.path)
        return count

    def into(self, piece: FileRange | DeflateRange, view: memoryview) -> None:
        """The whole range, into the start of `view`."""
        done = 0
        while done < piece.length:
            done += self.some(piece, done, view[done:])

    def runs(self, piece: FileRange | DeflateRange, buffer: "bytearray | mmap | None" = None) -> Iterator[memoryview]:
        """The range in runs at the start of `buffer` (one of its own); a run is valid until the next is asked for."""
        self.open(piece)
        view = memoryview(buffer or page_aligned())
        done = 0
        while done < piece.length:
            count = self.some(piece, done, view)
            yield view[:count]
            done += count


def changed(path: str) -> ActionError:
    """The error for a file that is not as long as it was when it was looked at."""
    return ActionError(f"{path!r} changed while it was being built", hint="build again when nothing writes to it")


def damaged(digest: str) -> DamagedError:
    """The error for a blob of the store that is not what its name says."""
    return DamagedError(
        f"blob {digest} in the store is damaged", digest, hint="run 'buildrules cache verify', and build again"
    )


Inflate = Callable[[Reader, DeflateRange], Iterator[bytes | bytearray | memoryview]]


def cut(
    pieces: Iterable[Piece],
    reader: Reader,
    take: "Callable[[], bytearray | mmap]",
    inflate: Inflate,
    *,
    keep: Callable[[DeflateRange], bool] | None = None,
) -> Iterator[memoryview | DeflateRange]:
    """The bytes of `pieces` in full buffers, and those deflate ranges for which `keep` is true as they are.

    `take` gives the next buffer to fill; a yielded view belongs to the caller until the buffer is given again. A
    buffer is yielded before it is full only at the end and before a kept range. `inflate` expands the other ranges.
    Raises DamagedError where a range does not have its digest, when all of it has been read.
    """
    buffer = take()
    capacity = len(buffer)
    used = 0
    for piece in pieces:
        if isinstance(piece, DeflateRange) and keep and keep(piece):
            if used:
                yield memoryview(buffer)[:used]
                buffer, used = take(), 0
            yield piece
            continue
        if isinstance(piece, FileRange):
            reader.open(piece)
            sha256 = new_hash(piece.length) if piece.digest else None
            done = 0
            while done < piece.length:
                if used == capacity:
                    yield memoryview(buffer)
                    buffer, used = take(), 0
                count = reader.some(piece, done, memoryview(buffer)[used:])
                if sha256:
                    sha256.update(memoryview(buffer)[used : used + count])
                done += count
                used += count
            if sha256 and piece.digest != f"sha256:{sha256.hexdigest()}":
                raise damaged(piece.digest or "")
            continue
        for run in (piece,) if isinstance(piece, bytes) else inflate(reader, piece):
            start, length = 0, len(run)
            while start < length:
                if used == capacity:
                    yield memoryview(buffer)
                    buffer, used = take(), 0
                count = min(length - start, capacity - used)
                buffer[used : used + count] = run if count == length else memoryview(run)[start : start + count]
                start += count
                used += count
    if used:
        yield memoryview(buffer)[:used]


def corrupt(piece: DeflateRange) -> IntegrityError:
    """The error for a deflate stream that does not inflate to what it says."""
    return IntegrityError(
        f"corrupt compressed data in {os.path.basename(piece.path)!r} at byte {piece.offset}",
        hint="delete the file from the store and build again",
    )
