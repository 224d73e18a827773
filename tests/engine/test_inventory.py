"""What is removed from a place depends on what stands in its records: where that cannot be read, nothing is removed."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from buildrules.cli.errand import Errand
from buildrules.cli.upkeep import Upkeep
from buildrules.engine import inventory
from buildrules.engine.inventory import MALFORMED, MISPLACED, Inventory
from buildrules.engine.parcel import naming, packed
from buildrules.errors import FetchError
from buildrules.net.session import Session
from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, Body, Entry, RemoteError
from buildrules.remote.envelope import Envelope, address
from buildrules.remote.folder import open_place
from buildrules.remote.keys import PrivateKey
from buildrules.remote.trust import FOREIGN, UNSIGNED, Trust
from tests.remote.places import blob_of

CI = PrivateKey("ci", b"c" * 32)
OLD = 100 * 86400


class Place:
    """A folder that answers as told. `fault` is asked about each read: what it raises is what the reader meets."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.folder = open_place(f"file://{root}", Session(), None)
        self.fault: Callable[[str], None] = lambda _: None

    def get(self, key: str) -> bytes | None:
        self.fault("record")
        return self.folder.records.get(key)

    def put(self, key: str, data: bytes, blobs: Sequence[Blob], *, replace: bool = False) -> None:
        self.folder.records.put(key, data, blobs, replace=replace)

    def read(self, blob: Blob, offset: int = 0) -> Iterator[bytes]:
        self.fault("content")
        yield from self.folder.content.read(blob, offset)

    def holds(self, blobs: Sequence[Blob]) -> set[str]:
        return self.folder.content.holds(blobs)

    def write(self, blob: Blob, body: Body) -> None:
        self.folder.content.write(blob, body)

    def entries(self) -> Iterator[Entry]:
        """As if all had been written long ago."""
        assert self.folder.shelf is not None
        for entry in self.folder.shelf.entries():
            yield entry._replace(written=entry.written - OLD)

    def remove(self, entry: Entry) -> None:
        self.fault("remove")
        assert self.folder.shelf is not None
        self.folder.shelf.remove(entry)

    def add(self, key: str, body: dict[str, object], signer: PrivateKey | None = CI, namespace: str = "main") -> str:
        """A record, and where it is."""
        where = address(namespace, key)
        self.put(where, Envelope(key, namespace, body).seal(signer), [])
        return where

    def keep(self, data: bytes) -> Blob:
        blob = blob_of(data)
        self.write(blob, lambda: [data])
        return blob

    def files(self) -> set[str]:
        return {path.name for path in self.root.rglob("*") if path.is_file()}

    def inventory(self, *, strict: bool = False) -> Inventory:
        backend = Backend("test://place", self, self, self)
        return Inventory(backend, Trust("require", [CI.public(("main",))]), strict=strict)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "_PAUSES", (0.0, 0.0))


def read(place: Place) -> dict[str, inventory.Written]:
    found = place.inventory()
    records = [entry for entry in found.entries() if entry.kind == "record"]
    return {one.entry.name: one for one in found.read(records, lambda *_: None)}


def parcel(blob: Blob, kind: str = "wheel/3") -> dict[str, object]:
    return {"record": {"kind": kind}, "sizes": {blob.digest: blob.size}, "content": {}}


def test_each_record_is_known_for_what_it_is(place: Place) -> None:
    blob = place.keep(b"wheel")
    long, data = packed({"k" * 64: parcel(blob), "l" * 64: parcel(blob)})
    place.write(long, lambda: [data])
    one = place.add("1" * 64, parcel(blob))
    many = place.add("2" * 64, naming(long))
    saw = place.add("3" * 64, {"sees": {}, "key": "1" * 64, "target": "//:app", "title": "wheel a"})
    unsigned = place.add("4" * 64, parcel(blob), None)
    foreign = place.add("5" * 64, parcel(blob), namespace="developer/ada")
    place.put("6" * 64, Envelope("7" * 64, "main", parcel(blob)).seal(CI), [])
    place.put("8" * 64, b'{"version": 2, "content": "%s"}' % blob.digest.encode(), [])
    found = read(place)
    assert found[one].holds == "wheel/3" and found[one].wrong == "" and found[one].needs == [blob]
    assert found[many].holds == "2 records in one" and found[many].needs == [long, blob, blob]
    assert {long.digest, blob.digest} <= found[many].names
    assert (found[saw].holds, found[saw].about) == ("what a step saw", (found[one].key, "//:app wheel a"))
    assert (found[unsigned].wrong, found[foreign].wrong) == (UNSIGNED, FOREIGN)
    assert found["6" * 64].wrong == MISPLACED
    assert found["8" * 64].wrong == MALFORMED and blob.digest in found["8" * 64].names


def upkeep(place: Place) -> Upkeep:
    return Upkeep(Errand(quiet=True), place.inventory())


def test_what_a_living_record_names_stays_however_it_names_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, loose = place.keep(b"wheel"), place.keep(b"loose")
    long, data = packed({"k" * 64: parcel(inner)})
    place.write(long, lambda: [data])
    place.add("1" * 64, naming(long))
    upkeep(place).expire(records=2 * OLD, content=1.0, dry_run=False)
    assert place.inventory().sound(inner) and long.digest.removeprefix("sha256:") in place.files()
    assert loose.digest.removeprefix("sha256:") not in place.files()


