"""Whether compressing files is worth it, by a sample."""

import os
from collections.abc import Sequence

from buildrules.errors import ActionError

SAMPLE = 256 << 10
WORTH = 0.7
FAST = 1
"""The level for what is large."""


def pays(files: Sequence[tuple[str, int]]) -> bool:
    """Whether a sample compresses to less than 70 %.

    `files` are absolute paths and sizes in bytes. They are taken as one run of bytes, of which 256 KiB at the start, in
    the middle and at the end are compressed fast: at most 768 KiB are read, whatever the size. Raises ActionError
    where a file cannot be read.
    """
    from deflate import deflate_compress

    total = sum(size for _, size in files)
    starts = sorted({0, max(0, (total - SAMPLE) // 2), max(0, total - SAMPLE)})
    raw = packed = 0
    for start in starts:
        data = _slice(files, start)
        raw += len(data)
        packed += len(deflate_compress(data, FAST))
    return packed < WORTH * raw


def _slice(files: Sequence[tuple[str, int]], start: int) -> bytes:
    """Up to SAMPLE bytes of the concatenated files from `start`."""
    found: list[bytes] = []
    wanted = SAMPLE
    for path, size in files:
        if start < size:
            try:
                with open(path, "rb", buffering=0) as file:
                    data = os.pread(file.fileno(), min(wanted, size - start), start)
            except OSError as error:
                raise ActionError(f"cannot read {path!r}: {(error.strerror or '').lower()}") from error
            found.append(data)
            wanted -= len(data)
            if wanted <= 0:
                break
        start = max(0, start - size)
    return b"".join(found)
