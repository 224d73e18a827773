"""Caches: what each wrapper adds to asking and keeping."""

from collections.abc import Collection
from pathlib import Path

import pytest

from buildrules.engine.action import Outputs
from buildrules.engine.cache import Record, StoreCache, Whole, foresee, lacking
from buildrules.store.blobs import Blobs
from buildrules.store.store import Store

KEY = "k" * 64
DIGEST = "sha256:" + "a" * 64


def record(**blobs: str) -> Record:
    return Record(Outputs(values={"n": 1}, blobs=blobs), "text/1", DIGEST)


class Shelf:
    """A cache that is a dictionary."""

    def __init__(self, **rows: Record) -> None:
        self.rows = dict(rows)

    def get(self, key: str) -> Record | None:
        return self.rows.get(key)

    def put(self, key: str, record: Record) -> None:
        self.rows[key] = record


def test_a_store_keeps_what_was_put(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    kept = StoreCache(store.records)
    assert kept.get(KEY) is None
    kept.put(KEY, record())
    assert kept.get(KEY) == record()
    store.close()


@pytest.mark.parametrize("field", ["outputs", "kind", "listing", "program"])
@pytest.mark.parametrize("value", [None, 3, [], "remove"])
def test_a_malformed_record_is_none(tmp_path: Path, field: str, value: object) -> None:
    store = Store(str(tmp_path))
    data = record().to_dict()
    if value == "remove":
        del data[field]
    else:
        data[field] = value
    store.records.put(KEY, data)
    assert StoreCache(store.records).get(KEY) is None
    store.close()


def test_a_record_counts_if_all_it_needs_is_there(tmp_path: Path) -> None:
    blobs, told = Blobs(str(tmp_path)), []
    shelf = Shelf()
    cache = Whole(shelf, blobs, lambda key, what: told.append((key, what)))
    cache.put(KEY, record(text=DIGEST))
    assert cache.get(KEY) is None
    assert told == [(KEY, f"text {DIGEST[:19]} is missing from the store")]
    shelf.rows[KEY] = whole = record(text=blobs.put(b"text"))
    assert cache.get(KEY) == whole
    assert cache.get("other") is None
    assert len(told) == 1


def test_blobs_are_content(tmp_path: Path) -> None:
    from buildrules.store.content import Content

    blobs = Blobs(str(tmp_path))
    content: Content = blobs
    digest = blobs.put(b"0123456789")
    assert content.holds([digest, DIGEST]) == {digest}
    assert content.local(DIGEST) is None
    path = content.local(digest)
    assert path is not None and Path(path).read_bytes() == b"0123456789"
    with content.open(digest, 7) as file:
        assert file.read() == b"789"


def test_what_may_be_elsewhere_is_asked_for_at_once(tmp_path: Path) -> None:
    asked: list[set[str]] = []

    class Elsewhere:
        """Says yes, and remembers what it was asked."""

        def holds(self, digests: Collection[str]) -> set[str]:
            asked.append(set(digests))
            return set(digests)

        def bring(self, digest: str, size: int | None = None) -> bool:
            raise AssertionError("nobody reads")

    blobs = Blobs(str(tmp_path))
    many = [record(one="sha256:" + f"{number:064x}").outputs for number in range(50)]
    foresee(many, blobs)
    assert lacking(many[0], blobs) is not None
    blobs.elsewhere = Elsewhere()
    foresee(many, blobs)
    assert len(asked) == 1 and len(asked[0]) == 50
    assert lacking(many[0], blobs) is None
