"""Layout directories, read by the tools people have."""

import fcntl
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buildrules.errors import IntegrityError, UsageError
from buildrules.oci.image import Image, build_index
from buildrules.oci.layout import ref_name, write_layout
from tests.support.handmade import Shelf, image_of

GOLDEN_FILES = [
    "blobs/sha256/1ca3728db2cab4e89888d85fd975d3e8c9ebde7f4ff1f7f07ff1f4634f93a303",
    "blobs/sha256/4322d551caa4b4ed98765fcfc4530f26d7d057e3f7544f696b9ca311f4e4ae63",
    "index.json",
    "oci-layout",
]
GOLDEN_INDEX = (
    '{"manifests":[{"annotations":{"io.containerd.image.name":"docker.io/acme/empty:1","org.opencontainer'
    's.image.ref.name":"acme/empty:1"},"digest":"sha256:1ca3728db2cab4e89888d85fd975d3e8c9ebde7f4ff1f7f07ff1f4634f93'
    'a303","mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{"architecture":"amd64","o'
    's":"linux"},"size":248}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}'
)


def package(shelf: Shelf, code: str = "one") -> Image:
    return image_of(
        [
            shelf.layer({"usr/bin/tool": b"#!"}, "base", packed=True),
            shelf.layer({"model/weights": b"w" * 300_000}, "model"),
            shelf.layer({"app/score.py": code.encode()}, "code"),
        ],
        entrypoint=["/usr/bin/tool"],
        environment={"MODEL": "/model"},
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def skopeo(*words: str | Path) -> str:
    return subprocess.run(["skopeo", *map(str, words)], check=True, capture_output=True, text=True).stdout


def test_golden_layout(tmp_path: Path) -> None:
    """An image without layers: every byte of the layout is ours."""
    write_layout(str(tmp_path / "layout"), image_of([]), lambda layer: [], names=["acme/empty:1"])
    found = files(tmp_path / "layout")
    assert sorted(found) == GOLDEN_FILES
    assert found["oci-layout"] == b'{"imageLayoutVersion":"1.0.0"}'
    assert found["index.json"].decode() == GOLDEN_INDEX


def test_skopeo_and_umoci_read_it(tmp_path: Path, shelf: Shelf) -> None:
    image = package(shelf)
    write_layout(str(tmp_path / "layout"), image, shelf.stream, names=["acme/regressor:1.0"])
    inspected = json.loads(skopeo("inspect", f"oci:{tmp_path}/layout:acme/regressor:1.0"))
    assert inspected["Digest"] == image.digest
    assert inspected["Layers"] == [layer.digest for layer in image.layers]
    skopeo("copy", f"oci:{tmp_path}/layout:acme/regressor:1.0", f"dir:{tmp_path}/copy")
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == image.manifest
    subprocess.run(
        ["umoci", "unpack", "--rootless", "--image", f"{tmp_path}/layout:acme/regressor:1.0", tmp_path / "bundle"],
        check=True,
        capture_output=True,
    )
    root = tmp_path / "bundle" / "rootfs"
    assert (root / "app/score.py").read_text() == "one"
    assert (root / "model/weights").stat().st_size == 300_000


def test_only_what_changed_is_written(tmp_path: Path, shelf: Shelf) -> None:
    folder = tmp_path / "layout"
    first = write_layout(str(folder), package(shelf), shelf.stream)
    assert (first.blobs_written, first.blobs_kept) == (5, 0)
    shelf.asked.clear()
    image = package(shelf, "two")
    report = write_layout(str(folder), image, shelf.stream)
    assert shelf.asked == [image.layers[2].digest]
    assert (report.blobs_written, report.blobs_kept) == (3, 2)
    assert write_layout(str(folder), image, shelf.stream).blobs_written == 0


def test_a_torn_blob_is_written_again(tmp_path: Path, shelf: Shelf) -> None:
    image = package(shelf)
    write_layout(str(tmp_path), image, shelf.stream)
    before = files(tmp_path)
    victim = tmp_path / "blobs" / "sha256" / image.layers[1].digest[7:]
    victim.write_bytes(victim.read_bytes()[:1000])
    write_layout(str(tmp_path), image, shelf.stream)
    assert files(tmp_path) == before


def test_a_file_edited_after_the_build(tmp_path: Path, shelf: Shelf) -> None:
    image = package(shelf)
    shelf.data[image.layers[1].digest] = b"x" * image.layers[1].size
    with pytest.raises(IntegrityError, match=r"layer sha256:[0-9a-f]{12} changed since the build"):
        write_layout(str(tmp_path / "layout"), image, shelf.stream)
    assert not (tmp_path / "layout" / "index.json").exists()
    assert [path.name for path in (tmp_path / "layout" / "blobs" / "sha256").iterdir()] == [image.layers[0].digest[7:]]


def test_several_images_share_a_layout(tmp_path: Path, shelf: Shelf) -> None:
    one, two, three = (package(shelf, text) for text in ("one", "two", "three"))
    write_layout(str(tmp_path), one, shelf.stream, names=["acme/a:1"])
    write_layout(str(tmp_path), two, shelf.stream, names=["acme/b:2"])
    write_layout(str(tmp_path), three, shelf.stream, names=["acme/a:1"])
    entries = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    assert [(entry["annotations"]["io.containerd.image.name"], entry["digest"]) for entry in entries] == [
        ("docker.io/acme/b:2", two.digest),
        ("docker.io/acme/a:1", three.digest),
    ]
    assert (tmp_path / "blobs" / "sha256" / one.digest[7:]).exists()


def test_images_with_the_same_tag_stay_apart(tmp_path: Path, shelf: Shelf) -> None:
    names = ["churn/first:latest", "churn/second:latest", "registry.example:5000/a/b:latest", "odd/a__b---c:1-"]
    images = {name: package(shelf, name) for name in names}
    for name, image in images.items():
        write_layout(str(tmp_path / "l"), image, shelf.stream, names=[name])
    for name, image in images.items():
        copy = tmp_path / image.digest[7:20]
        skopeo("copy", f"oci:{tmp_path}/l:{ref_name(name)}", f"dir:{copy}")
        assert (copy / "manifest.json").read_bytes() == image.manifest
    assert ref_name("churn/second") == "churn/second:latest"
    with pytest.raises(subprocess.CalledProcessError):
        skopeo("inspect", f"oci:{tmp_path}/l:latest")


def test_an_index_of_platforms(tmp_path: Path, shelf: Shelf) -> None:
    layers = [shelf.layer({"x": b"1"})]
    images = [image_of(layers, platform) for platform in ("linux/amd64", "linux/arm64")]
    index = build_index(
        zip(("linux/amd64", "linux/arm64"), (image.descriptor() for image in images), strict=True), images
    )
    write_layout(str(tmp_path / "layout"), index, shelf.stream, names=["a:b"])
    for image, architecture in zip(images, ("amd64", "arm64"), strict=True):
        copy = tmp_path / architecture
        skopeo("--override-arch", architecture, "copy", f"oci:{tmp_path}/layout:a:b", f"dir:{copy}")
        assert (copy / "manifest.json").read_bytes() == image.manifest


def test_other_peoples_folders_are_left_alone(tmp_path: Path, shelf: Shelf) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"'thesis\.txt'"):
        write_layout(str(tmp_path), package(shelf), shelf.stream)
    assert files(tmp_path) == {"thesis.txt": b"mine"}
    with pytest.raises(UsageError, match="not a directory"):
        write_layout(str(tmp_path / "thesis.txt"), package(shelf), shelf.stream)
    (tmp_path / "thesis.txt").rename(tmp_path / "index.json")
    with pytest.raises(UsageError, match="not the index"):
        write_layout(str(tmp_path), package(shelf), shelf.stream)


