"""gzip as this project writes it: many members one after the other (RFC 1952, section 2.2).

A stream of deflate that exists already, such as a wheel's, becomes a member of its own without being touched. All else
is "glue": at level 0 members of one stored block of up to 65,535 bytes, so that the bytes depend on no compressor; at
levels 1 to 12 members of 1 MiB of input compressed by libdeflate, on several threads.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from zlib import crc32

from buildrules.oci.parts.entry import DeflateRange
from buildrules.oci.reader import Reader, corrupt, cut
from buildrules.oci.tar import Piece
from buildrules.store.buffer import BUFFER
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Executor

Buffer = bytes | bytearray | memoryview

HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no flags, no time, no hints, operating system unknown
STORED = 65535
_THREADS = 2
COMPRESSED = 1 << 20
WHOLE = 16 << 20
"""Deflate streams that need more memory than this are inflated in pieces."""


def trailer(checksum: int, size: int) -> bytes:
    """The last 8 bytes of a member."""
    return struct.pack("<II", checksum, size & 0xFFFFFFFF)


def stored(data: memoryview) -> bytes:
    """A member that holds `data`, at most 65,535 bytes, in one stored block (RFC 1951, section 3.2.4)."""
    size = len(data)
    return b"".join((HEADER, struct.pack("<BHH", 1, size, size ^ 0xFFFF), data, trailer(crc32(data), size)))


def compressed(data: memoryview, level: int) -> bytes | bytearray:
    """A member that holds `data`, compressed by libdeflate."""
    from deflate import gzip_compress

    return gzip_compress(data, level)


def passes(piece: DeflateRange) -> bool:
    """Whether a deflate stream becomes a member of its own: it must save what a member of its own costs."""
    return piece.length >= 512 and piece.size - piece.length >= 64


def inflate(reader: Reader, piece: DeflateRange) -> Iterator[Buffer]:
    """The bytes a deflate stream stands for. Raises IntegrityError where it is corrupt."""
    if piece.length <= WHOLE and piece.size <= WHOLE:
        yield _whole(_member(reader, piece), piece)
    else:
        for _, data in _stream(reader, piece):
            if data:
                yield data


def encode(
    pieces: Iterable[Piece], level: int, reader: Reader, tap: Callable[[Buffer], None] | None = None
) -> Iterator[Buffer]:
    """The gzip stream of the tar stream `pieces`. What it yields is valid until the next is asked for.

    `tap` is given the tar stream itself, in order; without it nothing is inflated needlessly.
    """
    if not level:
        buffer = bytearray(STORED)
        for item in cut(pieces, reader, lambda: buffer, inflate, keep=passes):
            if isinstance(item, DeflateRange):
                yield from _pass(reader, item, tap)
            else:
                if tap:
                    tap(item)
                yield stored(item)
        return

    def work() -> Iterator[Callable[[], Buffer] | Buffer]:
        for item in cut(pieces, reader, lambda: bytearray(COMPRESSED), inflate, keep=passes):
            if isinstance(item, DeflateRange):
                for part in _pass(reader, item, tap):
                    yield bytes(part)
            else:
                if tap:
                    tap(item)
                yield lambda item=item: compressed(item, level)  # type: ignore[misc]

    yield from in_order(work())


def _pass(reader: Reader, piece: DeflateRange, tap: Callable[[Buffer], None] | None) -> Iterator[Buffer]:
    """The member that holds a deflate stream as it is."""
    if piece.length <= WHOLE and piece.size <= WHOLE:
        member = _member(reader, piece)
        if tap:
            tap(_whole(member, piece))
        yield member
        return
    yield HEADER
    if tap:
        for taken, data in _stream(reader, piece):
            if data:
                tap(data)
            if taken:
                yield taken
    else:
        yield from reader.runs(piece)
    yield trailer(piece.crc32, piece.size)


def _member(reader: Reader, piece: DeflateRange) -> bytearray:
    end = 10 + piece.length
    member = bytearray(end + 8)
    member[:10] = HEADER
    reader.into(piece, memoryview(member)[10:end])
    member[end:] = trailer(piece.crc32, piece.size)
    return member


def _whole(member: bytearray, piece: DeflateRange) -> bytearray:
    """What the member of a deflate stream holds; libdeflate checks CRC and size against the trailer."""
    from deflate import DeflateError, gzip_decompress

    try:
        data: bytearray = gzip_decompress(member, max(piece.size, 1))
    except DeflateError:
        raise corrupt(piece) from None
    if len(data) != piece.size:
        raise corrupt(piece)
    return data


def _stream(reader: Reader, piece: DeflateRange) -> Iterator[tuple[Buffer, Buffer]]:
    """A large deflate stream in bounded memory: (compressed bytes or empty, inflated bytes or empty)."""
    from isal import isal_zlib

    bad: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub calls the class an instance
    engine = isal_zlib.decompressobj(-15)
    checksum = size = 0
    for run in reader.runs(piece):
        taken: Buffer = run
        source: Buffer = run
        while True:
            try:
                data = engine.decompress(source, BUFFER)
            except bad:
                raise corrupt(piece) from None
            checksum = isal_zlib.crc32(data, checksum)
            size += len(data)
            if size > piece.size:
                raise corrupt(piece)
            yield taken, data
            taken = b""
            source = engine.unconsumed_tail
            if not source and len(data) < BUFFER:
                break
        if engine.unused_data:
            raise corrupt(piece)
    if not engine.eof or size != piece.size or checksum != piece.crc32:
        raise corrupt(piece)


def in_order(jobs: Iterable[Callable[[], Buffer] | Buffer]) -> Iterator[Buffer]:
    """The results of jobs that run on two threads, in the order of `jobs`; what is no job is its own result.

    Few are under way at a time, so memory is bounded. Threads start with the second job: most layers have one.
    """
    pending: list[Callable[[], Buffer]] = []
    pool: Executor | None = None
    started = 0
    try:
        for job in jobs:
            if not callable(job):
                pending.append(lambda result=job: result)  # type: ignore[misc]
            else:
                started += 1
                if started == 2:
                    from concurrent.futures import ThreadPoolExecutor

                    pool = ThreadPoolExecutor(_THREADS)
                    pending = [pool.submit(one).result for one in pending]
                pending.append(pool.submit(job).result if pool else job)
            if len(pending) > 2 * _THREADS:
                yield pending.pop(0)()
        for one in pending:
            yield one()
    finally:
        if pool:
            pool.shutdown()
