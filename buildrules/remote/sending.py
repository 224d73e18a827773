"""Content on its way out: counted, and held back at its end until it is known to be what its digest says."""

from collections.abc import Callable, Iterator

from buildrules.remote.backend import Blob, Body
from buildrules.sha256 import new_hash


class SpoiltError(Exception):
    """What is here is not what is to be sent."""


class Sending:
    """The bytes of `blob`, which `body` opens. `spoilt` is whether they are other bytes, or cannot be read.

    The last run is given only where the whole is right: a server sees the others as what broke off, and keeps nothing.
    """

    def __init__(self, blob: Blob, body: Body, sent: Callable[[int], None]) -> None:
        self._blob = blob
        self._body = body
        self._sent = sent
        self.spoilt = False

    def open(self) -> Iterator[bytes]:
        """The bytes, once more from the start. Raises SpoiltError."""
        sha256, size, held = new_hash(self._blob.size), 0, b""
        try:
            for run in self._body():
                if not run:
                    continue
                sha256.update(run)
                size += len(run)
                if size > self._blob.size:
                    break
                if held:
                    self._sent(len(held))
                    yield held
                held = run
        except Exception as error:
            self.spoilt = True
            raise SpoiltError(f"{self._blob.digest} cannot be read here") from error
        if size != self._blob.size or "sha256:" + sha256.hexdigest() != self._blob.digest:
            self.spoilt = True
            raise SpoiltError(f"{self._blob.digest} is other content here")
        if held:
            self._sent(len(held))
            yield held
