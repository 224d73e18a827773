"""What became of blobs on their way into a place, in words and for a program."""

from collections.abc import Sequence
from typing import Any

from buildrules.cli.report import size_text
from buildrules.oci.push.report import MOUNTED, SENT, SHARED, THERE, Row, total

FATES = {THERE: "there", MOUNTED: "mounted", SHARED: "shared by the registry", SENT: "sent"}
"""The fates of a blob, in words."""


def amounts(rows: Sequence[Row], sent: str = FATES[SENT]) -> str:
    """How many blobs there are of each fate, and their bytes; empty without any. `sent` is the word for that."""
    found = []
    for how, words in {**FATES, SENT: sent}.items():
        some = [row for row in rows if row.how == how]
        found += [f"{len(some)} {words} ({size_text(total(some))})"] if some else []
    return ", ".join(found)


def by_how(rows: Sequence[Row]) -> dict[str, Any]:
    """The same for a program: bytes by fate, and each blob."""
    blobs = [{"digest": row.digest, "size": row.size, "how": row.how} for row in rows]
    moved = {how: total(row for row in rows if row.how == how) for how in FATES}
    return {"bytes": moved, "moved": blobs}
