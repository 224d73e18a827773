"""What became of each blob and manifest of a push."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

THERE, MOUNTED, SHARED, SENT = "there", "mounted", "shared", "sent"
"""A blob was in the repository; came there from another one by a mount, or by another one's manifest; was sent."""


class Row(NamedTuple):
    """One blob in one repository, and how it came there."""

    repository: str
    digest: str
    size: int
    kind: str
    how: str


@dataclass
class PushReport:
    """What a push did. `resent` counts the bytes sent again since a registry mounts nothing."""

    rows: list[Row] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)  # `host/repository:tag` that name something else now
    resent: int = 0

    def of(self, how: str) -> list[Row]:
        """The rows with that fate."""
        return [row for row in self.rows if row.how == how]

    @property
    def sent(self) -> int:
        """Bytes of blobs that were sent."""
        return total(self.of(SENT))

    @property
    def sent_by_kind(self) -> dict[str, int]:
        """The same, by kind of content."""
        found: Counter[str] = Counter()
        for row in self.of(SENT):
            found[row.kind] += row.size
        return dict(sorted(found.items()))


def total(rows: Iterable[Row]) -> int:
    """Bytes in all."""
    return sum(row.size for row in rows)
