"""Reading a .deb: hostile archives, every kind of entry, every shape of name."""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildrules.errors import IntegrityError
from buildrules.oci.local import Local
from buildrules.oci.parts.deb import DROP, expand, read, read_control
from buildrules.oci.parts.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Chunks, Entry
from buildrules.store.blobs import Blobs

MakeDeb = Callable[..., Path]


def info(path: str, kind: bytes, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(path)
    made.type, made.linkname, made.mode = kind, link, mode
    return made


def entries(path: Path, drop: list[str] | None = None) -> dict[str, Entry]:
    return {entry.path: entry for entry in read(str(path), DROP if drop is None else drop)}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (("../etc/passwd", b""), "climbs"),
        (("./usr/../../x", b""), "climbs"),
        (("/etc/passwd", b""), "is absolute"),
        (("usr//bin/x", b""), "is not normalised"),
        (("./usr/lib/.wh..wh..opq", b""), "is a whiteout"),
        (info("x", tarfile.CHRTYPE), "is a character device"),
        (info("x", tarfile.BLKTYPE), "is a block device"),
        (info("x", tarfile.FIFOTYPE), "is a named pipe"),
        (info("x", b"Z"), "is of unknown type"),
        (info("usr/x", tarfile.SYMTYPE, "../../etc"), "leaves the root"),
        (info("usr/x", tarfile.LNKTYPE, "../etc/shadow"), "climbs"),
        (info("usr/x", tarfile.LNKTYPE, "/etc/shadow"), "is absolute"),
    ],
)
def test_hostile_members(make_deb: MakeDeb, entry: Any, says: str) -> None:
    with pytest.raises(IntegrityError, match=says):
        entries(make_deb(entry))


@pytest.mark.parametrize("link", ["/etc", "../etc"])
def test_nothing_is_written_through_a_link(make_deb: MakeDeb, tmp_path: Path, link: str) -> None:
    from buildrules.oci.assemble import assemble
    from buildrules.oci.recipe import gzip

    path = make_deb(info("usr/door", tarfile.SYMTYPE, link), ("usr/door/passwd", b"evil"))
    blobs = Blobs(str(tmp_path / "store"))
    digest = blobs.put(path.read_bytes())
    with pytest.raises(IntegrityError, match="usr/door"):
        assemble(gzip([{"kind": "deb", "digest": digest, "drop": []}], 6), Local(blobs))


def test_as_a_part_of_a_recipe(make_deb: MakeDeb, tmp_path: Path) -> None:
    path = make_deb(("./usr/share/doc/x/copyright", b"c"), ("./usr/share/doc/x/README", b"r"), ("./etc/x", b"x"))
    blobs = Blobs(str(tmp_path / "store"))
    part = {"kind": "deb", "digest": blobs.put(path.read_bytes()), "drop": ["usr/share/*", "etc"]}
    assert [entry.path for entry in expand(part, Local(blobs))] == ["usr/share/doc/x/copyright"]


def test_merged_usr(make_deb: MakeDeb) -> None:
    found = entries(
        make_deb(
            info("./", tarfile.DIRTYPE, mode=0o755),
            info("./bin/", tarfile.DIRTYPE, mode=0o755),
            ("./bin/tool", b"t"),
            info("./sbin/tool", tarfile.LNKTYPE, "./bin/tool"),
            info("./lib64", tarfile.SYMTYPE, "usr/lib64"),
            ("./lib32/x", b""),
            ("./libexec/x", b""),
            info("./lib/short", tarfile.SYMTYPE, "/lib/long"),
        )
    )
    assert {path: entry.kind for path, entry in found.items()} == {
        "usr/bin": DIRECTORY, "usr/bin/tool": FILE, "usr/sbin/tool": HARDLINK, "usr/lib32/x": FILE, "libexec/x": FILE,
        "usr/lib/short": SYMLINK,
    }  # fmt: skip
    assert found["usr/sbin/tool"].link == "usr/bin/tool"
    assert found["usr/lib/short"].link == "/lib/long"


def test_modes(make_deb: MakeDeb) -> None:
    su, folder = tarfile.TarInfo("usr/bin/su"), info("var/mail", tarfile.DIRTYPE, mode=0o2775)
    su.mode = 0o6755
    found = entries(make_deb(su, folder, info("tmp", tarfile.DIRTYPE, mode=0o1777)))
    assert {path: entry.mode for path, entry in found.items()} == {
        "usr/bin/su": 0o755,
        "var/mail": 0o775,
        "tmp": 0o1777,
    }