def test_progress_reaches_the_total(tmp_path: Path, shelf: Shelf) -> None:
    seen: list[tuple[int, int | None]] = []
    image = package(shelf)
    write_layout(str(tmp_path), image, shelf.stream, progress=lambda _, done, total: seen.append((done, total)))
    total = image.size
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)


def test_images_that_are_written_side_by_side_are_all_there(tmp_path: Path, shelf: Shelf) -> None:
    images = {f"acme/app:{number}": package(shelf, str(number)) for number in range(12)}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda item: write_layout(str(tmp_path), item[1], shelf.stream, names=[item[0]]), images.items()))
    entries = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries} == set(images)
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_a_killed_process_left_is_removed_and_what_lives_is_not(tmp_path: Path, shelf: Shelf) -> None:
    blobs = tmp_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    left = [tmp_path / "index.json.12-0123abcd.tmp", blobs / f"{'0' * 64}.12-0123abcd.tmp"]
    for path in left:
        path.write_bytes(b"half")
    living = [blobs / f"{'1' * 64}.12-0123abcd.tmp", tmp_path / "oci-layout.12-0123abcd.tmp"]
    with living[0].open("wb") as blob, living[1].open("wb") as mark:
        fcntl.flock(blob, fcntl.LOCK_EX)
        fcntl.flock(mark, fcntl.LOCK_EX)
        write_layout(str(tmp_path), package(shelf), shelf.stream)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in living)
