"""What may go from a place elsewhere, so that no record points at nothing: records first, then content no record names.

Records live for RECORDS and content for CONTENT days after they were written; what a living record names lives as long
as that. A server's own rules, such as a lifecycle of S3, cannot look into records: there, content has to outlive them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from buildrules.remote.backend import Entry
from buildrules.typed import NamedTuple

DAY = 86400.0
RECORDS = 30
CONTENT = 45

Names = Callable[[Sequence[Entry]], Mapping[str, Collection[str]]]
"""The digests that records name, by the name of the record."""


class Doomed(NamedTuple):
    """What may go: the records have to go before the content."""

    records: Sequence[Entry]
    content: Sequence[Entry]

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(entry.size for entry in (*self.records, *self.content))

    def without(self, names: Mapping[str, Collection[str]]) -> "Doomed":
        """The same but for records that are in `names`, and content that these name: they were written meanwhile."""
        kept = {digest for digests in names.values() for digest in digests}
        return Doomed(
            [entry for entry in self.records if entry.name not in names],
            [entry for entry in self.content if entry.name not in kept],
        )


def by_age(entries: Iterable[Entry], names: Names, *, records_before: float, content_before: float) -> Doomed:
    """The records that were written before one time, and the content written before another that no other record names.

    Times are Unix time.
    """
    records, content = _sorted(entries)
    old = [entry for entry in records if entry.written < records_before]
    live = names([entry for entry in records if entry.written >= records_before])
    kept = {digest for digests in live.values() for digest in digests}
    loose = [entry for entry in content if entry.written < content_before and entry.name not in kept]
    return Doomed(old, loose)


def by_size(entries: Iterable[Entry], names: Names, *, low: int, content_before: float) -> Doomed:
    """What has to go until at most `low` bytes are left: content that no record names, then records, oldest first.

    Content that was written since `content_before` stays: its record may be on the way.
    """
    records, content = _sorted(entries)
    named = names(records)
    uses = Counter(digest for digests in named.values() for digest in set(digests))
    loose = {entry.name: entry for entry in content if entry.written < content_before}
    left = sum(entry.size for entry in (*records, *content))
    gone_records: list[Entry] = []
    gone_content: list[Entry] = []

    def drop(digests: Iterable[str]) -> None:
        nonlocal left
        for digest in digests:
            if not uses[digest] and left > low and (entry := loose.pop(digest, None)) is not None:
                gone_content.append(entry)
                left -= entry.size

    drop(list(loose))
    for record in records:
        if left <= low:
            break
        gone_records.append(record)
        left -= record.size
        digests = set(named.get(record.name, ()))
        uses.subtract(digests)
        drop(sorted(digests))
    return Doomed(gone_records, gone_content)


def _sorted(entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The records and the content, the oldest first."""
    found = sorted(entries, key=lambda entry: (entry.written, entry.name))
    return [entry for entry in found if entry.kind == "record"], [entry for entry in found if entry.kind == "content"]
