"""Archives and locks that are broken, or made to do harm."""

import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from tests.models.conftest import APP, download, from_uri
from tests.support.space import Space
from tests.support.web import Web

SECRET = "canary-7f3a"


def tar(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def packed() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"x" * 1000)
    return buffer.getvalue()


def another_method(data: bytes) -> bytes:
    """The same zip, said to be compressed in a way nobody knows."""
    found = bytearray(data)
    found[8] = found[data.rindex(b"PK\1\2") + 10] = 99
    return bytes(found)


def sparse() -> bytes:
    """A tar of 1 KiB, whose one file has a tebibyte (GNU tar manual, "Storing Sparse Files", old format)."""
    entry = tarfile.TarInfo("weights.bin")
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (0, 0)
    header[483:495] = b"\x80" + struct.pack(">Q", 1 << 40).rjust(11, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut.tar.gz": (lambda: (data := tar(("a", os.urandom(90_000))))[: len(data) // 2], "no archive that can be read"),
    "lying.zip": (
        lambda: packed().replace(struct.pack("<I", 1000), struct.pack("<I", 16)),
        "no archive that can be read",
    ),
    "method.zip": (lambda: another_method(packed()), "no archive that can be read"),
    "latin.tar.gz": (lambda: tar(("a\udcff", b"1")), "not UTF-8"),
    "twice.tar.gz": (lambda: tar(("a", b"1"), ("a", b"2")), "two files named 'a'"),
    "sparse.tar": (sparse, "would unpack to more than 1024 MiB"),
    "text.tar": (lambda: b"hello" * 1000, "no archive that can be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_archive_is_refused_in_one_line(workspace: Space, web: Web, name: str) -> None:
    make, text = BROKEN[name]
    web.files[f"/{name}"] = make()
    from_uri(workspace, f"{web.url}/{name}", ", unpack: true")
    told = workspace.run("build", APP, code=1)
    told.said("BUILD.yaml:", name, text)


def test_two_starts_that_unpack_one_archive_both_serve(workspace: Space, web: Web) -> None:
    web.files["/m.tar.gz"] = tar(*((f"m/{number}", os.urandom(1 << 20)) for number in range(20)))
    directory = from_uri(workspace, f"{web.url}/m.tar.gz", ", unpack: true", package="    mode: download\n")
    start = download(workspace)
    several = [start.begin("true") for _ in range(6)]
    told = [process.communicate(timeout=60)[1] for process in several]
    assert [process.returncode for process in several] == [0] * 6, told
    assert sum(path.is_file() for path in directory.rglob("*")) == 20


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('kind = "http"', "", "no kind of source"),
        ('kind = "http"', 'kind = "s3"', "`bucket`"),
        ('kind = "http"', 'kind = "oci"', "`registry`"),
        ('kind = "http"', 'kind = "http"\ncredentials = {token = "OTHERS_TOKEN"}', "names credentials"),
        ('url = "http://', 'url = "http://user:canary-7f3a@', "holds a user name or password"),
    ],
)
def test_a_lock_with_a_source_that_is_none_is_refused(workspace: Space, web: Web, old: str, new: str, why: str) -> None:
    web.files["/w.bin"] = b"1"
    from_uri(workspace, f"{web.url}/w.bin")
    workspace.run("lock")
    workspace.edit("model.m.lock", old, new)
    web.seen.clear()
    environment = {"OTHERS_TOKEN": SECRET, "BUILDRULES_CACHE_DIR": str(workspace.folder / "empty")}
    told = workspace.run("build", APP, code=1, env=environment)
    told.said("model.m.lock", why, "buildrules lock")
    assert SECRET not in told.out + told.err
    assert not web.seen, "a lock that was tampered with must not lead anywhere"


def test_an_address_that_cannot_be_read_is_an_error_in_its_place(workspace: Space) -> None:
    from_uri(workspace, "http://[::1/x")
    workspace.run("build", APP, code=2).said("BUILD.yaml:", "cannot be read")
