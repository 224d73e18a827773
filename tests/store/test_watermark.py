"""A store that is too large loses what was not used for longest, also while builds run, and no build is wrong."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from buildrules.store.store import Store
from buildrules.store.watermark import YOUNG, Shrunk, shrink
from tests.support.space import APP, CODE, Space

DAY = 86400


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def put(store: Store, data: bytes, days: float) -> str:
    """A blob that was last used so many days ago."""
    digest = store.blobs.put(data)
    os.utime(store.blobs.path(digest), (time.time() - days * DAY,) * 2)
    return digest


def shrunk(store: Store, high: int, low: int) -> Shrunk:
    try:
        return shrink(store, high=high, low=low)
    finally:
        store.close()


def test_what_was_not_used_for_longest_goes_first(store: Store) -> None:
    old, older, young = put(store, b"a" * 10_000, 2), put(store, b"b" * 10_000, 3), put(store, b"c" * 10_000, 1)
    read = put(store, b"d" * 10_000, 4)
    os.utime(store.blobs.path(read), (time.time(), time.time() - 4 * DAY))  # written long ago, read just now
    done = shrunk(store, 30_000, 25_000)
    assert store.blobs.holds([old, older, young, read]) == {young, read}
    assert (done.removed.blobs, done.removed.bytes) == (2, 20_000)
    assert done.before - done.after == 20_000


def test_below_the_mark_nothing_goes(store: Store) -> None:
    digest = put(store, b"a" * 10_000, 100)
    assert shrunk(store, 20_000, 0).removed.blobs == 0
    assert store.blobs.has(digest)


def test_what_a_build_may_be_using_stays_while_one_runs(store: Store) -> None:
    old, young = put(store, b"a" * 10_000, 2), put(store, b"b" * 10_000, 0.5 * YOUNG / DAY)
    running = Store(store.root)
    assert running.lock()
    try:
        shrunk(store, 0, 0)
        assert store.blobs.has(old), "it was renamed into its place just now"
        assert store.blobs.has(young)
    finally:
        running.close()
    shrunk(store, 0, 0)
    assert store.blobs.holds([old, young]) == set()


def test_the_last_build_counts_as_a_use(built: Space) -> None:
    for path in built.blobs().values():
        os.utime(path, (time.time() - 30 * DAY,) * 2)
    store = Store(str(built.store))
    unnamed = put(store, b"of another build", 20)
    total = sum(path.stat().st_size for path in built.store.rglob("*") if path.is_file())
    done = shrunk(store, 0, total - 10)
    assert (done.removed.blobs, store.blobs.has(unnamed)) == (1, False)
    assert built.build().executed == 0


@pytest.mark.parametrize("part", [0.3, 0.7, 0.0])
def test_whatever_goes_the_next_build_is_right(built: Space, part: float) -> None:
    expected = built.build().digest
    total = sum(path.stat().st_size for path in built.store.rglob("*") if path.is_file())
    mark = f"{int(total * part)}B"
    built.run("cache", "gc", "--high", mark, "--low", mark).said("removed ")
    built.append("src/score.py", "# edited\n")
    edited = built.build()
    assert edited.layer(CODE)["digest"]
    assert edited.digest == built.clean_build().digest
    built.edit("src/score.py", "# edited\n", "")
    assert built.build().digest == expected
    built.run("export", APP, "-o", str(built.folder / "out"))
    built.sound()


def test_builds_that_run_meanwhile_end_well(built: Space) -> None:
    """Everything counts as old here, so that all may go under a build's hands."""
    expected = built.build().digest
    program = (
        "import sys, os; from buildrules.store import watermark; watermark.YOUNG = -1e9\n"
        "from buildrules.store.store import Store\n"
        "for _ in range(400):\n"
        "    store = Store(); watermark.shrink(store, high=0, low=0); store.close()\n"
    )
    env = {**built.env, "PYTHONPATH": str(Path(__file__).parents[2])}
    remover = subprocess.Popen(["python3", "-c", program], env=env, stderr=subprocess.PIPE)
    try:
        for number in range(6):
            built.append("src/score.py", f"# {number}\n")
            assert built.process("build", APP).out
    finally:
        remover.kill()
        remover.communicate()
    built.write("src/score.py", "def run(data):\n    return data\n")
    assert built.build().digest == expected
    built.sound()


def test_sizes_are_read(built: Space) -> None:
    built.run("cache", "gc", "--high", "50GB").said("of 50.0 GB", "nothing to remove")
    built.run("cache", "gc", "--high", "1.5 GiB", "--low", "200MB").said("of 1.6 GB")
    for wrong in ("50", "GB", "-1GB", "1XB", "1e9B"):
        built.run("cache", "gc", f"--high={wrong}", code=2).said(f"not a size: '{wrong}'", "50GB")
    built.run("cache", "gc", "--high", "1GB", "--low", "2GB", code=2).said("--low is above --high")
    built.run("cache", "gc", "--low", "2GB", code=2).said("--high")
    built.run("cache", "gc", "--high", "1GB", "--keep", "1d", code=2).said("--keep", "--high")
