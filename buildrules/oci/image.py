"""Image configurations, manifests and indexes: the same bytes for the same layers and settings.

Formats: OCI image specification 1.1, config.md ("Properties"), manifest.md ("Image Manifest") and
image-index.md. JSON is written with sorted keys and without spaces, ASCII only.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from buildrules.document.plain_json import read_json
from buildrules.errors import IntegrityError
from buildrules.oci.blob import sound
from buildrules.oci.config import ImageConfig
from buildrules.oci.descriptor import CONFIG, INDEX, MANIFEST, OCI_LAYER_TYPES, Layer
from buildrules.sha256 import digest_of
from buildrules.store.blobs import Blobs
from buildrules.store.records import canonical
from buildrules.typed import Any

LayerStream = Callable[[Layer], Iterable[bytes]]
"""Gives the bytes of a layer's blob, in chunks; made anew at every call."""

MARK = "buildrules.image"
"""A label every image made here carries, so that an engine can be asked for them."""


def timestamp(epoch: int) -> str:
    """Seconds since 1970 (SOURCE_DATE_EPOCH, or 0) as RFC 3339 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def parse_platform(platform: str) -> dict[str, str]:
    """`os/architecture[/variant]` as the platform object of image-index.md. Raises ValueError."""
    parts = platform.split("/")
    if len(parts) not in (2, 3) or not all(part and part.isascii() and part.isprintable() for part in parts):
        raise ValueError(f"not a platform: {platform!r}")
    return dict(zip(("os", "architecture", "variant"), parts, strict=False))


class Image:
    """One image: the bytes of its manifest and config, and the layers in order (base first)."""

    __slots__ = ("config", "config_digest", "digest", "layers", "manifest")

    def __init__(self, manifest: bytes, config: bytes, layers: Sequence[Layer]) -> None:
        self.manifest = manifest
        self.config = config
        self.layers = list(layers)
        self.digest = digest_of(manifest)
        self.config_digest = digest_of(config)

    @property
    def size(self) -> int:
        """Bytes a registry keeps for it: manifest, config and layers."""
        return len(self.manifest) + len(self.config) + sum(layer.size for layer in self.layers)

    @property
    def diff_ids(self) -> list[str]:
        """The digests of the uncompressed layers, base first."""
        return [layer.diff_id for layer in self.layers]

    @property
    def settings(self) -> dict[str, Any]:
        """The parsed config document."""
        document: dict[str, Any] = read_json(self.config)
        return document

    @property
    def platform(self) -> dict[str, str]:
        """os, architecture and, where there is one, variant."""
        document = self.settings
        return {name: document[name] for name in ("os", "architecture", "variant") if name in document}

    def descriptor(self) -> dict[str, Any]:
        """The manifest's descriptor with its platform, as it stands in an index."""
        return manifest_descriptor(self.manifest, self.platform)

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """The small blobs with their digests: config, then manifest."""
        yield self.config_digest, self.config
        yield self.digest, self.manifest


class Index:
    """An image index over images of several platforms."""

    __slots__ = ("data", "digest", "images")

    def __init__(self, data: bytes, images: Sequence[Image] = ()) -> None:
        self.data = data
        self.images = list(images)
        self.digest = digest_of(data)

    @property
    def size(self) -> int:
        """Bytes a registry keeps for it, shared layers counted once."""
        blobs = {layer.digest: layer.size for image in self.images for layer in image.layers}
        blobs.update({digest: len(data) for image in self.images for digest, data in image.blobs()})
        return len(self.data) + sum(blobs.values())

    def descriptor(self) -> dict[str, Any]:
        """The index's own descriptor."""
        return {"mediaType": INDEX, "digest": self.digest, "size": len(self.data)}


def manifest_descriptor(manifest: bytes, platform: dict[str, str] | None = None) -> dict[str, Any]:
    """The descriptor of a manifest: mediaType, digest, size and the platform where one is given."""
    descriptor: dict[str, Any] = {"mediaType": MANIFEST, "digest": digest_of(manifest), "size": len(manifest)}
    if platform:
        descriptor["platform"] = platform
    return descriptor


