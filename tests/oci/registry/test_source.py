"""Base images from registries and layouts: resolved, described, fetched by digest."""

import json
import os
import pathlib
import shutil
from typing import Any

import pytest

from buildrules.actions.fetching import fetch_parts
from buildrules.actions.oci_base import OciBase
from buildrules.engine.action import Action
from buildrules.errors import (
    ActionError,
    BuildrulesError,
    FetchError,
    GoneError,
    IntegrityError,
    Interrupted,
    RegistryError,
    UsageError,
)
from buildrules.oci import descriptor as media
from buildrules.oci.foreign import first_of, foreign_layers, open_source
from buildrules.oci.reference import parse_reference
from buildrules.oci.source import Source, choose_platform, read_document
from buildrules.oci.supply import Origin, Supply
from buildrules.start import retry
from buildrules.store.blobs import Blobs
from tests.oci.registry.conftest import PLATFORMS, Gallery, Run, skopeo, streamed
from tests.oci.registry.servers import cutting_proxy, web
from tests.support.handmade import sha256
from tests.support.steps import step

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def resolve(text: str, platform: str, blobs: Blobs, root: str = "") -> Any:
    return open_source(parse_reference(text), Run(root, blobs), root=root).resolve(platform)


def base(digest: str, hints: dict[str, Any], platform: str = "linux/amd64", python: str | None = None) -> Action:
    params = {"digest": digest, "platform": platform, "python": python}
    return Action(id="base", target="//:base", kind="oci_base", title="base", params=params, places=hints)


@pytest.fixture(params=["registry", "layout"])
def place(request: pytest.FixtureRequest, published: str, gallery: Gallery) -> str:
    return published if request.param == "registry" else f"oci-layout:{gallery.layout}"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_index_gives_the_image_of_the_platform(place: str, platform: str, gallery: Gallery, blobs: Blobs) -> None:
    found = resolve(f"{place}:both", platform, blobs)
    image = gallery.images[platform]
    assert (found.digest, found.manifest, found.config) == (image.digest, image.manifest, image.config)
    assert found.media_type == media.MANIFEST
    assert not blobs.has(gallery.big.digest)
    by_digest = resolve(f"{place}@{gallery.index.digest}", platform, blobs)
    assert by_digest.digest == image.digest


def test_other_platforms_are_an_error_that_lists_those_there_are(place: str, blobs: Blobs) -> None:
    with pytest.raises(UsageError, match="no image for linux/riscv64") as caught:
        resolve(f"{place}:both", "linux/riscv64", blobs)
    assert caught.value.hint == "it has linux/amd64, linux/arm64"
    with pytest.raises(UsageError, match=r"is an image for linux/amd64, not for linux/arm64|has no image for"):
        resolve(f"{place}:amd64", "linux/arm64", blobs)


def test_the_action_describes_layers_without_fetching_them(place: str, gallery: Gallery, run: Run) -> None:
    image = gallery.image
    outputs = OciBase().run(step(base(image.digest, {"reference": f"{place}:both"})), run)
    assert [layer.descriptor() for layer in outputs.layers] == [layer.descriptor() for layer in image.layers]
    assert [layer.diff_id for layer in outputs.layers] == image.diff_ids
    assert outputs.layers[0].recipe is None
    assert outputs.values["config"]["Cmd"] == ["python3"]
    assert (outputs.values["python"], outputs.values["python_version"]) == ("3.11", "3.11.9")
    assert outputs.blobs == {"manifest": image.digest, "config": image.config_digest}
    assert run.fetched == len(image.manifest) + len(image.config)
    for layer in outputs.layers:
        assert not run.blobs.has(layer.digest)
        assert b"".join(streamed(layer, {"reference": f"{place}:both"}, run)) == gallery.shelf.data[layer.digest]
        assert run.blobs.read(layer.digest) == gallery.shelf.data[layer.digest]
        assert b"".join(Supply(run, lambda _: Origin(), fetch_parts)(layer)) == gallery.shelf.data[layer.digest]
    assert run.reports[-1][1:] == (image.layers[-1].size, image.layers[-1].size)


def test_a_pinned_image_in_the_store_needs_no_source(gallery: Gallery, published: str, run: Run) -> None:
    first = OciBase().run(step(base(gallery.image.digest, {"reference": f"{published}:both"})), run)
    again = OciBase().run(step(base(gallery.image.digest, {"reference": "registry.invalid/base:gone"})), run)
    assert [layer.descriptor() for layer in again.layers] == [layer.descriptor() for layer in first.layers]


