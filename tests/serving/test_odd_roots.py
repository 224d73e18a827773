"""Images that no engine would start, or that are hard to lay out: one error says what they have where."""

import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import BuildrulesError, IntegrityError, ServingError
from buildrules.oci import unpacked as unpacked_module
from buildrules.oci import untar
from buildrules.serving.rootfs import unpack as unpack_module
from buildrules.serving.rootfs.log import LogTail
from buildrules.serving.rootfs.runner import RootfsRunner
from buildrules.serving.rootfs.unpack import unpack
from tests.support.tars import Row, Tars, link, special


@pytest.fixture
def tars() -> Tars:
    return Tars()


def deep(count: int) -> list[list[Row]]:
    """Layers with so many folders in each other, by ways of links."""
    step = "/".join(["d"] * 100)
    layers: list[list[Row]] = [[(step, None), link("l0", step)]]
    for number in range(count // 100 - 1):
        layers.append([(f"l{number}/{step}", None), link(f"l{number + 1}", f"l{number}/{step}")])
    return layers


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([[("n" * 256, "1")]], "no file system takes: File name too long: '.*nnn'"),
        ([[("n" * 256 + "/file", "1")]], "File name too long"),
        ([[link("a", "")]], "No such file or directory"),
        ([[link("a", "x" * 5000)]], "File name too long"),
        ([[("/".join(["d"] * 300), None)]], "more than 250 folders lie in each other at 'd/d/d"),
        ([[("/".join(["d"] * 2000), "1")]], "more than 250 folders"),
        ([*deep(1200), [("d/.wh..wh..opq", "")]], "more than 250 folders"),
        ([[("file", "1"), special("a", tarfile.LNKTYPE, "file/x")]], "'file' is in the way"),
    ],
)
def test_what_cannot_be_laid_out(tars: Tars, tmp_path: Path, layers: list[list[Row]], message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        unpack(str(tmp_path), [tars.layer(*rows) for rows in layers], tars.stream)


def test_deep_folders_are_hidden(tars: Tars, tmp_path: Path) -> None:
    layers = [tars.layer(("/".join(["d"] * 250), None)), tars.layer(("d/new", "1"), ("d/.wh..wh..opq", ""))]
    unpack(str(tmp_path), layers, tars.stream)
    assert os.listdir(tmp_path / "d") == ["new"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", bytes(3000)), ("b", bytes(3000))], "more than 4100 bytes"),
        ([special("a", b"S", size=1 << 40)], "a sparse file"),
        (
            [special("a", tarfile.REGTYPE, pax_headers={"GNU.sparse.size": "100", "GNU.sparse.map": "0,0"})],
            "a sparse",
        ),
        (
            [special("a", tarfile.REGTYPE, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})],
            "a sparse file",
        ),
        ([special("a", tarfile.REGTYPE, pax_headers={"comment": "x" * 5000})], "a name or attribute of 5... bytes"),
        ([special("x", tarfile.GNUTYPE_LONGNAME, size=5000), ("a", "1")], "a name or attribute of 5000 bytes"),
        ([special("a", tarfile.REGTYPE, pax_headers={"GNU.sparse.map": "x"})], "invalid literal"),
        ([(f"a{number}", "") for number in range(12)], "more than 10 entries"),
    ],
    ids=["bytes", "sparse", "sparse by pax", "sparse list", "attribute", "name", "nonsense", "entries"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_bombs(
    tars: Tars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Row], message: str, packed: bool
) -> None:
    limits = {"_SMALL": 4100, "_MOST_TIMES": 0}
    monkeypatch.setattr(untar, "_LONGEST_HEADER", 4096)
    for name, value in limits.items():
        monkeypatch.setattr(unpacked_module, name, value)
    monkeypatch.setattr(unpack_module, "MOST_ENTRIES", 10)
    with pytest.raises(IntegrityError, match=f"is not a sound tar: .*{message}"):
        unpack(str(tmp_path), [tars.layer(*rows, packed=packed)], tars.stream)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 4100


def test_a_layer_may_unpack_to_much_more_than_its_size(
    tars: Tars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked_module, "_SMALL", 0)
    layer = tars.layer(("a", bytes(90_000)), packed=True)
    assert layer.size < 1000
    with pytest.raises(IntegrityError, match="unpacks to more than"):
        unpack(str(tmp_path), [layer], tars.stream)
    monkeypatch.setattr(unpacked_module, "_MOST_TIMES", 1000)
    unpack(str(tmp_path), [layer], tars.stream)
    assert (tmp_path / "a").stat().st_size == 90_000


def start(tars: Tars, busybox: bytes, folder: Path, rows: list[Row], **settings: Any) -> str:
    """Run `true` in an image with these files: what it wrote."""
    package = tars.package(tars.layer(("bin/busybox", busybox), *rows), **settings)
    with RootfsRunner(str(folder)).start(package) as running:
        while running.state().running:
            time.sleep(0.01)
        return running.log()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("etc", "a file")], "cannot start '//:app': the image's /etc is not a directory"),
        ([link("etc", "circle"), link("circle", "etc")], "the image's /etc is not a directory"),
        ([("etc/hosts", None)], "the image's /etc/hosts is a directory"),
        ([("proc", "a file")], "the image's /proc is not a directory"),
        ([("app", "a file")], "the image's working directory /app/x is not a directory"),
    ],
)
def test_what_is_in_the_way_of_a_start(
    tars: Tars, busybox: bytes, tmp_path: Path, rows: list[Row], message: str
) -> None:
    with pytest.raises(ServingError, match=message) as caught:
        start(tars, busybox, tmp_path, rows, working_dir="/app/x")
    assert "be root" not in (caught.value.hint or "")
    assert list(tmp_path.glob("private-*")) == []


def test_a_folder_is_made_where_a_link_leads(tars: Tars, busybox: bytes, tmp_path: Path) -> None:
    command = ["/bin/busybox", "cat", "/made/up/hostname"]
    assert start(tars, busybox, tmp_path, [link("etc", "/made/up")], entrypoint=command) == "package\n"


def test_a_long_environment(tars: Tars, busybox: bytes, tmp_path: Path) -> None:
    long = {f"V{number}": "x" * 100_000 for number in range(6)}
    script = "echo ${#V0}${#V5}"
    command = ["/bin/busybox", "sh", "-c", script]
    assert start(tars, busybox, tmp_path, [], entrypoint=command, environment=long) == "100000100000\n"
    with pytest.raises(BuildrulesError, match="Argument list too long") as caught:
        start(tars, busybox, tmp_path, [], entrypoint=command, environment={"V": "x" * 200_000})
    assert "longer than linux gives to a program" in (caught.value.hint or "")


def test_a_package_may_write_without_end(tars: Tars, busybox: bytes, tmp_path: Path) -> None:
    script = "busybox yes | busybox head -c 50000000; echo the end > /dev/stderr"
    command = ["/bin/busybox", "sh", "-c", script]
    log = start(tars, busybox, tmp_path, [], entrypoint=command, user="1234")
    assert log.splitlines()[-2:] == ["y", "the end"]
    assert len(log.splitlines()) == 50


def test_the_tail_is_what_was_written_last() -> None:
    tail = LogTail(kept=10_000)
    with tail.input() as file:
        for number in range(5000):
            file.write(b"%d\n" % number)
        assert tail.text(3) == "4997\n4998\n4999\n"
        assert len(tail.text(10**6)) == 10_000
        file.write(b"half a line")
        assert tail.text(1) == "half a line\n"
    assert tail.text(1) == "half a line\n"
