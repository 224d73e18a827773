"""Files that change within one tick of the clock that stamps them."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from buildrules.store.statindex import KEPT, StatIndex, stat_row
from buildrules.store.table import Table


def test_what_changes_within_a_tick_is_hashed_again(tmp_path: Path) -> None:
    """As git's racy entries: where the clock is coarse the second content has the very stat of the first.

    File systems differ in their ticks, so the stat is taken once and given twice.
    """
    path = tmp_path / "file"

    def digest() -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    path.write_bytes(b"first")
    stat = os.stat(path)
    index = StatIndex(Table(str(tmp_path / "table")))
    index.digest(str(path), stat_row(stat), digest)
    index.flush()
    path.write_bytes(b"other")
    for later in (StatIndex(Table(str(tmp_path / "table"))), StatIndex(Table(str(tmp_path / "none")))):
        assert later.digest(str(path), stat_row(stat), digest) == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize("modified", [None, 4e9])
def test_an_old_file_is_hashed_once(tmp_path: Path, modified: float | None) -> None:
    """Also where it says that it was modified in the future: when it came here, its change time tells."""
    path = tmp_path / "file"
    path.write_bytes(b"old" * KEPT)
    if modified is not None:
        os.utime(path, (modified, modified))
    time.sleep(2.05)
    index = StatIndex(Table(str(tmp_path / "table")))
    calls: list[int] = []
    for _ in range(3):
        index.digest(str(path), stat_row(os.stat(path)), lambda: str(calls.append(1)))
    index.flush()
    again = StatIndex(Table(str(tmp_path / "table")))
    again.digest(str(path), stat_row(os.stat(path)), lambda: str(calls.append(1)))
    assert len(calls) == 1