def test_a_layout_is_tried_before_the_registry(
    gallery: Gallery, published: str, run: Run, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(gallery.layout, tmp_path / "vendor" / "base")
    hints = {"layout": "vendor/base", "reference": "registry.invalid/base:1"}
    outputs = OciBase().run(step(base(gallery.image.digest, hints)), run)
    layer = outputs.layers[0]
    assert b"".join(streamed(layer, hints, run)) == gallery.shelf.data[layer.digest]
    run.blobs.discard(layer.digest)
    hints = {"layout": "no/such/directory", "reference": f"{published}:both"}
    assert b"".join(streamed(layer, hints, run)) == gallery.shelf.data[layer.digest]
    for blob in outputs.blobs.values():
        run.blobs.discard(blob)
    assert OciBase().run(step(base(gallery.image.digest, hints)), run).blobs == outputs.blobs


def test_the_python_version_is_given_or_read(gallery: Gallery, published: str, run: Run) -> None:
    hints = {"reference": f"{published}:both"}
    assert OciBase().run(step(base(gallery.image.digest, hints, python="3.11")), run).values["python"] == "3.11"
    with pytest.raises(ActionError, match=r"has Python 3.11.9, and the target says 3.1$"):
        OciBase().run(step(base(gallery.image.digest, hints, python="3.1")), run)


def test_a_corrupt_store_is_a_miss(gallery: Gallery, published: str, run: Run) -> None:
    hints = {"reference": f"{published}:both"}
    outputs = OciBase().run(step(base(gallery.image.digest, hints)), run)
    layer = outputs.layers[1]
    run.blobs.put(gallery.shelf.data[layer.digest])
    for digest in (*outputs.blobs.values(), layer.digest):
        path = pathlib.Path(run.blobs.path(digest))
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[::-1])
    again = OciBase().run(step(base(gallery.image.digest, hints)), run)
    assert again.to_dict() == outputs.to_dict()
    supply = Supply(run, lambda _: Origin(hints), fetch_parts)
    with pytest.raises(IntegrityError, match="has been removed"):
        list(supply(layer))
    assert b"".join(supply(layer)) == gallery.shelf.data[layer.digest]


def test_a_layer_that_is_interrupted_goes_on_from_there(gallery: Gallery, published: str, run: Run) -> None:
    layer = OciBase().run(step(base(gallery.image.digest, {"reference": f"{published}:both"})), run).layers[0]
    host, repository = published.split("/")
    before = run.fetched
    run.progress = lambda *_: setattr(run, "cancelled", True)  # type: ignore[method-assign]
    hints = {"reference": f"{host}/{repository}:both"}
    with pytest.raises(Interrupted):
        list(streamed(layer, hints, run))
    assert not run.blobs.has(layer.digest)
    (kept,) = pathlib.Path(run.blobs.tmp, "partial").iterdir()
    assert 0 < kept.stat().st_size < layer.size
    run.cancelled = False
    run.progress = lambda *_: None  # type: ignore[method-assign]
    stream = streamed(layer, hints, run)
    next(stream)
    assert run.fetched - before == layer.size
    assert run.blobs.read(layer.digest) == gallery.shelf.data[layer.digest]
    assert not kept.exists()


def test_a_layer_of_a_layout_that_is_abandoned_leaves_nothing(gallery: Gallery, run: Run) -> None:
    hints = {"reference": f"oci-layout:{gallery.layout}:amd64"}
    layer = OciBase().run(step(base(gallery.image.digest, hints)), run).layers[0]
    run.progress = lambda *_: setattr(run, "cancelled", True)  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        list(streamed(layer, hints, run))
    assert not run.blobs.has(layer.digest)
    assert os.listdir(run.blobs.tmp) == []


def test_a_layer_survives_broken_connections(
    gallery: Gallery, published: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "BACKOFF", 0.001)
    layer = OciBase().run(step(base(gallery.image.digest, {"reference": f"{published}:both"})), run).layers[0]
    host, repository = published.split("/")
    with cutting_proxy(host, down=[1 << 20]) as proxy:
        data = b"".join(streamed(layer, {"reference": f"{proxy}/{repository}:both"}, run))
    assert data == gallery.shelf.data[layer.digest]


