"""Descriptors, as in the OCI image specification 1.1, descriptor.md, and the media types used here."""

from buildrules.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeGuard

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

OCI_LAYER_TYPES = {
    LAYER_TAR: LAYER_TAR,
    LAYER_GZIP: LAYER_GZIP,
    LAYER_ZSTD: LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": LAYER_TAR,
    DOCKER_LAYER_GZIP: LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": LAYER_ZSTD,
}
"""Media types of layers that can be read, by what an OCI manifest calls the same bytes."""


def is_digest(value: object) -> "TypeGuard[str]":
    """Whether it is `sha256:` and 64 lower-case hex digits."""
    return (
        isinstance(value, str)
        and len(value) == 71
        and value[:7] == "sha256:"
        and not value[7:].strip("0123456789abcdef")
    )


def is_size(value: object) -> "TypeGuard[int]":
    """Whether it is a number of bytes that content can have: from 64 TiB on it is nonsense."""
    return type(value) is int and 0 <= value < 1 << 46


class Layer:
    """One layer of an image: a descriptor, its diff_id, and the recipe its bytes can be made from.

    `digest` and `diff_id` are `sha256:<64 hex>`, `size` is the blob's size in bytes, `recipe` is the dict documented
    in `oci.recipe`, None where the bytes cannot be made here and are had by their digest. What a layer is called stands
    in the plan: it is no part of what it is.
    """

    __slots__ = ("diff_id", "digest", "media_type", "recipe", "size")

    def __init__(
        self,
        *,
        digest: str,
        size: int,
        diff_id: str,
        media_type: str,
        recipe: dict[str, Any] | None = None,
    ) -> None:
        self.digest = digest
        self.size = size
        self.diff_id = diff_id
        self.media_type = media_type
        self.recipe = recipe

    def descriptor(self) -> dict[str, Any]:
        """The descriptor as it stands in a manifest: mediaType, digest, size."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain JSON types; the inverse of `from_dict`."""
        return {name: getattr(self, name) for name in sorted(Layer.__slots__)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Layer":
        """Read what `to_dict` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        for name in ("digest", "diff_id"):
            if not is_digest(data[name]):
                raise ValueError(f"{name} of a layer is not a digest: {data[name]!r}")
        if not is_size(data["size"]):
            raise ValueError(f"size of a layer is not a number of bytes: {data['size']!r}")
        if data["recipe"] is not None and not isinstance(data["recipe"], dict):
            raise TypeError("recipe of a layer is not an object")
        if not isinstance(data["media_type"], str):
            raise TypeError("media_type of a layer is a text")
        return cls(**{name: data[name] for name in Layer.__slots__})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layer) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Layer({self.digest[:19]}, {self.size} bytes)"
