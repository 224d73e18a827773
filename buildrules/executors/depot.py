"""Content on its way to where tasks find it: each is sent once, and only where it is not there already."""

import threading
from collections.abc import Collection, Mapping

from buildrules.errors import FetchError
from buildrules.remote.backend import Blob, Body
from buildrules.remote.guarded import Guarded


class Depot:
    """Sends content to `place`. Safe for concurrent threads."""

    def __init__(self, place: Guarded) -> None:
        self.place = place
        self._there: set[Blob] = set()
        self._sending: dict[Blob, threading.Lock] = {}
        self._lock = threading.Lock()

    def lacking(self, wanted: Collection[Blob]) -> list[Blob]:
        """What of it is not there."""
        with self._lock:
            left = [blob for blob in wanted if blob not in self._there]
        there = self.place.holds(left) if left else set()
        with self._lock:
            self._there.update(blob for blob in left if blob.digest in there)
        return [blob for blob in left if blob.digest not in there]

    def send(self, blobs: Collection[Blob], bodies: Mapping[Blob, Body]) -> int:
        """Have them there, which `lacking` gave; returns how many bytes were sent. Raises FetchError where that cannot
        be."""
        sent = 0
        for blob in blobs:
            with self._lock:
                turn = self._sending.setdefault(blob, threading.Lock())
            with turn:  # one sends what many need
                if blob not in self._there:
                    self._send(blob, bodies[blob])
                    sent += blob.size
        return sent

    def have(self, wanted: Mapping[Blob, Body]) -> int:
        """Have all of it there; see `send`."""
        return self.send(self.lacking(wanted), wanted)

    def _send(self, blob: Blob, body: Body) -> None:
        if not self.place.write(blob, body):
            why = f": {self.place.failure}" if self.place.failure else ""
            raise FetchError(
                f"{blob.digest[:19]} ({blob.size} bytes) cannot be sent to {self.place.url}{why}",
                hint="is it running, and does it have room? --executor local runs all steps here",
            )
        with self._lock:
            self._there.add(blob)

    def forget(self, blobs: Collection[Blob]) -> None:
        """What is said to be there may be lost: look again."""
        with self._lock:
            self._there.difference_update(blobs)