def test_a_lying_registry_is_found_out(gallery: Gallery, run: Run) -> None:
    image = gallery.image
    manifest = {"Content-Type": media.MANIFEST}
    with web(lambda _: (200, manifest, image.manifest[:-1] + b" }")) as server, pytest.raises(IntegrityError):
        OciBase().run(step(base(image.digest, {"reference": f"{server.host}/base:1"})), run)

    def wrong_blobs(request: Any) -> Any:
        return (200, manifest, image.manifest) if "manifests" in request.path else (200, {}, b"x" * len(image.config))

    with web(wrong_blobs) as server:
        hints = {"reference": f"{server.host}/base:1"}
        with pytest.raises(IntegrityError):
            OciBase().run(step(base(image.digest, hints)), run)
        layer = foreign_layers(image.manifest, image.config, "base")[0]
        with pytest.raises(IntegrityError):
            list(streamed(layer, hints, run))
    assert not run.blobs.has(layer.digest)
    assert not run.blobs.has(image.config_digest)


def test_no_kind_of_source_can_replace_a_pinned_manifest(gallery: Gallery, blobs: Blobs) -> None:
    class Liar(Source):
        def read_manifest(self, name: str | None) -> tuple[str, bytes]:
            return media.MANIFEST, gallery.image.manifest

    with pytest.raises(IntegrityError, match="instead of"):
        Liar(parse_reference(f"h.example/base@{A}"), Run("", blobs)).resolve("linux/amd64")
    assert not blobs.has(gallery.image.digest)


def test_what_is_gone_says_so(gallery: Gallery, published: str, run: Run, tmp_path: pathlib.Path) -> None:
    for reference in (f"{published}:both", f"oci-layout:{gallery.layout}"):
        with pytest.raises(GoneError) as caught:
            OciBase().run(step(base(A, {"reference": reference})), run)
        assert "buildrules lock" in str(caught.value.hint)
    with pytest.raises(RegistryError, match="there is no image"):
        resolve(f"{published}:no-such-tag", "linux/amd64", run.blobs)
    with pytest.raises(UsageError, match="no image named 'v9'") as missing:
        resolve(f"oci-layout:{gallery.layout}:v9", "linux/amd64", run.blobs)
    assert missing.value.hint == "it has base:amd64, base:both"
    with pytest.raises(UsageError, match=r"does not exist|has no image"):
        resolve("oci-layout:nowhere", "linux/amd64", run.blobs, str(tmp_path))
    layer = foreign_layers(gallery.image.manifest, gallery.image.config, "base")[0]
    with pytest.raises(FetchError, match="nothing says where"):
        first_of({}, run, None, lambda source: source.fetch(layer.digest))


def test_dockers_media_types_become_oci_ones(hub: str, gallery: Gallery, run: Run) -> None:
    arguments = ["--format", "v2s2", "--dest-tls-verify=false"]
    skopeo("copy", *arguments, f"oci:{gallery.layout}:base:amd64", f"docker://{hub}/docker-types:1")
    found = resolve(f"{hub}/docker-types:1", "linux/amd64", run.blobs)
    assert found.media_type == media.DOCKER_MANIFEST
    assert media.DOCKER_LAYER_GZIP in found.manifest.decode()
    outputs = OciBase().run(step(base(found.digest, {"reference": f"{hub}/docker-types:1"})), run)
    assert [layer.media_type for layer in outputs.layers] == [media.LAYER_GZIP, media.LAYER_TAR]
    assert [layer.diff_id for layer in outputs.layers] == gallery.image.diff_ids


def image_of(media_type: str, **changes: Any) -> tuple[bytes, bytes]:
    layer = {"mediaType": media_type, "digest": A, "size": 3} | changes
    return json.dumps({"layers": [layer]}).encode(), json.dumps({"rootfs": {"diff_ids": [B]}}).encode()


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        (media.LAYER_GZIP, media.LAYER_GZIP),
        (media.LAYER_ZSTD, media.LAYER_ZSTD),
        (media.DOCKER_LAYER_GZIP, media.LAYER_GZIP),
        ("application/vnd.docker.image.rootfs.diff.tar.zstd", media.LAYER_ZSTD),
    ],
)
def test_known_layer_types(media_type: str, expected: str) -> None:
    assert [layer.media_type for layer in foreign_layers(*image_of(media_type), "base")] == [expected]


