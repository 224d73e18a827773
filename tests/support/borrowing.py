"""Takes the records of one store, and only those blobs that nothing else gives, into an empty one."""

import json
from pathlib import Path

from buildrules.store.collect import needed_blobs
from buildrules.store.store import Store


def borrow(source: Path, target: Path) -> list[str]:
    """Copy records as they are; returns the texts of the records."""
    theirs, ours = Store(str(source)), Store(str(target))
    texts = []
    try:
        for key in list(theirs.records.keys()):
            record = theirs.records.get(key)
            assert record is not None
            texts.append(json.dumps(record))
            ours.records.put(key, record)
            for digest in needed_blobs(record.get("outputs", {})):
                ours.blobs.put(theirs.blobs.read(digest))
    finally:
        theirs.close()
        ours.close()
    return texts


def exported(folder: Path) -> dict[str, bytes]:
    """The blobs of an exported layout by digest."""
    return {path.name: path.read_bytes() for path in sorted((folder / "blobs" / "sha256").iterdir())}
