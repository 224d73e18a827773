"""Manifests and configs: the same bytes for the same input, and nothing of this machine in them."""

import json
from pathlib import Path

import pytest

from buildrules.errors import IntegrityError
from buildrules.oci.config import ImageConfig
from buildrules.oci.descriptor import DOCKER_LAYER_GZIP, LAYER_GZIP, LAYER_TAR, Layer
from buildrules.oci.image import build_image, build_index, manifest_descriptor, read_image, read_index, verified
from buildrules.store.blobs import Blobs
from tests.support.handmade import Shelf, image_of


def fixed_layers() -> list[Layer]:
    """Two layers that no tar or zlib version can change."""
    return [
        Layer(
            digest="sha256:" + "1" * 64,
            size=1000,
            diff_id="sha256:" + "2" * 64,
            media_type=LAYER_GZIP,
        ),
        Layer(
            digest="sha256:" + "3" * 64,
            size=2048,
            diff_id="sha256:" + "3" * 64,
            media_type=LAYER_TAR,
        ),
    ]


FIXED = ImageConfig.from_dict(
    {
        "environment": {"PATH": "/usr/bin", "LANG": "C.UTF-8"},
        "entrypoint": ["/usr/bin/serve"],
        "ports": [5001],
        "labels": {"buildrules.model": "sha256:0"},
        "user": "1000",
        "working_dir": "/app",
    }
)


def test_golden_documents() -> None:
    """Changing these digests makes every image out there new: only ever on purpose."""
    image = build_image(fixed_layers(), FIXED, "linux/amd64", history=["base", "scoring code"])
    index = build_index([("linux/amd64", manifest_descriptor(image.manifest))])
    assert image.config_digest == "sha256:97b6b5ba37cf1bd15d4ca7fe66f30a4d6275fd7f4143052ebe3ae3446031485f"
    assert image.digest == "sha256:e6d1fcf4a44c48d5faaf2c94f8fd50097f76932e6e36eec3e2b3f10da0b1354d"
    assert index.digest == "sha256:b646d6755ff8e705546f6ce7819c8c91d18ec905e62e409039320dcdeeac650a"


def test_what_the_config_says() -> None:
    words = ["base", "scoring code"]
    image = build_image(fixed_layers(), FIXED, "linux/arm64/v8", created=1_700_000_000, history=words)
    document = json.loads(image.config)
    assert (document["os"], document["architecture"], document["variant"]) == ("linux", "arm64", "v8")
    assert document["created"] == "2023-11-14T22:13:20Z"
    assert document["rootfs"] == {"type": "layers", "diff_ids": ["sha256:" + "2" * 64, "sha256:" + "3" * 64]}
    assert document["history"] == [
        {"created": "2023-11-14T22:13:20Z", "created_by": "buildrules base"},
        {"created": "2023-11-14T22:13:20Z", "created_by": "buildrules scoring code"},
    ]
    assert document["config"]["Labels"] == {"buildrules.model": "sha256:0", "buildrules.image": "1"}


def test_what_layers_are_made_from_changes_nothing() -> None:
    layers = fixed_layers()
    first = build_image(layers, FIXED, "linux/amd64")
    layers[0].recipe = {"version": 2, "compression": "none", "parts": []}
    assert build_image(layers, FIXED, "linux/amd64").digest == first.digest


def test_time_is_1970_unless_told() -> None:
    assert json.loads(build_image([], ImageConfig(), "linux/amd64").config)["created"] == "1970-01-01T00:00:00Z"


def test_docker_layers_get_oci_names() -> None:
    layers = fixed_layers()
    layers[0].media_type = DOCKER_LAYER_GZIP
    manifest = json.loads(build_image(layers, FIXED, "linux/amd64").manifest)
    assert [layer["mediaType"] for layer in manifest["layers"]] == [LAYER_GZIP, LAYER_TAR]


def test_what_cannot_be_an_image() -> None:
    layers = fixed_layers()
    layers[1].media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    with pytest.raises(ValueError, match="layer sha256:333333333333 has"):
        build_image(layers, FIXED, "linux/amd64")
    for platform in ("linux", "", "linux/", "a/b/c/d", "linux/am\nd64"):
        with pytest.raises(ValueError, match="not a platform"):
            build_image([], FIXED, platform)


def test_sizes() -> None:
    image = build_image(fixed_layers(), FIXED, "linux/amd64")
    assert image.size == len(image.manifest) + len(image.config) + 3048
    other = build_image(fixed_layers(), FIXED, "linux/arm64")
    index = build_index(
        [(name, manifest_descriptor(one.manifest)) for name, one in (("linux/amd64", image), ("linux/arm64", other))],
        [image, other],
    )
    assert index.size == len(index.data) + image.size + other.size - 3048
    with pytest.raises(ValueError, match="twice"):
        build_index([("linux/amd64", image.descriptor())] * 2)


def test_reading_back(tmp_path: Path, shelf: Shelf) -> None:
    blobs = Blobs(str(tmp_path))
    image = image_of([shelf.layer({"a": b"1"}, "first"), shelf.layer({"b": b"2"}, "second")])
    for _, data in image.blobs():
        blobs.put(data)
    again = read_image(blobs, image.digest, image.layers)
    assert (again.manifest, again.config, again.layers) == (image.manifest, image.config, image.layers)
    with pytest.raises(IntegrityError, match="not those of image"):
        read_image(blobs, image.digest, image.layers[::-1])

    index = build_index([("linux/amd64", image.descriptor())])
    blobs.put(index.data)
    found = read_index(blobs, index.digest, image.layers)
    assert (found.digest, found.images[0].layers) == (index.digest, image.layers)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b'{"config":{"digest":"x"}}', b"\xff"])
def test_what_is_no_manifest(tmp_path: Path, data: bytes) -> None:
    blobs = Blobs(str(tmp_path))
    with pytest.raises(IntegrityError):
        read_image(blobs, blobs.put(data), [])


def test_a_stream_is_checked_on_the_way(shelf: Shelf) -> None:
    layer = shelf.layer({"a": b"1" * 100_000}, "the model")
    data = shelf.data[layer.digest]
    assert b"".join(verified(layer, shelf.stream(layer))) == data
    for wrong in (data[:-1], data + b"x", data[:-1] + b"x", b""):
        passed = bytearray()
        with pytest.raises(IntegrityError, match=r"layer sha256:[0-9a-f]{12} changed since the build"):
            for chunk in verified(layer, [wrong[:5000], wrong[5000:]]):
                passed += chunk
        assert len(passed) <= layer.size