@pytest.mark.parametrize("what", ["record", "content"])
@pytest.mark.parametrize("retry", [True, False])
def test_where_something_cannot_be_read_nothing_is_removed(place: Place, what: str, retry: bool) -> None:
    inner = place.keep(b"wheel")
    long, data = packed({"k" * 64: parcel(inner)})
    place.write(long, lambda: [data])
    place.add("1" * 64, naming(long))
    before = place.files()

    def fault(asked: str) -> None:
        if asked == what:
            raise RemoteError("503", retry=retry)

    place.fault = fault
    for work in (
        lambda one: one.expire(records=2 * OLD, content=1.0, dry_run=False),
        lambda one: one.shrink(0, 0, dry_run=False),
        lambda one: one.verify(),
    ):
        with pytest.raises(FetchError, match="cannot be read: 503"):
            work(upkeep(place))
    assert place.files() == before


def test_an_attempt_that_fails_is_made_again(place: Place) -> None:
    place.add("1" * 64, parcel(place.keep(b"wheel")))
    faults = [RemoteError("429", retry=True), RemoteError("reset", retry=True)]

    def fault(asked: str) -> None:
        if faults:
            raise faults.pop()

    place.fault = fault
    assert len(read(place)) == 1


def test_what_is_written_meanwhile_and_what_it_names_stays(place: Place) -> None:
    used, loose = place.keep(b"used again"), place.keep(b"loose")
    old = place.add("1" * 64, {"sees": {}})
    listings = 0
    entries = place.entries

    def listed() -> Iterator[Entry]:
        nonlocal listings
        listings += 1
        if listings == 2:  # between the decision and the removal
            place.add("2" * 64, parcel(used))
        yield from entries()

    place.entries = listed  # type: ignore[method-assign]
    upkeep(place).expire(records=1.0, content=1.0, dry_run=False)
    left = place.files()
    assert used.digest.removeprefix("sha256:") in left and address("main", "2" * 64) in left
    assert old not in left and loose.digest.removeprefix("sha256:") not in left


def test_records_go_before_the_content_they_name(place: Place) -> None:
    for number in range(4):
        place.add(f"{number}" * 64, parcel(place.keep(f"wheel {number}".encode())))
    removed = 0

    def fault(asked: str) -> None:
        nonlocal removed
        removed += asked == "remove"
        if removed == 3:
            raise RemoteError("the connection broke")

    place.fault = fault
    with pytest.raises(FetchError, match="cannot be changed: the connection broke"):
        upkeep(place).expire(records=1.0, content=1.0, dry_run=False)
    place.fault = lambda _: None
    assert upkeep(place).verify() == 0


def test_a_record_that_took_the_place_of_another_meanwhile_is_no_broken_one(place: Place) -> None:
    where = place.add("1" * 64, parcel(place.keep(b"wheel")))
    new = blob_of(b"another wheel")

    def fault(asked: str) -> None:
        if asked == "record":
            place.fault = lambda _: None
            place.keep(b"another wheel")
            place.put(where, Envelope("1" * 64, "main", parcel(new)).seal(CI), [], replace=True)

    place.fault = fault
    assert upkeep(place).verify() == 0
    assert where in place.files()


def test_a_place_that_cannot_list_is_said(place: Place) -> None:
    with pytest.raises(FetchError, match="cannot say what it has"):
        Inventory(Backend("http://cache", place, place), Trust())


def test_times_are_of_this_clock(place: Place) -> None:
    place.keep(b"x")
    (entry,) = place.inventory().entries()
    assert abs(entry.written + OLD - time.time()) < 3600


def test_content_is_judged_by_its_listed_size_whatever_a_record_says(place: Place) -> None:
    blob = place.keep(b"wheel")
    right = place.add("1" * 64, parcel(blob))
    wrong = place.add("2" * 64, parcel(blob._replace(size=7)), None)
    assert upkeep(place).verify() == 1
    assert right in place.files() and blob.digest.removeprefix("sha256:") in place.files()
    assert wrong not in place.files(), "nothing of that size is there"


BLOB = blob_of(b"wheel")


@pytest.mark.parametrize(
    "planted",
    [
        b'{"version":1,"key":"%s","namespace":"\\ud800","writer":"ci","body":{},"signature":"AAAA"}' % (b"1" * 64),
        Envelope("1" * 64, "main", parcel(Blob("../../etc/passwd", 3))).seal(None),
        Envelope("1" * 64, "main", parcel(BLOB._replace(size=10**400))).seal(None),
        Envelope("1" * 64, "main", parcel(BLOB._replace(size=-1))).seal(None),
        b"x" * (LARGEST_RECORD + 1),
    ],
    ids=["namespace", "digest", "size", "negative", "long"],
)
def test_a_planted_record_stops_nothing(place: Place, planted: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    where = address("main", "1" * 64)
    place.put(where, planted, [])
    good = place.add("2" * 64, parcel(place.keep(b"wheel")))
    keeper = upkeep(place)
    keeper.info()
    assert keeper.audit(each=True) == 1
    assert "2 records, 1 without a trusted signature" in capsys.readouterr().out
    keeper.verify()
    keeper.expire(records=2 * OLD, content=2 * OLD, dry_run=False)
    keeper.shrink(1 << 40, 1 << 40, dry_run=False)
    assert good in place.files() and BLOB.digest.removeprefix("sha256:") in place.files()


def test_what_strangers_pack_is_not_unpacked_where_nobody_uses_it(place: Place) -> None:
    long, data = packed({"k" * 64: parcel(BLOB)})
    place.write(long, lambda: [data])
    where = place.add("1" * 64, naming(long), None)
    asked: list[str] = []
    place.fault = asked.append
    found = place.inventory(strict=True)
    (one,) = found.read([Entry("record", where, 1, 0.0)], lambda *_: None)
    assert (one.wrong, one.needs, asked) == (UNSIGNED, [long], ["record"])
    (one,) = place.inventory().read([Entry("record", where, 1, 0.0)], lambda *_: None)
    assert BLOB in (one.needs or ()), "where signatures are not required it may be in use"
