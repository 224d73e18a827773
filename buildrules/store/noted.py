"""What is known of places elsewhere: how large content is that was never here, which records were sent there, and what
a task costs there."""

import time
from collections.abc import Mapping, Sequence

from buildrules.store.table import Table

_SIZES, _SENT, _IMAGES, _TRIPS = PREFIXES = ("b:", "u:", "i:", "t:")
"""What the keys begin with."""

_FEW = 5  # round trips: of fewer the median says little


class NotedSizes:
    """Sizes in bytes by digest (`sha256:<hex>`), in a table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: dict[str, int | None] = {}

    def get(self, digest: str) -> int | None:
        """The size, None where none was noted."""
        if digest not in self._known:
            row = self._table.get(_SIZES + digest)
            self._known[digest] = int(row) if row is not None and row.isdigit() and len(row) < 19 else None
        return self._known[digest]

    def note(self, sizes: Mapping[str, int]) -> None:
        """Keep sizes. A failing table loses them, which costs time later and nothing else."""
        for digest, size in sizes.items():
            if self.get(digest) != size:
                self._known[digest] = size
                self._table.set(_SIZES + digest, b"%d" % size)


class NotedSent:
    """The keys whose records are at some places, `where` (a word for them), and since when."""

    def __init__(self, table: Table, where: str, age: float) -> None:
        """`age` is for how many seconds a record that was sent needs no second look."""
        self._table = table
        self._prefix = f"{_SENT}{where}:"
        self._age = age
        self._known: dict[str, bool] = {}

    def has(self, key: str) -> bool:
        """Whether the record was noted, and not too long ago."""
        if key not in self._known:
            row = self._table.get(self._prefix + key)
            noted = int(row) if row is not None and row.isdigit() and len(row) < 19 else 0
            self._known[key] = 0 <= time.time() - noted < self._age
        return self._known[key]

    def note(self, key: str) -> None:
        """The record is there now, by all that is known. A failing table loses that, which costs time later."""
        if not self.has(key):
            self._known[key] = True
            self._table.set(self._prefix + key, b"%d" % time.time())


class NotedImages:
    """The image that was made last of something, by a word for it: its digest, and the key of its record."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, name: str) -> tuple[str, str] | None:
        """(digest, key), None where none was noted."""
        row = (self._table.get(_IMAGES + name) or b"").decode(errors="replace").split(" ")
        return (row[0], row[1]) if len(row) == 2 else None

    def note(self, name: str, digest: str, key: str) -> None:
        """Keep it. A failing table loses that."""
        if self.get(name) != (digest, key):
            self._table.set(_IMAGES + name, f"{digest} {key}".encode())


class NotedTrips:
    """What tasks cost at one engine besides their run: the last round trips, in seconds. They are forgotten after a day
    without one: what was once slow may have kept all steps away since."""

    kept, age = 50, 86400.0

    def __init__(self, table: Table, address: str) -> None:
        self._table = table
        self._name = _TRIPS + address
        row = [int(part) for part in (table.get(self._name) or b"0").split() if part.isdigit() and len(part) < 12]
        at, *known = row or [0]
        self._known = [micro / 1e6 for micro in known] if 0 <= time.time() - at < self.age else []

    def median(self) -> float | None:
        """Of those that are known, of a few the shortest: one may have come upon a busy moment. None where none is."""
        known = sorted(self._known)
        return known[len(known) // 2 if len(known) >= _FEW else 0] if known else None

    def note(self, seconds: Sequence[float]) -> None:
        """Keep more of them. A failing table loses that."""
        if seconds:
            self._known = [*self._known, *seconds][-self.kept :]
            row = (int(time.time()), *(one * 1e6 for one in self._known))
            self._table.set(self._name, b" ".join(b"%d" % round(number) for number in row))