def build_image(
    layers: Sequence[Layer],
    config: ImageConfig,
    platform: str,
    *,
    created: int = 0,
    history: Sequence[str] = (),
) -> Image:
    """Config and manifest over `layers` (base first) for `platform` (os/architecture[/variant]).

    `created` is in seconds since 1970 and stands in for every time in the image. `history` says in a few words what
    each layer holds. Raises ValueError for a malformed platform and for a layer of a type no OCI manifest may hold.
    """
    document: dict[str, Any] = {
        **parse_platform(platform),
        "created": timestamp(created),
        "config": config._replace(labels={**config.labels, MARK: "1"}).to_oci(),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": timestamp(created), "created_by": f"buildrules {words}".rstrip()}
            for words in history or [""] * len(layers)
        ],
    }
    config_bytes = canonical(document)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config_bytes), "size": len(config_bytes)},
        "layers": [layer_descriptor(layer) for layer in layers],
    }
    return Image(canonical(manifest), config_bytes, layers)


def layer_descriptor(layer: Layer) -> dict[str, Any]:
    """A layer's descriptor with an OCI media type; Docker's names for the same bytes are translated.

    An OCI manifest with Docker's layer types is refused by some readers. Raises ValueError for others,
    such as the foreign layers of Windows images.
    """
    media_type = OCI_LAYER_TYPES.get(layer.media_type)
    if media_type is None:
        raise ValueError(f"layer {layer.digest[:19]} has the media type {layer.media_type!r}, which is not supported")
    return {**layer.descriptor(), "mediaType": media_type}


def build_index(manifests: Iterable[tuple[str, dict[str, Any]]], images: Sequence[Image] = ()) -> Index:
    """An index over (platform, manifest descriptor) pairs, in the order given.

    `images` are carried along for whoever writes or pushes the whole. Raises ValueError where a
    platform is malformed or given twice.
    """
    entries = []
    seen = set()
    for platform, descriptor in manifests:
        if platform in seen:
            raise ValueError(f"the platform {platform!r} is given twice")
        seen.add(platform)
        entries.append({**descriptor, "platform": parse_platform(platform)})
    return Index(canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}), images)


def annotated(content: Image | Index, annotations: Mapping[str, str]) -> Index:
    """An index with `annotations`: the same one, or one over the image, which stays what it is."""
    images = content.images if isinstance(content, Index) else [content]
    index = (
        content
        if isinstance(content, Index)
        else Index(canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [content.descriptor()]}))
    )
    document = read_json(index.data)
    document["annotations"] = {**document.get("annotations", {}), **annotations}
    return Index(canonical(document), images)


def read_image(blobs: Blobs, digest: str, layers: Sequence[Layer]) -> Image:
    """The image whose manifest is the blob `digest`. `layers`, with their recipes, must be the manifest's own.

    Raises FileNotFoundError for a missing blob and IntegrityError for one that is not what it should be.
    """
    manifest = blobs.read(digest)
    try:
        document = read_json(manifest)
        config = blobs.read(document["config"]["digest"])
        diff_ids = read_json(config)["rootfs"]["diff_ids"]
        entries = [(item["digest"], int(item["size"])) for item in document["layers"]]
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"blob {digest} is not an image manifest: {error!r}") from error
    if len(diff_ids) != len(entries):
        raise IntegrityError(f"image {digest} has {len(entries)} layers and {len(diff_ids)} diff_ids")
    if [(layer.digest, layer.size) for layer in layers] != entries or [layer.diff_id for layer in layers] != diff_ids:
        raise IntegrityError(f"the recorded layers are not those of image {digest}", hint="build again")
    return Image(manifest, config, layers)


def read_index(blobs: Blobs, digest: str, layers: Sequence[Layer]) -> Index:
    """The index whose blob is `digest`, with its images; `layers` are those of all, errors as in `read_image`."""
    data = blobs.read(digest)
    known = {layer.digest: layer for layer in layers}
    images = []
    try:
        for entry in read_json(data)["manifests"]:
            names = [item["digest"] for item in read_json(blobs.read(entry["digest"]))["layers"]]
            images.append(read_image(blobs, entry["digest"], [known[name] for name in names]))
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"blob {digest} is not an image index: {error!r}") from error
    return Index(data, images)


def verified(layer: Layer, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass a layer's blob bytes on, and raise IntegrityError unless they are the ones in its descriptor.

    The error comes before the last of them, so what was written from it must be removed.
    """
    return sound(layer.digest, layer.size, chunks, changed(layer.digest))


def changed(digest: str) -> Callable[[str], IntegrityError]:
    """Makes the error for a layer of which something else is made now."""
    return lambda _: IntegrityError(
        f"layer {digest[:19]} changed since the build: its bytes are no longer {digest}",
        hint="a file it is made of was edited after the build; build again",
    )
