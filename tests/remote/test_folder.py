"""A shared folder: what a hostile, full or shared one does."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from buildrules.errors import UsageError
from buildrules.net.session import Session
from buildrules.remote.backend import Blob, RemoteError
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend
from tests.remote.places import blob_of

KEY = "ab" * 32


def opened(folder: Path) -> Guarded:
    return Guarded(open_backend(f"file://{folder}", Session()))


def test_the_writers_umask_keeps_nobody_out(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o2775)
    before = os.umask(0o077)
    try:
        place = opened(tmp_path)
        assert place.put(KEY, b"record")
        assert place.write(blob_of(b"content"), lambda: [b"content"])
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o2775 if path.is_dir() else 0o444), path
    assert not list((tmp_path / "tmp").iterdir())


def test_a_folder_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    told: list[str] = []
    place = Guarded(open_backend(f"file://{tmp_path}/gone", Session()), told.append)
    for _ in range(10):
        assert place.get(KEY) is None
        assert not place.write(blob_of(b"x"), lambda: [b"x"])
    assert any("mount it, or make it" in line for line in told)
    assert not (tmp_path / "gone").exists()


def test_what_a_crash_left_empty_is_written_again(tmp_path: Path) -> None:
    place, blob = opened(tmp_path), blob_of(b"content")
    assert place.put(KEY, b"record") and place.write(blob, lambda: [b"content"])
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"")
    assert place.get(KEY) is None
    assert place.holds([blob]) == set()
    assert place.put(KEY, b"record") and place.write(blob, lambda: [b"content"])
    assert place.get(KEY) == b"record"
    assert b"".join(place.read(blob)) == b"content"


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "ac" / "ab" / KEY
    place.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    assert opened(tmp_path).get(KEY) is None


def test_a_full_disk_leaves_nothing_half_there(small_disk: Path) -> None:
    place = opened(small_disk)
    large = os.urandom(2 << 20)
    assert place.put(KEY, b"record")
    assert not place.write(blob_of(large), lambda: [large])
    assert not [path for path in (small_disk / "cas").rglob("*") if path.is_file()]
    assert not list((small_disk / "tmp").iterdir())
    assert place.get(KEY) == b"record"


def test_the_first_of_two_records_stays(tmp_path: Path) -> None:
    place = opened(tmp_path)
    assert place.put(KEY, b"first") and place.put(KEY, b"second")
    assert place.get(KEY) == b"first"
    assert place.put(KEY, b"third", replace=True)
    assert place.get(KEY) == b"third"


WRITER = """
import sys
from buildrules.net.session import Session
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend
from tests.remote.places import blob_of
place = Guarded(open_backend(sys.argv[1], Session()))
for n in range(40):
    data = str(n).encode() * 5000
    assert place.write(blob_of(data), lambda: [data]), n
    assert place.put(blob_of(data).digest[7:], sys.argv[2].encode() * 1000), n
"""


def test_eight_writers(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, f"file://{tmp_path}", str(n)], cwd=Path(__file__).parents[2])
        for n in range(8)
    ]
    assert [writer.wait() for writer in writers] == [0] * 8
    place = opened(tmp_path)
    for n in range(40):
        data = str(n).encode() * 5000
        assert b"".join(place.read(blob_of(data))) == data
        record = place.get(blob_of(data).digest[7:])
        assert record and record == record[:1] * 1000, "one writer's, and whole"
    assert not list((tmp_path / "tmp").iterdir())


def test_what_there_is_can_be_listed_and_removed(tmp_path: Path) -> None:
    place, blob = opened(tmp_path), blob_of(b"content")
    assert place.put(KEY, b"record") and place.write(blob, lambda: [b"content"])
    (tmp_path / "cas" / "sha256" / "ab").mkdir(exist_ok=True)
    (tmp_path / "cas" / "sha256" / "ab" / "notes.txt").write_text("somebody's")
    (tmp_path / "tmp" / "old").write_text("half")
    os.utime(tmp_path / "tmp" / "old", (1, 1))
    assert place.shelf is not None
    found = list(place.shelf.entries())
    assert {(entry.kind, entry.name, entry.size) for entry in found} == {
        ("record", KEY, 6),
        ("content", blob.digest, 7),
    }
    assert (tmp_path / "tmp" / "old").exists(), "to list changes nothing"
    for entry in found * 2:
        place.shelf.remove(entry)
    assert not (tmp_path / "tmp" / "old").exists()
    assert place.get(KEY) is None and place.holds([blob]) == set()


def test_what_cannot_be_cleaned_is_left(tmp_path: Path) -> None:
    place = opened(tmp_path)
    assert place.put(KEY, b"record")
    (tmp_path / "tmp" / "old").mkdir()  # what `unlink` refuses, for root as well
    os.utime(tmp_path / "tmp" / "old", (1, 1))
    assert place.shelf is not None
    (entry,) = place.shelf.entries()
    place.shelf.remove(entry)
    assert place.get(KEY) is None and (tmp_path / "tmp" / "old").exists()


def test_content_that_is_shorter_or_longer_than_said_is_not_written(tmp_path: Path) -> None:
    place = open_backend(f"file://{tmp_path}", Session())
    for data in (b"shor", b"too long"):
        with pytest.raises(RemoteError):
            place.content.write(Blob(blob_of(b"short").digest, 5), lambda: [data])  # noqa: B023 - used at once
    assert not list((tmp_path / "cas").rglob("*.*"))


@pytest.mark.parametrize("url", ["file://host/path", "file:relative", "file:///x?y", "file:///x#y"])
def test_addresses_that_are_no_folders(url: str) -> None:
    with pytest.raises(UsageError, match="folder"):
        open_backend(url, Session())
