"""Small files that would fill the memory: whatever they say, reading them stays below 300 MiB."""

import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.peak import run_measured

MOST = 300  # MiB
SIZE = 10_000_000

YAML = """
import sys
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError
problems = Problems()
node = parse("BUILD.yaml", open(sys.argv[1], "rb").read(), problems)
try:
    for item in node.entries["targets"].items if node else ():
        problems.add_error(item.error("no target"))
    problems.raise_all()
except LoadError as error:
    print(str(error.errors[0])[:300])
"""
MANIFEST = """
import sys
from buildrules.errors import BuildrulesError
from buildrules.oci.source import read_document
try:
    read_document(open(sys.argv[1], "rb").read(), "", "base")
except BuildrulesError as error:
    print(error)
"""
DEB = """
import sys
from buildrules.errors import BuildrulesError
from buildrules.oci.parts.deb import read
try:
    for entry in read(sys.argv[1], []):
        for chunk in entry.content.make() if hasattr(entry.content, "make") else ():
            pass
except BuildrulesError as error:
    print(error)
"""
TEXTS = {
    "list": "targets:\n" + "- a\n" * (SIZE // 4),
    "flow": "targets: [" + "a," * (SIZE // 2) + "]\n",
    "map": "targets:\n" + "".join(map(" a{}:\n".format, range(SIZE // 10))),
    "nested": "targets: [" + "[[]]," * (SIZE // 5) + "]\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TEXTS)
def test_d7_a_yaml_file_of_many_values_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "BUILD.yaml").write_text(TEXTS[kind])
    said, peak = run_measured(YAML, str(tmp_path / "BUILD.yaml"))
    assert "this file holds more than 300000 values" in said
    assert peak < MOST


@pytest.mark.slow
def test_d7_errors_of_a_file_are_kept_up_to_a_number(tmp_path: Path) -> None:
    (tmp_path / "BUILD.yaml").write_text("targets:\n" + "- a\n" * 290_000)
    _, peak = run_measured(YAML, str(tmp_path / "BUILD.yaml"))
    assert peak < MOST


@pytest.mark.parametrize("text", ["[[],[],", '{"":{},', "[" * 8, '{"a":'], ids=["lists", "maps", "deep", "deep maps"])
@pytest.mark.parametrize("size", [4 << 20, SIZE])
def test_d7_a_manifest_of_many_values_is_refused(tmp_path: Path, text: str, size: int) -> None:
    (tmp_path / "manifest").write_text((text * (size // len(text)))[:size])
    said, peak = run_measured(MANIFEST, str(tmp_path / "manifest"))
    assert "is not an image manifest" in said
    assert peak < MOST


def test_d7_a_manifest_that_is_sound_and_large_stays_small(tmp_path: Path) -> None:
    many = {"schemaVersion": 2, "layers": [[]] * 1_000_000, "config": {}}
    (tmp_path / "manifest").write_text(json.dumps(many, separators=(",", ":")))
    _, peak = run_measured(MANIFEST, str(tmp_path / "manifest"))
    assert peak < MOST


def deb(data: bytes, suffix: str) -> bytes:
    """A Debian package whose data.tar is `data`."""
    parts = [("debian-binary", b"2.0\n"), ("control.tar", b"\0" * 1024), (f"data.tar{suffix}", data)]
    out = b"!<arch>\n"
    for name, content in parts:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def bomb(kind: str) -> bytes:
    """A tar that is small when it is compressed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("./usr/share/file")
        if kind == "one file":
            info.size = 400 << 20
            archive.addfile(info, io.BytesIO(bytes(info.size)))
        elif kind == "many files":
            for number in range(50):
                info.name, info.size = f"./usr/share/{number}", 8 << 20
                archive.addfile(info, io.BytesIO(bytes(info.size)))
        else:  # `tarfile` makes the same of a name, and takes three seconds for it
            info.name, info.type, info.size = "././@LongLink", tarfile.GNUTYPE_LONGNAME, 400 << 20
            archive.addfile(info, io.BytesIO(b"x" * info.size))
            archive.addfile(tarfile.TarInfo("./x"))
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one file", "many files", "long name"])
@pytest.mark.parametrize("suffix", [".zst", ".xz", ".gz"])
def test_d7_a_package_that_unpacks_to_much_stays_small(tmp_path: Path, kind: str, suffix: str) -> None:
    if suffix == ".zst":
        import zstandard

        data = zstandard.ZstdCompressor().compress(bomb(kind))
    elif suffix == ".xz":
        data = lzma.compress(bomb(kind), preset=0)
    else:
        data = gzip.compress(bomb(kind), 1)
    assert len(data) < SIZE
    (tmp_path / "a.deb").write_bytes(deb(data, suffix))
    said, peak = run_measured(DEB, str(tmp_path / "a.deb"))
    assert peak < MOST
    assert "name or attribute" in said or kind != "long name"


def test_d6_a_zstd_window_of_two_gibibytes_is_refused(tmp_path: Path) -> None:
    frame = b"\x28\xb5\x2f\xfd\0" + bytes([21 << 3]) + (1 | 5 << 3).to_bytes(3, "little") + b"hello"
    (tmp_path / "a.deb").write_bytes(deb(frame, ".zst"))
    said, peak = run_measured(DEB, str(tmp_path / "a.deb"))
    assert "cannot be unpacked" in said
    assert peak < MOST


def test_d7_an_xz_dictionary_of_a_gibibyte_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    (tmp_path / "a.deb").write_bytes(deb(lzma.compress(bytes(1024), lzma.FORMAT_XZ, filters=filters), ".xz"))
    said, peak = run_measured(DEB, str(tmp_path / "a.deb"))
    assert "cannot be unpacked: Memory usage limit exceeded" in said
    assert peak < MOST


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_d7_headers_one_after_the_other_are_refused(tmp_path: Path, kind: bytes) -> None:
    """The standard library reads each inside of the one before."""
    header = tarfile.TarInfo("x")
    header.type, body = kind, b"".join(b"15 a%05d=abcd\n" % number for number in range(60_000))
    header.size = len(body)
    one = header.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)
    data = gzip.compress(one * 20 + tarfile.TarInfo("./f").tobuf(tarfile.USTAR_FORMAT) + bytes(1024), 1)
    (tmp_path / "a.deb").write_bytes(deb(data, ".gz"))
    said, peak = run_measured(DEB, str(tmp_path / "a.deb"))
    assert "an entry with more than 8 headers" in said
    assert peak < MOST


WHEEL = """
import sys
from buildrules.errors import BuildrulesError
from buildrules.oci.parts.wheel import _Install
try:
    _Install({"filename": "a-1-py3-none-any.whl", "prefix": "opt", "python": "3.11"}, sys.argv[1]).entries()
except BuildrulesError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RECORD", "entry_points.txt", "WHEEL"])
@pytest.mark.parametrize("text", [b",", b"\n", b"a=b:c\n"], ids=["commas", "lines", "names"])
def test_d7_metadata_of_a_wheel_that_unpacks_to_much_stays_small(tmp_path: Path, name: str, text: bytes) -> None:
    for size in (60 << 20, 15 << 20):
        with zipfile.ZipFile(tmp_path / "a.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            for one in {"METADATA", "WHEEL", "RECORD", name}:
                content = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
                wheel.writestr(f"a-1.dist-info/{one}", text * (size // len(text)) if one == name else content)
        said, peak = run_measured(WHEEL, str(tmp_path / "a.whl"))
        assert "more than such a file may have" in said or "RECORD" in said
        assert peak < MOST