@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_every_length(make_deb: MakeDeb, style: int) -> None:
    names = ["a" * length for length in (99, 100, 101, 250)]
    names += ["/".join(["d" * 60] * count) for count in (2, 3, 5)] + ["ő/Főtanúsítvány.crt"]
    links = [info(f"link{number}", tarfile.SYMTYPE, "t" * length) for number, length in enumerate((99, 100, 101, 300))]
    hard = info("h", tarfile.LNKTYPE, "./" + "a" * 250)
    found = entries(make_deb(*((name, name.encode()) for name in names), *links, hard, style=style))
    for name in names:
        assert found[name].content == name.encode()
    assert [len(found[f"link{number}"].link) for number in range(4)] == [99, 100, 101, 300]
    assert found["h"].link == "a" * 250


def test_large_files_come_in_chunks(make_deb: MakeDeb) -> None:
    big, after = os.urandom(1 << 16) * 150 + b"odd", b"after"
    path = make_deb(("usr/lib/big", big), ("usr/lib/after", after))
    digest = hashlib.sha256()
    for entry in read(str(path), []):
        if isinstance(entry.content, Chunks):
            for chunk in entry.content.make():
                digest.update(chunk)
    assert digest.digest() == hashlib.sha256(big).digest()
    assert entries(path)["usr/lib/after"].content == after  # also where nobody read the large one


def test_control(make_deb: MakeDeb) -> None:
    assert read_control(str(make_deb(name="good"))).splitlines()[0] == "Package: good"


def test_not_a_package(tmp_path: Path, deb_tools: Any) -> None:
    ar, raw_deb, _ = deb_tools
    whole = raw_deb([("usr/x", b"x" * 5000)])
    member = whole.index(b"data.tar.xz")
    cases = {
        "is not a Debian package": b"PK\3\4",
        "has no data.tar": ar(("debian-binary", b"2.0\n"), ("control.tar.xz", b"")),
        "of format 2": ar(("other", b"2.0\n"), ("data.tar", b"")),
        "unknown way": ar(("debian-binary", b"2.0\n"), ("data.tar.br", b"x")),
        "cannot be unpacked": ar(("debian-binary", b"2.0\n"), ("data.tar.xz", b"no xz at all")),
        "truncated header": ar(("debian-binary", b"2.0\n"), ("data.tar", b"x" * 100)),
        "bad checksum": ar(("debian-binary", b"2.0\n"), ("data.tar", b"7" * 512)),
        "cut short or malformed": whole[: member + 80],
    }
    for says, data in cases.items():
        path = tmp_path / "bad.deb"
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=says):
            entries(path)


def _plain(tmp_path: Path, ar: Any, content: bytes, change: Callable[[bytearray], bytes | bytearray]) -> Path:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("a", "b"):
            made = info(name, tarfile.REGTYPE)
            made.size = len(content)
            archive.addfile(made, io.BytesIO(content))
    path = tmp_path / "plain.deb"
    path.write_bytes(ar(("debian-binary", b"2.0\n"), ("data.tar", bytes(change(bytearray(sink.getvalue()))))))
    return path


def test_a_damaged_header_is_an_error_wherever_it_stands(tmp_path: Path, deb_tools: Any) -> None:
    def change(data: bytearray) -> bytearray:
        data[1024] ^= 1  # the name of the second file
        return data

    with pytest.raises(IntegrityError, match="bad checksum"):
        entries(_plain(tmp_path, deb_tools[0], b"x" * 512, change))


def test_a_large_file_that_is_cut_short(tmp_path: Path, deb_tools: Any) -> None:
    path = _plain(tmp_path, deb_tools[0], bytes(9 << 20), lambda data: data[: 8 << 20])
    found = read(str(path), [])
    entry = next(found)
    assert isinstance(entry.content, Chunks)
    with pytest.raises(IntegrityError, match="unexpected end of data"):
        list(entry.content.make())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_an_integrity_error_or_harmless(data: st.DataObject, tmp_path: Path, deb_tools: Any) -> None:
    ar, _, _ = deb_tools
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info("./etc", tarfile.DIRTYPE, mode=0o755))
        archive.addfile(info("./" + "n" * 120, tarfile.SYMTYPE, "etc"))
    whole = bytearray(ar(("debian-binary", b"2.0\n"), ("data.tar", sink.getvalue()[:4096])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.deb"
    path.write_bytes(whole)
    try:
        for entry in read(str(path), []):
            assert ".." not in entry.path.split("/")
            assert not entry.path.startswith("/")
    except IntegrityError:
        pass
