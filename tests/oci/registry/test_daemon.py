"""Base images of a local Docker Engine."""

import contextlib
import io
import json
import os
import pathlib
import tarfile
from collections.abc import Iterator
from typing import Any

import docker.errors
import pytest

from buildrules.actions.oci_base import OciBase
from buildrules.errors import DockerError, FetchError, GoneError, IntegrityError, UsageError
from buildrules.locking.oci.lock import make_lock
from buildrules.oci import descriptor as media
from buildrules.oci.daemon import keep_archive
from buildrules.oci.foreign import open_source
from buildrules.oci.reference import parse_reference
from buildrules.store.blobs import Blobs
from tests.oci.registry.conftest import Gallery, Run, streamed
from tests.oci.registry.test_source import base, resolve
from tests.support.handmade import sha256, tar_of
from tests.support.steps import step

NAME = f"buildrules-test-base:daemon-{os.getpid()}"  # tests of several processes have one engine


@pytest.fixture
def loaded(engine: Any) -> Iterator[tuple[str, list[bytes]]]:
    """An image of three layers, two of them equal, in the engine: its ID and its layers' tars."""
    layers = [tar_of({"etc/one": b"1" * 100_000}), tar_of({"etc/two": b"2"}), tar_of({"etc/two": b"2"})]
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Env": ["PYTHON_VERSION=3.12.1"], "Cmd": ["/x"], "Labels": {"of": NAME}},
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
        "history": [],
    }
    manifest = [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["0.tar", "1.tar", "2.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    files |= {f"{number}.tar": layer for number, layer in enumerate(layers)}
    (image,) = engine.images.load(tar_of(files))
    yield image.id, layers
    with contextlib.suppress(docker.errors.ImageNotFound):
        engine.images.remove(NAME, force=True)


@pytest.mark.docker
def test_an_image_of_the_engine_is_pinned_by_its_id(loaded: tuple[str, list[bytes]], run: Run) -> None:
    image_id, tars = loaded
    lock = make_lock(f"docker-daemon:{NAME}", "linux/amd64", run)
    assert (lock.digest, lock.media_type) == (image_id, media.MANIFEST)
    fetched = run.fetched
    hints = {"reference": f"docker-daemon:{NAME}"}
    outputs = OciBase().run(step(base(image_id, hints)), run)
    assert [(layer.digest, layer.diff_id, layer.size) for layer in outputs.layers] == [
        (sha256(tar), sha256(tar), len(tar)) for tar in tars
    ]
    assert {layer.media_type for layer in outputs.layers} == {media.LAYER_TAR}
    assert outputs.values["config"]["Cmd"] == ["/x"]
    assert outputs.values["python"] == "3.12"
    assert run.fetched == fetched > 0  # the lock had filled the store
    for layer, tar in zip(outputs.layers, tars, strict=True):
        run.blobs.discard(layer.digest)
        assert b"".join(streamed(layer, hints, run)) == tar
    with pytest.raises(UsageError, match="not for linux/arm64"):
        OciBase().run(step(base(image_id, hints, "linux/arm64")), run)


@pytest.mark.docker
def test_an_image_kept_in_the_store_outlives_the_engine(loaded: tuple[str, list[bytes]], run: Run, engine: Any) -> None:
    image_id, tars = loaded
    hints = {"reference": f"docker-daemon:{NAME}", "digest": image_id}
    outputs = OciBase().run(step(base(image_id, hints)), run)
    assert run.fetched > len(tars[0])
    engine.images.remove(NAME, force=True)
    assert OciBase().run(step(base(image_id, hints)), run).to_dict() == outputs.to_dict()
    run.blobs.discard(outputs.layers[0].digest)
    with pytest.raises(GoneError, match="no longer has"):
        list(streamed(outputs.layers[0], hints, run))
    with pytest.raises(DockerError, match="has no docker-daemon:buildrules-test-base:daemon"):
        resolve(f"docker-daemon:{NAME}", "linux/amd64", run.blobs)


def test_no_engine_is_an_error(blobs: Blobs, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(DockerError, match="cannot be asked") as caught:
        resolve("docker-daemon:base", "linux/amd64", blobs)
    assert "DOCKER_HOST" in str(caught.value.hint)


def archive_of(directory: pathlib.Path) -> bytes:
    return tar_of(
        {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    )


def test_the_archive_of_an_engine_that_keeps_oci_content(gallery: Gallery, blobs: Blobs) -> None:
    data = archive_of(gallery.layout)
    keep_archive([data[start : start + 1000] for start in range(0, len(data), 1000)], blobs, set())
    assert blobs.read(gallery.big.digest) == gallery.shelf.data[gallery.big.digest]
    pinned = parse_reference("docker-daemon:base").at(gallery.index.digest)
    found = open_source(pinned, Run("", blobs)).resolve("linux/arm64")
    assert found.manifest == gallery.images["linux/arm64"].manifest


def test_archives_that_lie_or_break_off(gallery: Gallery, blobs: Blobs, tmp_path: pathlib.Path) -> None:
    with pytest.raises(IntegrityError):
        keep_archive([tar_of({f"blobs/sha256/{'a' * 64}": b"something else"})], blobs, set())
    with pytest.raises(FetchError, match="cannot be read"):
        keep_archive([archive_of(gallery.layout)[: 1 << 20]], blobs, set())
    with pytest.raises(FetchError, match="cannot be read"):
        keep_archive([b"this is not an archive" * 100], blobs, set())


def test_names_in_an_archive_do_not_matter(blobs: Blobs, tmp_path: pathlib.Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("../escape/layer.tar", "/layer.tar", "a/layer.tar", "a/b/layer.tar"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"data"))
        other = tarfile.TarInfo("c/layer.tar")
        other.size = 5
        archive.addfile(other, io.BytesIO(b"other"))
        link = tarfile.TarInfo("b/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    keep_archive([buffer.getvalue()], blobs, {sha256(b"data")})
    assert blobs.read(sha256(b"data")) == b"data"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [sha256(b"data")[7:]]
