"""What a store is made of: private, and put right where something else stands in its place."""

import os
from pathlib import Path

import pytest

from buildrules.errors import StoreError
from buildrules.store.shape import FOLDERS
from buildrules.store.store import LAYOUT, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    store.records.put("key", {"layers": []})
    store.close()
    return store


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_d9_a_store_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        Store(str(tmp_path / "cache" / "store")).close()
    finally:
        os.umask(before)
    for path in (tmp_path / "cache", tmp_path / "cache" / "store"):
        assert path.stat().st_mode & 0o777 == 0o700


def test_d9_a_store_that_everybody_may_write_to_is_refused(store: Store) -> None:
    os.chmod(store.root, 0o777)
    with pytest.raises(StoreError, match="everybody may write") as found:
        Store(store.root)
    assert f"chmod -R go-w {store.root}" in str(found.value.hint)
    os.chmod(store.root, 0o755)
    assert Store(store.root).records.get("key") == {"layers": []}


def test_d10_no_flipped_bit_of_the_version_stops_a_store(store: Store) -> None:
    right = f"{LAYOUT}\n".encode()
    version = Path(store.root, "version")
    for bit in range(8 * len(right)):
        flipped = bytearray(right)
        flipped[bit // 8] ^= 1 << bit % 8
        version.write_bytes(flipped)
        Store(store.root).close()
        assert version.read_bytes().strip() == right.strip()


@pytest.mark.parametrize("part", [folder.name for folder in FOLDERS])
@pytest.mark.parametrize("damage", ["file", "link", "loop"])
def test_d10_what_is_no_folder_makes_way(store: Store, part: str, damage: str) -> None:
    path = Path(store.root, part)
    if path.is_dir():
        path.rename(path.with_name("elsewhere"))
    if damage == "file":
        path.write_text("no folder")
    else:
        path.symlink_to(path.name if damage == "loop" else "/nowhere")
    again = Store(store.root)
    assert again.blobs.read(again.blobs.put(b"content")) == b"content"
    again.records.put("other", {"layers": [1]})
    assert again.records.get("other") == {"layers": [1]}
    again.close()
