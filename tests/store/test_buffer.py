"""Memory for bulk reading."""

import ctypes
from mmap import PAGESIZE
from pathlib import Path

import pytest

from buildrules.store.buffer import BUFFER, page_aligned, runs_of


@pytest.mark.parametrize("size", [BUFFER, 5, PAGESIZE + 1])
def test_a_buffer_begins_with_a_page(size: int) -> None:
    buffer = page_aligned(size)
    assert len(buffer) == size
    assert ctypes.addressof(ctypes.c_char.from_buffer(buffer)) % PAGESIZE == 0


@pytest.mark.parametrize("size", [0, 1, BUFFER - 1, BUFFER, 2 * BUFFER + 7])
def test_runs_are_the_file_from_where_it_stands(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(b"before" + data[:size])
    with open(tmp_path / "file", "rb", buffering=0) as file:
        file.seek(6)
        assert b"".join(map(bytes, runs_of(file.fileno()))) == data[:size]
