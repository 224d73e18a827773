"""Records on their way to others and back: what is sent, what of it is believed, and two results for one key."""

import contextlib
import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildrules.cli.sharing import MANY, Sharing
from buildrules.engine.action import Outputs
from buildrules.engine.borrowed import Reader, nearest_key, pack_key
from buildrules.engine.build import Build
from buildrules.engine.cache import Record
from buildrules.engine.events import Notice, Status, Stream
from buildrules.engine.kind import Context, Traits
from buildrules.engine.parcel import LARGEST, SMALL, RecordParcel, named, naming, packed, parcel_of, unpacked
from buildrules.engine.publishing import LARGEST_PACK
from buildrules.engine.step import Step
from buildrules.net.session import Session
from buildrules.remote.envelope import Envelope, address
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend
from buildrules.remote.trust import Trust
from buildrules.store.blobs import Blobs
from buildrules.store.store import Store
from tests.support.bench import Bench, text_of

DIGEST = "sha256:" + "a" * 64


class Team:
    """Builds that share a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.cache.mkdir()
        self.told: list[str] = []
        self.figures: dict[str, int] = {}

    def machine(self, name: str) -> Bench:
        (self.folder / name).mkdir()
        return Bench(self.folder / name)

    def many(self, name: str, *, start: int = 0) -> Bench:
        """A machine with a large plan, whose content is too large to travel with its records."""
        bench = self.machine(name)
        for number in range(start, start + 2 * MANY):
            bench.add(f"a{number}", goal=True, text=str(number) * SMALL)
        return bench

    def packed(self, bench: Bench) -> dict[str, Any]:
        """The records of the pack for the goals of a plan."""
        place = Guarded(open_backend(f"file://{self.cache}", Session()))
        found = list(Reader([place], ["main"], Trust()).found(pack_key("", bench.plan.goals)))
        return found[0].body if found else {}

    def build(self, bench: Bench, *, asks: bool = True, writes: bool = True) -> Build:
        """With `asks` off nothing is looked up, as where somebody else is a moment faster."""

        def hear(event: Any) -> None:
            if isinstance(event, Notice):
                self.told.append(event.message)

        settings = {"remote": [f"file://{self.cache}"], "writes": writes, "namespace": "main"}
        store = Store(str(bench.store_root))
        sharing = Sharing(settings, str(bench.root), store, Session(), Stream(hear), bench.kinds.fits)
        store.blobs.elsewhere = sharing
        if not asks:
            sharing.get = lambda _: None  # type: ignore[method-assign]
        sharing.expect(bench.plan.goals, len(bench.plan.actions))
        build = bench.build(store, shared=sharing)
        actions = bench.plan.actions

        def keys() -> list[str]:
            kinds = {name: bench.kinds.named(actions[name].kind) for name in build.outcomes}
            return [one.key for name, one in build.outcomes.items() if kinds[name].traits.shareable]

        sharing.finish(bench.plan.goals, keys, build.here)
        self.figures = sharing.figures()
        sharing.close()
        store.close()
        return build


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def statuses(build: Build) -> set[Status]:
    return {outcome.status for outcome in build.outcomes.values()}


def test_two_results_for_one_key_are_told_and_the_first_stays(team: Team) -> None:
    first, second, third = (team.machine(name) for name in ("first", "second", "third"))
    for bench in (first, second, third):
        bench.kinds.works["random"] = lambda step, context: Outputs(blobs={"it": context.blobs.put(os.urandom(9))})
        bench.add("a", kind="random", goal=True)
    made = team.build(first).outcomes["a"].outputs
    assert made is not None and not team.told
    other = team.build(second, asks=False).outcomes["a"].outputs
    assert other is not None and other != made
    (line,) = team.told
    assert line.startswith("a came out otherwise than what the cache has for the same inputs")
    assert made.blobs["it"][7:19] in line and other.blobs["it"][7:19] in line
    assert team.build(third).outcomes["a"].outputs == made


def test_what_depends_on_this_host_is_neither_sent_nor_asked_for(team: Team) -> None:
    for name in ("first", "second"):
        bench = team.machine(name)
        bench.kinds.traits["host"] = Traits(shareable=False)
        bench.kinds.works["host"] = text_of
        bench.add("here", kind="host", goal=True)
        build = team.build(bench)
        assert statuses(build) == {Status.EXECUTED}
        assert team.figures["sent"] == team.figures["requests"] == 0


def test_many_records_come_as_one(team: Team) -> None:
    first, second = team.machine("first"), team.machine("second")
    for bench in (first, second):
        for number in range(4 * MANY):
            bench.add(f"a{number}", goal=True, text=str(number))
    team.build(first)
    assert statuses(team.build(second)) == {Status.CACHED}
    assert team.figures["records"] == 4 * MANY
    assert team.figures["requests"] == 1
    sent = len(list((team.cache / "ac").rglob("*")))
    team.build(team.machine("third"))
    assert len(list((team.cache / "ac").rglob("*"))) == sent, "an unchanged pack was sent again"


def test_a_larger_plan_takes_what_a_pack_has_and_asks_for_the_rest(team: Team) -> None:
    first, second = team.machine("first"), team.machine("second")
    for number in range(2 * MANY):
        for bench in (first, second):
            bench.add(f"a{number}", goal=True, text=str(number if bench is first or number else "other"))
    team.build(first)
    build = team.build(second)
    ran = [name for name, outcome in build.outcomes.items() if outcome.status is Status.EXECUTED]
    assert ran == ["a0"]


def test_a_writer_that_takes_everything_but_one_leaves_a_whole_pack(team: Team) -> None:
    first = team.many("first")
    team.build(first)
    assert len(team.packed(first)) == 2 * MANY
    second = team.many("second")
    second.plan.actions["a0"] = second.plan.actions["a0"]._replace(params={"text": "another"})
    build = team.build(second)
    assert second.kinds.ran == ["a0"]
    keys = set(team.packed(first))
    assert keys == {outcome.key for outcome in build.outcomes.values()}
    second.plan.actions["a1"] = second.plan.actions["a1"]._replace(params={"text": "yet another"})
    assert team.build(second).ok and second.kinds.ran == ["a1"], "what was borrowed before is in the store"
    assert len(team.packed(first)) == 2 * MANY and len(set(team.packed(first)) - keys) == 1


def test_what_is_older_than_the_cache_is_sent_with_the_pack(team: Team) -> None:
    first = team.many("first")
    assert first.build().ok
    assert statuses(team.build(first)) == {Status.CACHED}
    assert team.figures["sent"] == 2 * MANY + 1
    sent = sorted(team.cache.rglob("*"))
    assert len([path for path in sent if path.stat().st_size > SMALL]) >= 2 * MANY
    shutil.rmtree(team.cache)
    team.cache.mkdir()
    team.build(first)
    assert sorted(team.cache.rglob("*")) == sent
    team.build(first)
    assert team.figures["requests"] == 1 and team.figures["sent"] == 0, "all is there"
    assert statuses(team.build(team.many("second"))) == {Status.CACHED}


def test_a_pack_promises_nothing_that_is_nowhere(team: Team) -> None:
    first, second = team.many("first"), team.many("second")
    team.build(first)
    lost = sorted(path for path in (team.cache / "cas").rglob("*") if path.is_file())[:3]

    def loses(step: Step, context: Context) -> Outputs:
        for path in lost:
            path.unlink()
        return text_of(step, context)

    second.kinds.works["loses"] = loses
    second.add("more", *second.plan.actions, kind="loses", goal=True)
    build = team.build(second)
    assert second.kinds.ran == ["more"]
    rows = team.packed(second)
    assert build.outcomes["more"].key in rows and len(rows) == 2 * MANY + 1 - len(lost)
    assert not {f"sha256:{path.name}" for path in lost} & {digest for row in rows.values() for digest in row["sizes"]}


def test_an_upload_that_breaks_is_told(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("buildrules.engine.publishing.parcel_of", broken)
    bench = team.machine("first")
    bench.add("a", goal=True)
    assert team.build(bench).ok
    assert team.told == ["1 of 1 records could not be sent to the cache; nothing else is lost"]


@pytest.mark.parametrize("body", [[], [{}], "text", 5, None])
def test_what_is_packed_and_no_record_is_counted(team: Team, body: object) -> None:
    place = Guarded(open_backend(f"file://{team.cache}", Session()))
    blob, data = packed(body)
    assert place.write(blob, lambda: [data])
    key = nearest_key("//:t", "a")
    place.put(address("main", key), Envelope(key, "main", naming(blob)).seal(None))
    reader = Reader([place], ["main"], Trust())
    assert list(reader.found(key)) == []
    assert reader.malformed == 1


def test_a_full_disk_under_the_cache_costs_a_warning(team: Team, small_disk: Path) -> None:
    team.cache = small_disk
    with contextlib.suppress(OSError), open(small_disk / "full", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    bench = team.machine("first")
    bench.add("a", goal=True)
    assert team.build(bench).ok
    assert team.told


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Store(str(tmp_path / "store")).blobs


def fits(_: str, outputs: Outputs) -> bool:
    return outputs.values.get("whole", True) is True


def test_a_parcel_comes_back_as_it_was(blobs: Blobs) -> None:
    small, large = blobs.put(b"small"), blobs.put(bytes(SMALL + 1))
    record = Record(Outputs(blobs={"one": small, "two": large, "three": small}), "text/1", DIGEST)
    parcel = parcel_of(record, blobs)
    assert parcel is not None
    assert (parcel.sizes, parcel.content) == ({large: SMALL + 1}, {small: b"small"})
    assert RecordParcel.from_dict(parcel.to_dict(), fits) == parcel
    blobs.discard(large)
    assert parcel_of(record, blobs) is None


def _set(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        for name in path[:-1]:
            value = value[name]
        value[path[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("more", to=1),
        _set("record", to=[]),
        _set("record", "listing", to="../../x"),
        _set("record", "kind", to=5),
        _set("record", "outputs", "values", to={"whole": 5}),
        _set("record", "outputs", "blobs", "one", to="sha256:../../../etc/passwd"),
        _set("record", "outputs", "blobs", "more", to=DIGEST),
        _set("sizes", to={}),
        _set("sizes", DIGEST, to=1),
        _set("sizes", "../x", to=1),
        _set("content", DIGEST, to="YWJj"),
        _set("content", DIGEST, to="no base64"),
        _set("content", to=[["a"]]),
    ],
)
def test_a_parcel_of_another_form_is_none(change: Callable[[dict[str, Any]], None], blobs: Blobs) -> None:
    record = Record(Outputs(blobs={"one": blobs.put(bytes(SMALL + 1))}), "text/1", DIGEST)
    parcel = parcel_of(record, blobs)
    assert parcel is not None
    value = copy.deepcopy(parcel.to_dict())
    change(value)
    with pytest.raises(ValueError, match=r"."):
        RecordParcel.from_dict(value, fits)


@pytest.mark.parametrize("size", [-1, 0, True, 1.5, "1", LARGEST + 1])
def test_only_a_blob_of_sensible_size_is_unpacked(size: Any) -> None:
    with pytest.raises(ValueError, match="too large"):
        named({"packed": {"digest": DIGEST, "size": size}})


def test_what_is_packed_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LARGEST_PACK < LARGEST <= 64 << 20
    value = {"a": "b" * 5000}
    _, data = packed(value)
    assert unpacked(data) == value
    for wrong in (data[:-3], data + b"x", b"", b"junk", packed([float("1e308")])[1][:-1]):
        with pytest.raises(ValueError, match=r"."):
            unpacked(wrong)
    monkeypatch.setattr("buildrules.engine.parcel.LARGEST", 4000)
    with pytest.raises(ValueError, match="no end in time"):
        unpacked(data)
