"""Bundles that nobody made in good faith, or that were damaged on their way: nothing of them is believed or left."""

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildrules.errors import BuildrulesError, IntegrityError
from buildrules.oci.archive_file import ArchiveFile
from buildrules.oci.copying.bundle import Bundle
from buildrules.oci.copying.into_layout import write_parcels
from buildrules.oci.copying.listing import Listing, read_listing
from buildrules.oci.copying.parcel import built_parcel
from buildrules.oci.copying.received import Received
from buildrules.oci.image import Image, build_index
from tests.support.handmade import Shelf, image_of

Rows = list[tuple[tarfile.TarInfo, bytes]]


class Sender:
    """Two images that share a layer, one of them for two platforms."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        shared = self.shelf.layer({"opt/shared": b"shared " * 300}, packed=True)
        own = self.shelf.layer({"opt/own": b"own"})
        self.image = image_of([shared, own])
        both: list[tuple[str, Image]] = [(name, image_of([shared], name)) for name in ("linux/amd64", "linux/arm64")]
        self.index = build_index([(name, one.descriptor()) for name, one in both], [one for _, one in both])
        self.shared, self.own = shared.digest, own.digest

    def bundle(self, **held: int) -> Bundle:
        contents = {"acme/app:1": self.image, "acme/both:2": self.index}
        parcels = [built_parcel(name, content, self.shelf.stream) for name, content in contents.items()]
        return Bundle(parcels, {f"sha256:{digest}": size for digest, size in held.items()})

    def write(self, path: Path, **held: int) -> Path:
        self.bundle(**held).write(str(path))
        return path


@pytest.fixture(scope="module")
def sender() -> Sender:
    return Sender()


def unpacked(bundle: Path, out: Path) -> None:
    """What `unbundle --layout` does."""
    with Received(str(bundle)) as received:
        write_parcels(str(out), received.parcels, lambda *_: None, received.listing.expected)


def rows(bundle: Path) -> Rows:
    with tarfile.open(bundle) as archive:
        return [(one, archive.extractfile(one).read() if one.isreg() else b"") for one in archive]  # type: ignore[union-attr]


def repacked(path: Path, found: Rows, form: int = tarfile.PAX_FORMAT) -> Path:
    """A tar of these entries, whatever they are."""
    with tarfile.open(path, "w", format=form) as archive:
        for one, data in found:
            archive.addfile(one, io.BytesIO(data))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, size
    return found


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "odd",
    [
        entry("../evil"),
        entry("/etc/evil"),
        entry("blobs/sha256/../../../evil"),
        entry("blobs/evil", tarfile.SYMTYPE, "/etc"),
        entry("blobs/evil", tarfile.LNKTYPE, "oci-layout"),
        entry("blobs/evil", tarfile.CHRTYPE),
        entry("blobs/evil", tarfile.FIFOTYPE),
        entry("blobs/sha256/" + "0" * 64),
        entry("evil"),
        entry("oci-layout"),
        entry("bundle.json"),
        entry("x" * 5000),
        entry("evil\x1b[31m"),
    ],
    ids=lambda one: f"{one.name[:30]!a} {one.type!r}",
)
@pytest.mark.parametrize("first", [True, False])
def test_an_entry_that_does_not_belong_there_is_refused(
    sender: Sender, tmp_path: Path, odd: tarfile.TarInfo, first: bool
) -> None:
    found = rows(sender.write(tmp_path / "a.tar"))
    found.insert(0 if first else len(found), (odd, b""))
    with pytest.raises(BuildrulesError) as caught:
        unpacked(repacked(tmp_path / "b.tar", found), tmp_path / "out")
    assert "\x1b" not in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "b.tar"]


def test_a_header_without_end_is_refused(sender: Sender, tmp_path: Path) -> None:
    found = rows(sender.write(tmp_path / "a.tar"))
    found[-1][0].pax_headers = {"comment": "x" * (2 << 20)}
    with pytest.raises(IntegrityError, match="a name or attribute of"):
        unpacked(repacked(tmp_path / "b.tar", found), tmp_path / "out")


@pytest.mark.parametrize("name", ["evil", "index.json"])
@pytest.mark.parametrize("size", [-1, -300])
def test_an_entry_of_less_than_nothing_is_refused(tmp_path: Path, name: str, size: int) -> None:
    (tmp_path / "a.tar").write_bytes(entry(name, size=size).tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(IntegrityError, match=f"'{name}' has the size {size}"):
        ArchiveFile(str(tmp_path / "a.tar"))


def test_a_bundle_that_was_packed_again_is_the_same(sender: Sender, tmp_path: Path) -> None:
    unpacked(sender.write(tmp_path / "a.tar"), tmp_path / "out")
    again = [(entry("./" + one.name, one.type, size=one.size), data) for one, data in rows(tmp_path / "a.tar")]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        unpacked(repacked(tmp_path / "b.tar", again, form), tmp_path / "again")
        assert everything(tmp_path / "again") == everything(tmp_path / "out")


def said(change: Callable[[dict[str, Any]], None]) -> Callable[[Rows], None]:
    """A change of the list."""

    def apply(found: Rows) -> None:
        place = next(at for at, (one, _) in enumerate(found) if one.name == "bundle.json")
        value = json.loads(found[place][1])
        change(value)
        data = json.dumps(value).encode()
        found[place] = entry("bundle.json", size=len(data)), data

    return apply


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda list_: list_.update(version=2), "update buildrules"),
        (lambda list_: list_["images"].pop(), "is not that of its images"),
        (lambda list_: list_["images"][0].update(name="acme/app"), "without a tag"),
        (lambda list_: list_["images"][0].update(name="a\x1b[31m:1"), "not an image name"),
        (lambda list_: list_["images"][0].update(digest="sha256:" + "1" * 64), "lacks the manifest"),
        (lambda list_: list_["images"][0].update(size=3), "says of"),
        (lambda list_: list_["images"][0].update(digest="../../x"), "is not the list"),
        (lambda list_: list_["blobs"].update({"sha256:" + "1" * 64: 3}), "lacks 'blobs/sha256/1111"),
        (lambda list_: list_["expected"].update({"sha256:" + "1" * 64: 3}), "is not that of its images"),
        (lambda list_: list_["blobs"].popitem(), "its list says nothing"),
        (lambda list_: list_["blobs"].update({"../x": 3}), "is not a digest"),
        (lambda list_: list_.pop("expected"), "is not the list"),
    ],
)
def test_a_list_that_is_not_that_of_the_bundle_is_refused(
    sender: Sender, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    found = rows(sender.write(tmp_path / "a.tar"))
    said(change)(found)
    with pytest.raises(BuildrulesError) as caught:
        unpacked(repacked(tmp_path / "b.tar", found), tmp_path / "out")
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert not (tmp_path / "out").exists()


def test_what_the_other_side_has_is_named_and_left_out(sender: Sender, tmp_path: Path) -> None:
    shared = len(sender.shelf.data[sender.shared])
    bundle = sender.bundle(**{sender.shared[7:]: shared, sender.own[7:]: 1})
    assert dict(bundle.listing.expected) == {sender.shared: shared}
    assert sender.own in bundle.listing.blobs  # the other side has something else by that name
    assert read_listing(bundle.listing.to_bytes(), "it") == Listing(
        bundle.listing.images, dict(bundle.listing.blobs), dict(bundle.listing.expected)
    )


def changed_at_a_place(data: bytes, place: int, bit: int) -> bytes:
    found = bytearray(data)
    found[place] ^= 1 << bit
    return bytes(found)


@pytest.fixture(scope="module")
def sound(sender: Sender, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[bytes, dict[str, bytes]]]:
    """A bundle, and the layout it becomes."""
    folder = tmp_path_factory.mktemp("sound")
    unpacked(sender.write(folder / "a.tar"), folder / "out")
    yield (folder / "a.tar").read_bytes(), everything(folder / "out")


@given(data=st.data())
@settings(max_examples=int(os.environ.get("BUILDRULES_TEST_CASES", "60")), deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_a_damaged_bundle_is_an_error_or_the_same_images(
    sound: tuple[bytes, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    bundle, wanted = sound
    if data.draw(st.booleans(), "cut"):
        changed = bundle[: data.draw(st.integers(0, len(bundle) - 1), "length")]
    else:
        place = data.draw(st.integers(0, len(bundle) - 1), "place")
        changed = changed_at_a_place(bundle, place, data.draw(st.integers(0, 7), "bit"))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "b.tar").write_bytes(changed)
    try:
        unpacked(folder / "b.tar", folder / "out")
    except BuildrulesError:
        assert not (folder / "out" / "index.json").exists()
    else:
        assert everything(folder / "out") == wanted
