"""A store of an older layout: its content is kept, what names it another way is not."""

from pathlib import Path

import pytest

from buildrules.errors import StoreError
from buildrules.store.store import LAYOUT, Store


@pytest.fixture
def old(tmp_path: Path) -> Store:
    """A store of the first layout, with a blob and a record."""
    store = Store(str(tmp_path / "store"))
    store.records.put("key", {"layers": []})
    store.blobs.put(b"content")
    store.close()
    Path(store.root, "version").write_text("1\n")
    return store


def test_an_older_store_keeps_its_blobs_and_loses_its_records(old: Store) -> None:
    store = Store(old.root)
    assert store.renewed
    assert store.blobs.read(old.blobs.put(b"content")) == b"content"
    assert store.records.get("key") is None
    assert Path(store.root, "version").read_text() == f"{LAYOUT}\n"
    store.close()
    assert not Store(old.root).renewed


def test_an_older_store_in_use_is_left_alone(old: Store) -> None:
    other = Store.__new__(Store)  # an older program at work: it holds the lock and knows nothing of layouts
    other.root, other._lock = old.root, None
    assert other.lock()
    with pytest.raises(StoreError, match="older layout and in use"):
        Store(old.root)
    assert Path(old.root, "version").read_text() == "1\n"


def test_a_newer_store_is_refused(old: Store) -> None:
    Path(old.root, "version").write_text(f"{LAYOUT + 2}\n")
    with pytest.raises(StoreError, match="newer buildrules"):
        Store(old.root)
