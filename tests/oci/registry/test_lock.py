import pathlib

import pytest

from buildrules.errors import LockError, UsageError
from buildrules.locking.oci.lock import (
    ImageLock,
    changes,
    inputs_digest,
    lock_name,
    make_lock,
    pinned,
    read_lock,
    write_lock,
)
from buildrules.oci.descriptor import MANIFEST
from buildrules.oci.reference import parse_reference
from buildrules.oci.registry import Registry
from buildrules.store.blobs import Blobs
from tests.oci.registry.conftest import Gallery, Run, push
from tests.oci.registry.test_registry import push_blobs

A = "sha256:" + "a" * 64


def test_a_lock_is_written_read_and_becomes_stale(
    published: str, gallery: Gallery, blobs: Blobs, tmp_path: pathlib.Path
) -> None:
    reference, platform = f"{published}:both", "linux/arm64"
    lock = make_lock(reference, platform, Run("", blobs))
    assert (lock.digest, lock.media_type) == (gallery.images[platform].digest, MANIFEST)
    path = str(tmp_path / lock_name("base", platform))
    assert path.endswith("/oci.base-linux-arm64.lock")
    with pytest.raises(LockError, match="there is no lock"):
        read_lock(path)
    assert write_lock(path, lock)
    assert not write_lock(path, lock)
    assert read_lock(path) == lock
    assert not lock.stale(reference, platform)
    assert lock.stale(reference + "2", platform)
    assert lock.stale(reference, "linux/amd64")
    assert [file.name for file in tmp_path.iterdir() if file.suffix] == ["oci.base-linux-arm64.lock"]


def test_a_hand_edited_lock_is_stale() -> None:
    lock = ImageLock("h.example/other:1", "linux/amd64", A, MANIFEST, inputs_digest("h.example/base:1", "linux/amd64"))
    assert lock.stale("h.example/base:1", "linux/amd64")
    assert lock.stale("h.example/other:1", "linux/amd64")


def test_a_moved_tag_changes_the_lock_and_is_told(hub: str, gallery: Gallery, blobs: Blobs) -> None:
    registry = Registry(hub, "moving")
    amd64, arm64 = gallery.images.values()
    push(registry, push_blobs(gallery, amd64), amd64.manifest, MANIFEST, ["stable"])
    before = make_lock(f"{hub}/moving:stable", "linux/amd64", Run("", blobs))
    assert changes(before, make_lock(f"{hub}/moving:stable", "linux/amd64", Run("", blobs))) == []
    push(registry, push_blobs(gallery, arm64), arm64.manifest, MANIFEST, ["stable"])
    with pytest.raises(UsageError, match="not for linux/amd64"):
        make_lock(f"{hub}/moving:stable", "linux/amd64", Run("", blobs))
    index = gallery.index
    push(registry, push_blobs(gallery, amd64), amd64.manifest, MANIFEST, [amd64.digest])
    registry.put_manifest(index.data, "application/vnd.oci.image.index.v1+json", "stable")
    after = make_lock(f"{hub}/moving:stable", "linux/arm64", Run("", blobs))
    moved = ImageLock(after.reference, after.platform, A, after.media_type, after.inputs)
    assert changes(moved, after) == [f"digest {A[:19]} -> {arm64.digest[:19]}"]
    other = ImageLock("h.example/other:1", after.platform, after.digest, after.media_type, after.inputs)
    assert changes(other, after) == [f"image h.example/other:1 -> {hub}/moving:stable"]


def test_a_reference_with_a_digest_needs_no_lock_file() -> None:
    lock = pinned(parse_reference(f"h.example/base:1@{A}"), "linux/amd64")
    assert lock is not None
    assert lock.digest == A
    assert pinned(parse_reference("h.example/base:1"), "linux/amd64") is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "has version None"),
        ("version = 2", "has version 2"),
        ("not toml", "cannot be read"),
        ("version = 1", "no proper 'reference'"),
        (
            f'version = 1\nreference = "h/b"\nplatform = "p"\ndigest = "sha256:x"\nmedia-type = ""\ninputs = "{A}"',
            "'digest'",
        ),
    ],
)
def test_malformed_locks(tmp_path: pathlib.Path, text: str, part: str) -> None:
    path = tmp_path / "oci.base-linux-amd64.lock"
    path.write_text(text)
    with pytest.raises(LockError, match=part) as caught:
        read_lock(str(path))
    assert "buildrules lock" in str(caught.value.hint)


def test_a_lock_stores_no_credentials(tmp_path: pathlib.Path, blobs: Blobs) -> None:
    lock = ImageLock("ali:hunter2@h.example/base:1", "linux/amd64", A, MANIFEST, A)
    with pytest.raises(LockError) as caught:
        write_lock(str(tmp_path / "x.lock"), lock)
    assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "x.lock").exists()
    with pytest.raises(UsageError) as refused:
        make_lock("ali:hunter2@h.example/base:1", "linux/amd64", Run("", blobs))
    assert "hunter2" not in str(refused.value)
