"""Files that change within one tick of the clock that stamps them."""

import hashlib
import os
import time
from pathlib import Path

from buildrules.store.statindex import StatIndex
from buildrules.store.table import Table


def test_what_changes_within_a_tick_is_hashed_again(tmp_path: Path) -> None:
    """As git's racy entries: the second content has the stat of the first, so only the age of the first can tell."""
    path = tmp_path / "file"
    same = 0
    for number in range(400):
        first, second = f"{number:08}".encode(), f"{number:08x}X"[-8:].encode()
        path.write_bytes(first)
        before = os.stat(path)
        index = StatIndex(Table(str(tmp_path / "table")))
        index.digest(str(path), before, lambda: hashlib.sha256(path.read_bytes()).hexdigest())
        with open(path, "r+b") as file:
            file.write(second)
        after = os.stat(path)
        same += (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
        later = StatIndex(Table(str(tmp_path / "none")))
        later.warm(index.known())
        found = later.digest(str(path), after, lambda: hashlib.sha256(path.read_bytes()).hexdigest())
        assert found == hashlib.sha256(second).hexdigest()
    assert same, "no change fell into one tick; the test shows nothing on this file system"


def test_an_old_file_is_hashed_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    time.sleep(2.05)
    index = StatIndex(Table(str(tmp_path / "table")))
    calls: list[int] = []
    for _ in range(3):
        index.digest(str(path), os.stat(path), lambda: str(calls.append(1)))
    index.flush()
    again = StatIndex(Table(str(tmp_path / "table")))
    again.digest(str(path), os.stat(path), lambda: str(calls.append(1)))
    assert len(calls) == 1
