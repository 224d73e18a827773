"""Blobs appear whole and verified, or not at all."""

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildrules.errors import IntegrityError, StoreError
from buildrules.store.blobs import Blobs, hex_of


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


@given(st.binary(max_size=2000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_put_is_read(tmp_path, data):
    blobs = Blobs(str(tmp_path))
    digest = blobs.put(data)
    assert digest == digest_of(data)
    assert blobs.read(digest) == data
    assert blobs.has(digest, len(data))
    assert not blobs.has(digest, len(data) + 1)
    assert stat.S_IMODE(os.stat(blobs.path(digest)).st_mode) == 0o444


def test_wrong_content_leaves_nothing(tmp_path):
    blobs = Blobs(str(tmp_path))
    with pytest.raises(IntegrityError):
        blobs.put_stream([b"abc"], digest_of(b"abd"))
    with pytest.raises(IntegrityError):
        blobs.put_stream([b"abc"], digest_of(b"abc"), size=4)
    assert not blobs.has(digest_of(b"abc"))
    assert os.listdir(tmp_path / "tmp") == []


def test_a_corrupt_blob_is_found_and_removed(tmp_path):
    blobs = Blobs(str(tmp_path))
    digest = blobs.put(b"good")
    os.chmod(blobs.path(digest), 0o644)
    with open(blobs.path(digest), "wb") as file:
        file.write(b"evil")
    with pytest.raises(IntegrityError, match="corrupt"):
        blobs.read(digest)
    assert not blobs.has(digest)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha512:" + "a" * 64, "../" * 20 + "etc/passwd", "A" * 64, "a" * 63])
def test_a_hostile_digest_names_no_path(tmp_path, digest):
    with pytest.raises(IntegrityError):
        Blobs(str(tmp_path)).path(digest)
    with pytest.raises(IntegrityError):
        hex_of(digest)


def test_a_full_disk_is_an_error_with_a_way_out(tmp_path):
    """A tmpfs of 64 kB is a real full disk; only root may mount one."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], check=True)
    try:
        blobs = Blobs(str(mount))
        with pytest.raises(StoreError, match="no space left") as caught:
            blobs.put(os.urandom(200_000))
        assert "BUILDRULES_CACHE_DIR" in (caught.value.hint or "")
        assert os.listdir(mount / "tmp") == []
        assert blobs.put(b"small") == digest_of(b"small")
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_killed_writer_leaves_no_blob(tmp_path):
    code = (
        "import sys, os, signal; from buildrules.store.blobs import Blobs\n"
        "blobs = Blobs(sys.argv[1])\n"
        "def chunks():\n"
        "    yield b'a' * 100000\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "blobs.put_stream(chunks(), 'sha256:' + 'a' * 64)\n"
    )
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert child.returncode == -9
    assert not Blobs(str(tmp_path)).has("sha256:" + "a" * 64)


def test_a_folder_that_somebody_makes_meanwhile_keeps_its_blobs(tmp_path: Path, monkeypatch) -> None:
    """Two blobs whose names begin alike are placed at once, the first ones of their folder."""
    blobs = Blobs(str(tmp_path))
    folder = os.path.dirname(blobs.path(digest_of(b"mine")))
    sibling = Path(folder, "sibling")
    looked = os.path.isdir

    def isdir(path: str) -> bool:
        found = looked(path)
        if path == folder and not found:
            os.makedirs(path)
            sibling.write_bytes(b"theirs")
        return found

    monkeypatch.setattr("buildrules.store.blobs.os.path.isdir", isdir)
    blobs.put(b"mine")
    assert sibling.read_bytes() == b"theirs"
    assert blobs.read(digest_of(b"mine")) == b"mine"
