"""Archives and locks that are broken, or made to do harm."""

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.start.archive import members
from buildrules.start.failure import Failure
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
    "cut.tar.gz": (lambda: (data := tar(("a", os.urandom(90_000))))[: len(data) // 2], "cannot be read as an archive"),
    "lying.zip": (
        lambda: packed().replace(struct.pack("<I", 1000), struct.pack("<I", 16)),
        "cannot be read as an archive",
    ),
    "method.zip": (lambda: another_method(packed()), "cannot be read as an archive"),
    "latin.tar.gz": (lambda: tar(("a\udcff", b"1")), "not UTF-8"),
    "twice.tar.gz": (lambda: tar(("a", b"1"), ("a", b"2")), "two files named 'a'"),
    "sparse.tar": (sparse, "would unpack to more than 1024 MiB"),
    "text.tar": (lambda: b"hello" * 1000, "cannot be read as an archive"),
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


def header_of(kind: bytes, size: int) -> bytes:
    """The block in front of a header of `size` bytes: "x" of PAX attributes, "L" of a long name (GNU tar manual)."""
    entry = tarfile.TarInfo("./PaxHeaders/x")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.USTAR_FORMAT)


def bomb(path: Path, kind: bytes, run: bytes = bytes(1 << 20), count: int = 1024) -> Path:
    """A .tar.gz with one entry behind a header of many bytes, which is small itself."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header_of(kind, len(run) * count))
        for _ in range(count):
            file.write(run)
        file.write(tarfile.TarInfo("a").tobuf() + bytes(1024))
    return path


PEAK = """
import resource, sys
from buildrules.start.archive import members
from buildrules.start.failure import Failure
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    list(members(sys.argv[1], "bomb"))
except Failure as failure:
    print(failure.text)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, "KiB")
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_header_that_unpacks_to_a_gibibyte_is_not_read(tmp_path: Path, kind: bytes) -> None:
    path = bomb(tmp_path / "bomb.tar.gz", kind)
    assert path.stat().st_size < 8 << 20
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    assert "'bomb' has an entry whose header is larger than 1 MiB" in done.stdout
    assert int(done.stdout.split()[-2]) < 64 << 10


def test_a_map_of_holes_that_never_ends_is_not_read(tmp_path: Path) -> None:
    """The first block of a sparse file of PAX's kind 1.0 is its map, read number by number (GNU tar manual)."""
    fields = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a", "GNU.sparse.realsize": "1"}
    entry = tarfile.TarInfo("a")
    entry.size, entry.pax_headers = 64 << 20, fields
    path = tmp_path / "m.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(entry.tobuf(tarfile.PAX_FORMAT) + b"99999999\n" + b"0\n" * (32 << 20))
    with pytest.raises(Failure, match="header is larger"):
        list(members(str(path), "m.tar.gz"))


def test_long_names_and_attributes_that_are_not_too_long_are_read(tmp_path: Path) -> None:
    name = "/".join(["d" * 100] * 30)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for mode in ("w", "w:gz", "w:bz2", "w:xz"):
            path = tmp_path / f"{form}-{mode[2:]}.tar"
            with tarfile.open(path, mode, format=form) as archive:  # type: ignore[call-overload]
                for number in range(3):
                    entry = tarfile.TarInfo(f"{name}{number}")
                    entry.size, entry.pax_headers = 3 << 20, {"SCHILY.xattr.user.note": "x" * 100_000}
                    archive.addfile(entry, io.BytesIO(bytes([number]) * (3 << 20)))
            found = [(name, size, content.read(size)) for name, size, content in members(str(path), "m")]
            assert found == [(f"{name}{n}", 3 << 20, bytes([n]) * (3 << 20)) for n in range(3)]


def test_many_headers_inside_each_other_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "m.tar"
    path.write_bytes(header_of(b"g", 0) * 1900 + tarfile.TarInfo("a").tobuf() + bytes(1024))
    with pytest.raises(Failure, match="cannot be read as an archive"):
        list(members(str(path), "m.tar"))


def nameless() -> bytes:
    """A zip whose one entry has no name but three bytes of something else in its place (APPNOTE 4.3.7, 4.3.12)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("abc", b"x")
    found = bytearray(buffer.getvalue())
    central = found.index(b"PK\1\2")
    for at in (26, central + 28):
        struct.pack_into("<HH", found, at, 0, 3)
    return bytes(found)


def test_a_file_without_a_name_is_refused(workspace: Space, web: Web) -> None:
    web.files["/m.zip"] = nameless()
    from_uri(workspace, f"{web.url}/m.zip", ", unpack: true")
    workspace.run("build", APP, code=1).said("BUILD.yaml:", "'m.zip' has a file without a name")
