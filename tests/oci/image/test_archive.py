"""Archives: one tar for every engine."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from buildrules.errors import IntegrityError, UsageError
from buildrules.oci.archive import archive_size, stream_archive, write_archive
from buildrules.oci.descriptor import LAYER_TAR, Layer
from buildrules.oci.image import Image, build_index
from tests.support.handmade import Shelf, image_of


@pytest.fixture
def image(shelf: Shelf) -> Image:
    return image_of(
        [
            shelf.layer({"usr/bin/tool": b"#!"}, "base", packed=True),
            shelf.layer({"model/weights": b"w" * 300_001}, "model"),
            shelf.layer({"app/score.py": b"code"}, "code"),
        ],
        entrypoint=["/usr/bin/tool"],
    )


def test_the_size_is_known_before(shelf: Shelf, image: Image) -> None:
    for absent in (set[str](), {image.layers[1].digest}):
        for docker in (True, False):
            data = b"".join(stream_archive(image, shelf.stream, names=["a:b"], docker=docker, absent=absent))
            assert len(data) == archive_size(image, names=["a:b"], docker=docker, absent=absent)
            assert len(data) % 512 == 0


def test_the_same_bytes_every_time(tmp_path: Path, shelf: Shelf, image: Image) -> None:
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    size = write_archive(str(first), image, shelf.stream, names=["a:b"])
    write_archive(str(second), image, shelf.stream, names=["a:b"])
    assert first.stat().st_size == size
    assert first.read_bytes() == second.read_bytes()


def test_what_is_inside(tmp_path: Path, shelf: Shelf, image: Image) -> None:
    write_archive(str(tmp_path / "a.tar"), image, shelf.stream, names=["acme/x", "acme/y:2"])
    with tarfile.open(tmp_path / "a.tar") as archive:
        members = archive.getmembers()
        content = {m.name: archive.extractfile(m).read() for m in members if m.isfile()}  # type: ignore[union-attr]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 0)}
    for name, data in content.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(data).hexdigest() == name.rpartition("/")[2]
    (entry,) = json.loads(content["manifest.json"])
    assert entry["RepoTags"] == ["acme/x:latest", "acme/y:2"]
    assert content[entry["Config"]] == image.config
    assert [hashlib.sha256(content[name]).hexdigest() for name in entry["Layers"]] == [
        layer.digest[7:] for layer in image.layers
    ]
    names = [item["annotations"]["io.containerd.image.name"] for item in json.loads(content["index.json"])["manifests"]]
    assert names == ["docker.io/acme/x:latest", "docker.io/acme/y:2"]


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_skopeo_reads_one_tar_both_ways(tmp_path: Path, shelf: Shelf, image: Image, transport: str) -> None:
    write_archive(str(tmp_path / "a.tar"), image, shelf.stream, names=["acme/x:1"])
    subprocess.run(
        ["skopeo", "copy", f"{transport}:{tmp_path}/a.tar", f"dir:{tmp_path}/copy"], check=True, capture_output=True
    )
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_bytes())
    assert manifest["config"]["digest"] == image.config_digest
    for layer in image.layers:
        assert (tmp_path / "copy" / (layer.diff_id if transport == "docker-archive" else layer.digest)[7:]).exists()


def test_an_index_has_no_docker_manifest(tmp_path: Path, shelf: Shelf) -> None:
    images = [image_of([shelf.layer({"x": b"1"})], name) for name in ("linux/amd64", "linux/arm64")]
    index = build_index([("linux/amd64", images[0].descriptor()), ("linux/arm64", images[1].descriptor())], images)
    write_archive(str(tmp_path / "a.tar"), index, shelf.stream, names=["x:1"])
    with tarfile.open(tmp_path / "a.tar") as archive:
        names = archive.getnames()
    assert "manifest.json" not in names
    assert len(names) == len(set(names)), "the shared layer is there once"
    command = ["skopeo", "--override-arch", "arm64", "copy", f"oci-archive:{tmp_path}/a.tar", f"dir:{tmp_path}/copy"]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == images[1].manifest


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"x", lambda d: b"x" + d[1:]])
def test_a_file_edited_after_the_build_leaves_nothing(
    tmp_path: Path, shelf: Shelf, image: Image, change: object
) -> None:
    target = tmp_path / "a.tar"
    target.write_text("yesterday's")
    shelf.data[image.layers[1].digest] = change(shelf.data[image.layers[1].digest])  # type: ignore[operator]
    with pytest.raises(IntegrityError, match=r"layer sha256:[0-9a-f]{12} changed since the build") as caught:
        write_archive(str(target), image, shelf.stream)
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
    assert target.read_text() == "yesterday's"


def test_a_folder_that_is_not_there(tmp_path: Path, shelf: Shelf, image: Image) -> None:
    with pytest.raises(UsageError, match="cannot write the archive"):
        write_archive(str(tmp_path / "no" / "a.tar"), image, shelf.stream)
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="cannot write the archive"):
        write_archive(str(tmp_path / "taken"), image, shelf.stream)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("size", [0, 1, (8 << 30) - 1, 8 << 30, 10**12])
def test_headers_of_any_size(size: int) -> None:
    digest = "sha256:" + "a" * 64
    image = image_of([Layer(digest=digest, size=size, diff_id=digest, media_type=LAYER_TAR)])
    found: list[bytes] = []
    with pytest.raises(IntegrityError):
        for chunk in stream_archive(image, lambda _: iter(())):
            found.append(chunk)
    with tarfile.open(fileobj=io.BytesIO(found[-1])) as archive:
        entry = archive.next()
    assert entry is not None
    assert (entry.name, entry.size, entry.mode, entry.type) == (
        "blobs/sha256/" + "a" * 64,
        size,
        0o644,
        tarfile.REGTYPE,
    )
    assert archive_size(image) == len(b"".join(found)) + size + -size % 512 + 1024
    if size == 0:
        packed = subprocess.run(["tar", "-tvf", "-"], input=found[-1] + bytes(1024), capture_output=True, check=True)
        assert b"blobs/sha256/aaaa" in packed.stdout


def test_progress(tmp_path: Path, shelf: Shelf, image: Image) -> None:
    seen: list[tuple[int, int | None]] = []
    size = write_archive(
        str(tmp_path / "a.tar"), image, shelf.stream, progress=lambda _, done, total: seen.append((done, total))
    )
    assert seen[-1] == (size, size)
    assert io.BytesIO(b"".join(stream_archive(image, shelf.stream))).getbuffer().nbytes == size
