"""Content that is on this machine, by digest."""

from collections.abc import Mapping
from types import MappingProxyType

from buildrules.store.blobs import Blobs
from buildrules.typed import Any

_NONE: Mapping[str, str] = MappingProxyType({})


def name_of(part: Mapping[str, Any]) -> str:
    """What a "file" part calls its content: its digest, or `layer`; see `oci.recipe`."""
    return str(part["layer"] if "layer" in part else part["digest"])


class Local:
    """Finds the bytes that the parts of a recipe name: files of a workspace, and blobs of a store.

    `files` maps a digest (of a large file its layer's, see `oci.recipe`) to the absolute path of a file that had this
    content when it was last looked at. Nobody has to believe that: a layer is held against its own digest in the end.
    """

    __slots__ = ("blobs", "files")

    def __init__(self, blobs: Blobs, files: Mapping[str, str] = _NONE) -> None:
        self.blobs = blobs
        self.files = files

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether there is a file or a blob of `digest`; `size` is a blob's in bytes."""
        return digest in self.files or self.blobs.has(digest, size)

    def checked(self, digest: str) -> str:
        """The path of the blob `digest`, whose content was hashed. Raises DamagedError, FileNotFoundError."""
        return self.blobs.checked(digest)

    def path(self, digest: str) -> str:
        """Where the content `digest` is, or would be: an absolute path."""
        return self.files.get(digest) or self.blobs.path(digest)
