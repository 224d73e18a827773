"""All that an image is made of, found from its manifest or index: documents, and blobs that nobody has to read.

Formats: OCI image specification 1.1, manifest.md and image-index.md, and Docker's image manifest version 2, schema 2.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from buildrules.errors import IntegrityError, UsageError
from buildrules.oci import descriptor as media
from buildrules.oci.descriptor import is_digest, is_size
from buildrules.oci.source import choose_platform, read_document
from buildrules.sha256 import digest_of

_DEPTH = 3  # an index may name an index
_MOST_DOCUMENTS = 1000
_MOST_BYTES = 64 << 20  # of all documents, which are held in memory

Read = Callable[[str], tuple[str, bytes]]
"""Gives media type ("" where nobody says) and bytes of the manifest or index at a digest."""


class Document(NamedTuple):
    """A manifest or an index: its exact bytes."""

    digest: str
    media_type: str
    data: bytes

    def descriptor(self) -> dict[str, Any]:
        """As it stands in an index."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


class Graph(NamedTuple):
    """An image, or an index with all its images. A document comes after those it names, the root is the last.

    `blobs` are configs and layers: sizes in bytes by digest, in the order in which they are named.
    """

    documents: tuple[Document, ...]
    blobs: dict[str, int]

    @property
    def root(self) -> Document:
        """What the whole is known by."""
        return self.documents[-1]


def read_graph(name: str, read: Read, what: str, *, platform: str | None = None) -> Graph:
    """The graph of the image at `name`, a digest or whatever `read` takes for one. `what` is what errors call it.

    With `platform` (`os/architecture[/variant]`) only the image of an index that is for it. Raises UsageError for what
    is no image, may not be copied or has no such platform, IntegrityError for a document that is not what it is named
    by, and what `read` raises.
    """
    walk = _Walk(read, what)
    document, inner = walk.document(name)
    for _ in range(_DEPTH if platform else 0):
        if "manifests" not in inner:
            break
        document, inner = walk.document(choose_platform(inner["manifests"], str(platform), what))
    walk.below(document, inner, _DEPTH)
    return Graph(tuple(walk.documents.values()), walk.blobs)


class _Walk:
    """Collects what a document names."""

    def __init__(self, read: Read, what: str) -> None:
        self.documents: dict[str, Document] = {}
        self.blobs: dict[str, int] = {}
        self._left = _MOST_BYTES
        self._read = read
        self._what = what

    def document(self, name: str, size: int | None = None) -> tuple[Document, dict[str, Any]]:
        """A document and what it says."""
        media_type, data = self._read(name)
        self._left -= len(data)
        if self._left < 0:
            raise UsageError(f"the manifests of {self._what} have more than {_MOST_BYTES} bytes")
        found = digest_of(data)
        if is_digest(name) and (found != name or size not in (None, len(data))):
            expected = name if size is None else f"{name} ({size} bytes)"
            raise IntegrityError(f"{self._what} has {found} ({len(data)} bytes) in the place of {expected}")
        inner = read_document(data, media_type, self._what)
        kept = str(inner.get("mediaType") or media_type or (media.INDEX if "manifests" in inner else media.MANIFEST))
        return Document(found, kept, data), inner

    def below(self, document: Document, inner: dict[str, Any], depth: int) -> None:
        """Take a document, after all that it names."""
        if depth == 0 or len(self.documents) >= _MOST_DOCUMENTS:
            raise UsageError(f"{self._what} is an index of too many indexes or images")
        if "manifests" in inner:
            for digest, size, _ in self._named(inner["manifests"]):
                if digest not in self.documents:
                    self.below(*self.document(digest, size), depth - 1)
        else:
            for digest, size, media_type in self._named([inner.get("config"), *inner["layers"]]):
                if "nondistributable" in media_type or "rootfs.foreign" in media_type:
                    raise UsageError(f"{self._what} has a layer that may not be distributed ({media_type!r})")
                if self.blobs.setdefault(digest, size) != size:
                    raise UsageError(f"{self._what} says of {digest} that it has {self.blobs[digest]} and {size} bytes")
        self.documents[document.digest] = document

    def _named(self, entries: Iterable[Any]) -> list[tuple[str, int, str]]:
        """Digest, size and media type of descriptors."""
        found = []
        for entry in entries:
            digest, size = (entry.get("digest"), entry.get("size")) if isinstance(entry, dict) else (None, None)
            if not is_digest(digest):
                raise UsageError(f"{self._what} names something without a sha256 digest: {str(digest)[:80]!r}")
            if not is_size(size):
                raise UsageError(f"{self._what} says of {digest} that it has {size!r:.80} bytes")
            found.append((digest, size, str(entry.get("mediaType"))))
        return found