@pytest.mark.parametrize(
    ("image", "part"),
    [
        (image_of("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"), "may not be distributed"),
        (image_of("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), "may not be distributed"),
        (image_of(media.LAYER_GZIP + "+encrypted"), "is encrypted"),
        (image_of("application/vnd.cncf.model.weight.v1.raw"), "unknown media type"),
        (image_of(media.LAYER_TAR), "its diff_id is not its digest"),
        (image_of(media.LAYER_GZIP, size=-1), "has the size -1"),
        (image_of(media.LAYER_GZIP, size=True), "has the size True"),
        (image_of(media.LAYER_GZIP, size=1 << 60), "has the size"),
        (image_of(media.LAYER_GZIP, digest="sha512:" + "a" * 128), "no sha256 digest"),
        (image_of(media.LAYER_GZIP, digest="../../etc/passwd"), "no sha256 digest"),
        (
            (image_of(media.LAYER_GZIP)[0], b'{"rootfs": {"diff_ids": []}}'),
            "1 layers in its manifest and 0 in its config",
        ),
        ((image_of(media.LAYER_GZIP)[0], b"{}"), "is not a container image"),
        ((b'{"layers": [1]}', b'{"rootfs": {"diff_ids": [1]}}'), "malformed"),
    ],
)
def test_layers_that_cannot_be_used(image: tuple[bytes, bytes], part: str) -> None:
    with pytest.raises(UsageError, match=part):
        foreign_layers(*image, "base")


@pytest.mark.parametrize(
    ("document", "media_type", "part"),
    [
        ({"schemaVersion": 1, "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        ({"schemaVersion": 2, "mediaType": "application/vnd.oci.artifact.manifest.v1+json"}, "", "is not an image"),
        ({"schemaVersion": 2, "manifests": [], "layers": []}, media.INDEX, "contradicts itself"),
        ({"schemaVersion": 2, "mediaType": media.INDEX, "layers": [], "config": {}}, "", "contradicts itself"),
        ({"schemaVersion": 2, "mediaType": media.MANIFEST, "manifests": []}, "", "contradicts itself"),
        ({"schemaVersion": 2, "mediaType": media.MANIFEST, "layers": []}, media.INDEX, "contradicts itself"),
        ({"schemaVersion": 2}, media.MANIFEST, "contradicts itself"),
        ({"schemaVersion": 2, "manifests": {}}, media.INDEX, "malformed"),
        ([], media.INDEX, "not an image manifest"),
    ],
)
def test_documents_that_are_no_image(document: Any, media_type: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        read_document(json.dumps(document).encode(), media_type, "base")


def entry(digest: str, platform: str | None) -> dict[str, Any]:
    names = ("os", "architecture", "variant")
    place = {"platform": dict(zip(names, platform.split("/"), strict=False))} if platform else {}
    return {"digest": digest, **place}


def test_choosing_a_platform() -> None:
    entries = [entry(A, "unknown/unknown"), entry(B, "linux/arm64/v8"), entry(C, "linux/amd64")]
    assert choose_platform(entries, "linux/arm64", "base") == B
    assert choose_platform(entries, "linux/arm64/v8", "base") == B
    assert choose_platform(entries, "linux/amd64", "base") == C
    assert choose_platform([entry(A, None)], "linux/amd64", "base") == A
    assert choose_platform([entry(A, None), entry(A, None)], "linux/amd64", "base") == A
    for wrong in ([entry(A, None), entry(B, None)], [], [entry("x", "linux/amd64")], ["x"]):
        with pytest.raises(UsageError):
            choose_platform(wrong, "linux/amd64", "base")


def test_an_index_in_a_circle_ends(blobs: Blobs) -> None:
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": media.INDEX, "manifests": []}
    data = json.dumps(index).encode()
    for _ in range(4):
        blobs.put(data)
        data = json.dumps(index | {"manifests": [entry(sha256(data), "linux/amd64")]}).encode()
    blobs.put(data)
    with pytest.raises(UsageError, match="an index that names an index"):
        resolve(f"registry.invalid/base@{sha256(data)}", "linux/amd64", blobs)


def test_hints_never_carry_credentials_into_an_error(run: Run) -> None:
    with pytest.raises(BuildrulesError) as caught:
        OciBase().run(step(base(A, {"reference": "ali:hunter2@registry.example/base"})), run)
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}"


def test_where_an_image_comes_from_is_not_in_the_outputs(gallery: Gallery, run: Run) -> None:
    first, second = (
        OciBase().run(step(base(gallery.image.digest, {"reference": f"oci-layout:{gallery.layout}{end}"})), run)
        for end in ("", "/.")
    )
    assert first.to_dict() == second.to_dict()
