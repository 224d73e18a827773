"""Files that change within one tick of the clock that stamps them."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from buildrules.cli.invocation import row_of
from buildrules.snapshot.file import UNTRUSTED
from buildrules.store.statindex import RACY_NS, StatIndex, stat_row
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
        later.warm(index.known())
        assert later.digest(str(path), stat_row(stat), digest) == hashlib.sha256(b"other").hexdigest()


def test_an_old_file_is_hashed_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    time.sleep(2.05)
    index = StatIndex(Table(str(tmp_path / "table")))
    calls: list[int] = []
    for _ in range(3):
        index.digest(str(path), stat_row(os.stat(path)), lambda: str(calls.append(1)))
    index.flush()
    again = StatIndex(Table(str(tmp_path / "table")))
    again.digest(str(path), stat_row(os.stat(path)), lambda: str(calls.append(1)))
    assert len(calls) == 1


@pytest.mark.parametrize("directory", [False, True])
def test_a_row_of_what_changed_just_now_is_not_trusted(tmp_path: Path, directory: bool) -> None:
    path = tmp_path / "BUILD.yaml"
    path.mkdir() if directory else path.write_text("targets: {}")
    stat = os.stat(path)
    changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
    trusted = (str(path), *stat_row(stat))
    assert row_of(f"{path}/", changed + RACY_NS) == trusted
    assert row_of(str(path), changed + RACY_NS - 1) == (str(path), *UNTRUSTED)
    assert row_of(str(path), changed - 1) == (str(path), *UNTRUSTED)
    os.utime(path, (1, 1))  # an old modification time hides no recent change
    assert row_of(str(path), os.stat(path).st_ctime_ns) == (str(path), *UNTRUSTED)
    assert row_of(str(tmp_path / "none"), changed + RACY_NS) == (str(tmp_path / "none"), *UNTRUSTED)
