"""Content that a host has fetched: used where it lies, checked by digest, never copied, changed or removed."""

import os
from typing import BinaryIO

from buildrules.errors import IntegrityError
from buildrules.store.blobs import Blobs, hex_of


class GivenBlobs(Blobs):
    """The blobs of a store, and content beside it: `given` has absolute paths by hex digest.

    What was seen to be right is hashed no second time while its stat is the same. `touched` are the digests of given
    content that was read.
    """

    def __init__(self, store: str) -> None:
        super().__init__(store)
        self.given: dict[str, str] = {}
        self.touched: set[str] = set()

    def path(self, digest: str) -> str:
        """See `Blobs.path`."""
        return self.given.get(hex_of(digest)) or super().path(digest)

    def right(self, digest: str) -> bool:
        """See `Blobs.right`."""
        self._touch(digest)
        return super().right(digest)

    def open(self, digest: str, offset: int = 0) -> BinaryIO:
        """See `Blobs.open`."""
        self._touch(digest)
        return super().open(digest, offset)

    def _touch(self, digest: str) -> None:
        if (name := hex_of(digest)) in self.given:
            self.touched.add(name)

    def discard(self, digest: str) -> None:
        """See `Blobs.discard`. Raises IntegrityError for what was given: it is the host's."""
        place = self.given.get(hex_of(digest))
        if place is not None:
            self.sound.pop(hex_of(digest), None)
            raise IntegrityError(
                f"{place!r} is not sha256:{hex_of(digest)}", hint="the host gives it as that; fetch it anew"
            )
        super().discard(digest)

    def take(self, path: str, digest: str) -> None:
        """See `Blobs.take`. What was given stays as it is."""
        if hex_of(digest) in self.given:
            os.unlink(path)
        else:
            super().take(path, digest)
