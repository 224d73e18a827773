"""Content on its way to where tasks find it: each is sent once, and only where it is not there already."""

import threading
from collections.abc import Callable, Collection, Mapping

from buildrules.errors import FetchError
from buildrules.remote.backend import Blob, Body
from buildrules.remote.guarded import Guarded, side_by_side


class Depot:
    """Sends content to the place that `open_place` gives. Safe for concurrent threads."""

    def __init__(self, open_place: Callable[[], Guarded]) -> None:
        self._open_place = open_place
        self._place: Guarded | None = None
        self._opening = threading.Lock()
        self._there: set[Blob] = set()
        self._sending: dict[Blob, threading.Lock] = {}
        self._lock = threading.Lock()

    @property
    def place(self) -> Guarded:
        """Where content lies, opened when it is first asked for. Raises what `open_place` raises."""
        with self._opening:
            if self._place is None:
                self._place = self._open_place()
            return self._place

    def close(self) -> None:
        """Close the place, where it is open."""
        if self._place is not None:
            self._place.close()

    def lacking(self, wanted: Collection[Blob]) -> list[Blob]:
        """What of it is not there. Raises FetchError where the place does not say."""
        with self._lock:
            left = [blob for blob in wanted if blob not in self._there]
        there, learned = self.place.looked(left) if left else (set(), True)
        if not learned:
            raise self._failed("nobody says what is at")
        with self._lock:
            self._there.update(blob for blob in left if blob.digest in there)
        return [blob for blob in left if blob.digest not in there]

    def send(self, blobs: Collection[Blob], bodies: Mapping[Blob, Body]) -> int:
        """Have them there, which `lacking` gave; returns how many bytes were sent. Raises FetchError where that cannot
        be."""

        def send(blob: Blob) -> int:
            with self._lock:
                turn = self._sending.setdefault(blob, threading.Lock())
            with turn:  # one sends what many need
                if blob in self._there:
                    return 0
                if not self.place.write(blob, bodies[blob]):
                    raise self._failed(f"{blob.digest[:19]} ({blob.size} bytes) cannot be sent to")
                with self._lock:
                    self._there.add(blob)
                return blob.size

        return sum(side_by_side(send, list(blobs)))

    def have(self, wanted: Mapping[Blob, Body]) -> int:
        """Have all of it there; see `send`."""
        return self.send(self.lacking(wanted), wanted)

    def forget(self, blobs: Collection[Blob]) -> None:
        """What is said to be there may be lost: look again."""
        with self._lock:
            self._there.difference_update(blobs)

    def _failed(self, what: str) -> FetchError:
        why = f": {self.place.failure}" if self.place.failure else ""
        return FetchError(
            f"{what} {self.place.url}{why}",
            hint="is it running, and does it have room? --executor local runs all steps here",
        )
