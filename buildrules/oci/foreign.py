"""Layers of somebody else's image: described by their manifest, fetched by digest when somebody lacks them.

They have no recipe. Where the bytes may come from are the places of the action that made the layer, which are never
hashed: `reference` (any spelling of `oci.reference`), `digest` (the image's: a Docker Engine finds layers only by their
image), `layout` (an OCI layout directory, tried first), `default_registry`, and `plain_http` (true: the registry is
asked without TLS).
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from buildrules.errors import FetchError, Interrupted, UsageError
from buildrules.oci import descriptor as media
from buildrules.oci.descriptor import Layer
from buildrules.oci.origin import open_source
from buildrules.oci.reference import DIGEST, LAYOUT, Reference, parse_reference
from buildrules.oci.source import Source, Watch
from buildrules.store.blobs import hex_of

_LAYER_TYPES = {
    media.LAYER_TAR: media.LAYER_TAR,
    media.LAYER_GZIP: media.LAYER_GZIP,
    media.LAYER_ZSTD: media.LAYER_ZSTD,
    media.DOCKER_LAYER_GZIP: media.LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar": media.LAYER_TAR,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": media.LAYER_ZSTD,
}
_LARGEST = 1 << 46  # bytes; a size beyond it is nonsense


def foreign_layers(manifest: bytes, config: bytes, origin: str) -> list[Layer]:
    """The layers of an image, base first, as its manifest and config describe them; nothing is fetched.

    Docker's media types become the OCI ones for the same bytes. `origin` is what errors call the image. Raises
    UsageError for layers that may not be distributed, are encrypted or of an unknown type, and where manifest and
    config disagree.
    """
    entries, diff_ids = _lists(manifest, config, origin)
    if len(entries) != len(diff_ids):
        raise UsageError(f"{origin} has {len(entries)} layers in its manifest and {len(diff_ids)} in its config")
    layers = []
    for number, (entry, diff_id) in enumerate(zip(entries, diff_ids, strict=True), 1):
        digest, size, media_type = str(entry.get("digest")), entry.get("size"), entry.get("mediaType")
        if not DIGEST.fullmatch(digest) or not DIGEST.fullmatch(str(diff_id)):
            raise UsageError(f"layer {number} of {origin} has no sha256 digest: {digest[:80]!r}, {str(diff_id)[:80]!r}")
        if type(size) is not int or not 0 <= size < _LARGEST:
            raise UsageError(f"layer {number} of {origin} has the size {size!r}")
        kind = _layer_type(str(media_type), f"layer {number} of {origin}")
        if kind == media.LAYER_TAR and digest != diff_id:
            raise UsageError(f"layer {number} of {origin} is uncompressed, but its diff_id is not its digest")
        layers.append(
            Layer(
                digest=digest,
                size=size,
                diff_id=diff_id,
                media_type=kind,
            )
        )
    return layers


def foreign_stream(layer: Layer, places: Mapping[str, Any], context: Watch) -> Iterator[bytes]:
    """The bytes of a foreign layer from its source, which are in the store afterwards.

    Checked against the digest (IntegrityError). Raises FetchError, GoneError, RegistryError, DockerError where no
    source has the layer, and Interrupted.
    """
    digest, size = layer.digest, layer.size
    source = _source_with(digest, sources(places, context, pin=places.get("digest")))
    try:
        done = 0
        with contextlib.nullcontext() if source.keeps else context.blobs.writer(digest, size) as file:
            for chunk in source.open_blob(digest, size):
                if context.cancelled:
                    raise Interrupted("interrupted while fetching a base image")
                if file is not None:
                    file.write(chunk)
                done += len(chunk)
                context.progress(f"reading base layer {digest[7:19]}", done, size)
                yield chunk
    finally:
        source.close()


def sources(places: Mapping[str, Any], context: Watch, pin: str | None = None) -> list[Source]:
    """The sources the places of an action name, in the order they should be tried. `pin` is a digest.

    Raises UsageError for a malformed reference, FetchError where no source is named.
    """
    found: list[Reference] = []
    if places.get("layout"):
        found.append(Reference(LAYOUT, str(places["layout"])))
    if places.get("reference"):
        found.append(parse_reference(str(places["reference"]), places.get("default_registry")))
    if not found:
        raise FetchError("nothing says where the base image comes from", hint="give the target's 'image'")
    plain = True if places.get("plain_http") else None
    pinned = [reference.at(pin) if pin else reference for reference in found]
    return [open_source(one, context, root=context.workspace, plain_http=plain) for one in pinned]


def _source_with(digest: str, candidates: list[Source]) -> Source:
    """The first source that may have the blob: a layout that has it, otherwise the last one named."""
    *layouts, last = candidates
    for source in layouts:
        directory = getattr(source, "directory", "")
        if os.path.exists(os.path.join(directory, "blobs", "sha256", hex_of(digest))):
            last.close()
            return source
    return last


def _lists(manifest: bytes, config: bytes, origin: str) -> tuple[list[dict[str, Any]], list[Any]]:
    try:
        entries, diff_ids = json.loads(manifest)["layers"], json.loads(config)["rootfs"]["diff_ids"]
    except (ValueError, KeyError, TypeError):
        entries = diff_ids = None
    if not isinstance(entries, list) or not isinstance(diff_ids, list):
        raise UsageError(f"{origin} is not a container image: it has no layers or no list of diff_ids")
    if not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"the manifest of {origin} is malformed")
    return entries, diff_ids


def _layer_type(media_type: str, what: str) -> str:
    if media_type in _LAYER_TYPES:
        return _LAYER_TYPES[media_type]
    if "nondistributable" in media_type or "rootfs.foreign" in media_type:
        raise UsageError(f"{what} may not be distributed ({media_type!r})", hint="use a base image without such layers")
    if media_type.endswith("+encrypted"):
        raise UsageError(f"{what} is encrypted ({media_type!r})", hint="decrypt the image first: skopeo copy")
    raise UsageError(
        f"{what} has the unknown media type {media_type!r}", hint="only tar, gzip and zstd layers are read"
    )
