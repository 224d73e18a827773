"""Memory that files are read into in bulk.

A large `bytearray` begins 16 bytes behind a page, and some processors copy into such memory several times slower than
into a whole page. What `mmap` gives begins with a page. One buffer is used again and again: fresh memory costs a page
fault for each 4 KiB.
"""

import os
from collections.abc import Iterator

from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from mmap import mmap

BUFFER = 1 << 20


def page_aligned(size: int = BUFFER) -> "mmap":
    """Memory of `size` bytes, zeros, that begins with a page."""
    from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

    return mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS)


def runs_of(fd: int) -> Iterator[memoryview]:
    """What follows in the open file `fd`, in runs of BUFFER bytes.

    Each is valid until the next is asked for.
    """
    view = memoryview(page_aligned())
    while count := os.readv(fd, [view]):
        yield view[:count]
