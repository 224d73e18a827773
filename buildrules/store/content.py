"""Content by digest, wherever it is kept. The blobs of a store are one such place."""

from collections.abc import Collection, Iterable
from typing import BinaryIO, Protocol


class Content(Protocol):
    """Digests are `sha256:<hex>`. Who reads checks what was read: nothing here is believed without its digest."""

    def holds(self, digests: Collection[str]) -> set[str]:
        """Those of the digests that are there; asked for many at once, for places that answer slowly."""

    def open(self, digest: str, offset: int = 0) -> BinaryIO:
        """The content from the byte `offset` on. Raises FileNotFoundError."""

    def local(self, digest: str) -> str | None:
        """The absolute path of the content as a file of this machine; None where it is none, or not there."""

    def put_stream(self, chunks: Iterable[bytes], digest: str, size: int | None = None) -> None:
        """Keep what must have `digest` and, where given, `size`. Raises IntegrityError, and keeps nothing, if not."""
