"""What is to be brought into a registry: manifests, and their blobs with a way to open them."""

from collections.abc import Iterable, Sequence

from buildrules.document.plain_json import read_json
from buildrules.errors import IntegrityError
from buildrules.oci.descriptor import INDEX, MANIFEST, is_digest
from buildrules.oci.image import Image, Index, LayerStream
from buildrules.oci.registry import Registry
from buildrules.oci.transport import Body
from buildrules.sha256 import digest_of
from buildrules.typed import Any, NamedTuple


class PushBlob(NamedTuple):
    """One blob: `open` gives its `size` bytes, anew at every call.

    `kind` is what reports call it. `sources` are repositories, `host/name`, that may have it.
    """

    digest: str
    size: int
    open: Body
    kind: str = "layers"
    sources: Sequence[str] = ()


class PushManifest(NamedTuple):
    """An image's manifest or an index: its exact bytes."""

    digest: str
    media_type: str
    data: bytes


class Shipment(NamedTuple):
    """One image, or an index with its images, for one repository.

    `manifests` are the images', and last what the tags name; `blobs` are those of all images, each once. Without `tags`
    it is had by its digest only. `title` names it in reports.
    """

    registry: Registry
    manifests: Sequence[PushManifest]
    blobs: Sequence[PushBlob]
    tags: Sequence[str] = ()
    title: str = ""

    @property
    def root(self) -> PushManifest:
        """What the tags name."""
        return self.manifests[-1]


def shipment(
    registry: Registry,
    content: Image | Index,
    layer_stream: LayerStream,
    tags: Sequence[str] = (),
    *,
    title: str = "",
    kinds: Any = None,
    sources: Any = None,
) -> Shipment:
    """The shipment of an image or index that is here. `kinds` and `sources` give for a layer's digest what
    `PushBlob` says of them.
    """
    images = content.images if isinstance(content, Index) else [content]
    blobs: dict[str, PushBlob] = {}
    for image in images:
        for layer in image.layers:
            blobs[layer.digest] = PushBlob(
                layer.digest,
                layer.size,
                lambda layer=layer: layer_stream(layer),  # type: ignore[misc]
                kinds(layer.digest) if kinds else "layers",
                sources(layer.digest) if sources else (),
            )
        config = image.config
        blobs[image.config_digest] = PushBlob(
            image.config_digest,
            len(config),
            lambda config=config: [config],  # type: ignore[misc]
            "config",
        )
    manifests = [PushManifest(image.digest, MANIFEST, image.manifest) for image in images]
    if isinstance(content, Index):
        manifests.append(PushManifest(content.digest, INDEX, content.data))
    return Shipment(registry, manifests, list(blobs.values()), tags, title)


def named_blobs(manifest: bytes) -> set[str]:
    """The digests of config and layers that an image's manifest names; none of an index. Raises IntegrityError."""
    return {entry["digest"] for entry in _entries(manifest, "config", "layers")}


def named_manifests(index: bytes) -> list[dict[str, Any]]:
    """The descriptors of the manifests that an index names; none of an image's manifest. Raises IntegrityError."""
    return list(_entries(index, "manifests"))


def _entries(data: bytes, *fields: str) -> Iterable[dict[str, Any]]:
    try:
        document = read_json(data)
        found = [document[field] for field in fields if field in document]
        entries = [entry for item in found for entry in (item if isinstance(item, list) else [item])]
        if not all(is_digest(entry["digest"]) for entry in entries):
            raise ValueError("a descriptor has no digest")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{digest_of(data)} is no manifest: {error!r}") from error
    return entries
