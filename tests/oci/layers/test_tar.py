"""The tar stream: read back by Python's and GNU's tar, and refusing what would leave the layer."""

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from buildrules.errors import IntegrityError
from buildrules.oci.parts import Chunks, Entry
from buildrules.oci.parts.entry import DIRECTORY, HARDLINK, SYMLINK
from buildrules.oci.paths import bad_link, bad_path
from buildrules.oci.tar import header, pieces


def tar_of(*entries: Entry) -> bytes:
    return b"".join(piece for piece in pieces(entries) if isinstance(piece, bytes))


def read(data: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            found[member.name] = (member, content.read() if content else b"")
    return found


def file(path: str, content: bytes = b"", mode: int = 0o644) -> Entry:
    return Entry(path, mode=mode, size=len(content), content=content)


def test_a_small_layer_has_these_bytes() -> None:
    data = tar_of(
        file("opt/model/config.json", b"{}\n"),
        file("opt/model/run", b"#!/bin/sh\n", 0o755),
        Entry("tmp", DIRECTORY, 0o1777),
        Entry("opt/current", SYMLINK, 0o777, link="model"),
        Entry("opt/model/same", HARDLINK, 0o644, link="opt/model/config.json"),
        file("p" * 90 + "/" + "n" * 90, b"split"),
        file("long/" + "x" * 300, b"pax"),
        file("größe", b"unicode"),
    )
    assert hashlib.sha256(data).hexdigest() == "b33ee5d218ce28797207267a5e6afc210d96044b0190afbf38b3c79976685b57"


def test_parents_stand_once_before_what_needs_them() -> None:
    members = [member for member, _ in read(tar_of(file("a/b/c"), file("a/b/d"), file("a/e/f"))).values()]
    assert [member.name for member in members] == ["a", "a/b", "a/b/c", "a/b/d", "a/e", "a/e/f"]
    assert {member.mode for member in members if member.isdir()} == {0o755}


def test_an_explicit_directory_keeps_its_mode() -> None:
    found = read(tar_of(Entry("tmp", DIRECTORY, 0o1777), file("tmp/x"), Entry("tmp", DIRECTORY, 0o1777)))
    assert list(found) == ["tmp", "tmp/x"]
    assert found["tmp"][0].mode == 0o1777


def test_nothing_of_the_host_is_in_a_header() -> None:
    for member, _ in read(tar_of(file("a/b", b"x"))).values():
        assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)


NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=40)
PATHS = st.one_of(
    st.lists(NAMES, min_size=1, max_size=12).map("/".join),
    st.lists(st.sampled_from(["a" * 30, "b" * 99, "ü" * 60, "c" * 100, "d" * 101]), min_size=1, max_size=6).map(
        "/".join
    ),
).filter(lambda path: bad_path(path) is None)


@settings(max_examples=150)
@given(PATHS, st.binary(max_size=1500), st.integers(0, 0o7777))
def test_any_file_is_read_back(path: str, content: bytes, mode: int) -> None:
    data = tar_of(file(path, content, mode))
    assert len(data) % 512 == 0
    found = read(data)
    member, read_back = found[path]
    assert (member.mode, read_back) == (mode, content)
    assert len(found) == path.count("/") + 1


@settings(max_examples=80)
@given(PATHS, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=400))
def test_any_link_is_read_back(path: str, target: str) -> None:
    absolute = "/" + target
    assume(bad_link("l/" + path, absolute) is None)
    member, _ = read(tar_of(Entry("l/" + path, SYMLINK, 0o777, link=absolute)))["l/" + path]
    assert member.linkname == absolute


@pytest.mark.parametrize("size", [(1 << 33) - 1, 1 << 33, 10**13])
def test_a_huge_size_is_read_back(size: int) -> None:
    blocks = header(Entry("models/" + "w" * 120, size=size, content=b""))
    assert (b" size=" in blocks) == (size >= 1 << 33)
    with tarfile.open(fileobj=io.BytesIO(blocks), mode="r|") as archive:
        member = archive.next()
    assert member is not None
    assert member.size == size


def test_gnu_tar_extracts_it(tmp_path: Path) -> None:
    names = ["a", "dir/" + "n" * 180, "d/" * 60 + "deep", "ü" * 90, "p" * 150 + "/" + "q" * 99]
    (tmp_path / "l.tar").write_bytes(tar_of(*(file(name, name.encode()) for name in names)))
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", "l.tar", "-C", "out"], cwd=tmp_path, check=True, env={"LC_ALL": "C.UTF-8"})
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == name.encode()


@pytest.mark.parametrize(
    "entries",
    [
        [file("../x")],
        [file("/x")],
        [file("a/./b")],
        [Entry("a", SYMLINK, 0o777, link="../b")],
        [Entry("a", SYMLINK, 0o777, link="/etc"), file("a/passwd")],
        [Entry("a", SYMLINK, 0o777, link="/etc"), Entry("a", DIRECTORY, 0o755)],
        [file("a"), file("a/b")],
        [file("a/b"), file("a")],
        [file("a/b"), Entry("a", SYMLINK, 0o777, link="c")],
        [Entry("a", HARDLINK, 0o644, link="b")],
        [Entry("a", HARDLINK, 0o644, link="a")],
        [Entry("d", DIRECTORY, 0o755), Entry("a", HARDLINK, 0o644, link="d")],
        [Entry("a", "device", 0o644)],
        [Entry("a", mode=0o10000)],
        [Entry("a", size=3, content=b"four")],
        [Entry("a", size=3, content=Chunks(lambda: iter([b"x", b"y"])))],
    ],
)
def test_what_does_not_stay_inside_is_refused(entries: list[Entry]) -> None:
    with pytest.raises(IntegrityError):
        tar_of(*entries)


def test_a_content_is_consumed_before_the_next_entry_is_asked_for() -> None:
    log: list[str] = []

    def chunks(name: str) -> Chunks:
        def make() -> object:
            log.append(name)
            yield b"x"
            log.append(name + " read")

        return Chunks(make)  # type: ignore[arg-type]

    def entries() -> object:
        for name in ("a", "b"):
            log.append("ask " + name)
            yield Entry(name, size=1, content=chunks(name))

    list(pieces(entries()))  # type: ignore[arg-type]
    assert log == ["ask a", "a", "a read", "ask b", "b", "b read"]
