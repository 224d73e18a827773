"""Parcels into an image layout directory."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from buildrules.errors import IntegrityError
from buildrules.oci.blob import BlobSource, checked
from buildrules.oci.copying.parcel import ImageParcel
from buildrules.oci.layout import LayoutReport, Progress, fill_layout, reference_entry, reported
from buildrules.oci.whole_file import writing
from buildrules.state.rows import open_regular
from buildrules.store.blobs import CHUNK, hex_of

_NONE: Mapping[str, int] = {}


def write_parcels(
    directory: str, parcels: Sequence[ImageParcel], progress: Progress, expected: Mapping[str, int] = _NONE
) -> LayoutReport:
    """Write images into the layout at `directory`, which is made where there is none; index.json comes last.

    What is there already is hashed before it is believed. `expected` are blobs that the parcels do not bring: sizes by
    digest. Raises IntegrityError where one of them is missing or damaged, before anything is written, UsageError where
    the layout cannot be written, and what reading the parcels raises.
    """
    blobs: dict[str, BlobSource] = {}
    for parcel in parcels:
        blobs.update((digest, parcel.blob(digest)) for digest in parcel.graph.blobs if digest not in expected)
        blobs.update((document.digest, document) for document in parcel.documents())
    sound = _sound(directory, {**{digest: blob.size for digest, blob in blobs.items()}, **expected}, progress)
    lacking(f"layout {directory!r}", expected.keys() - sound)
    with writing("layout", directory):
        for digest in blobs.keys() - sound:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(_path(directory, digest))
    entries = [reference_entry(parcel.graph.root.descriptor(), parcel.name) for parcel in parcels]
    return fill_layout(directory, list(blobs.values()), entries, progress)


def lacking(place: str, missing: set[str]) -> None:
    """Raise IntegrityError where something that a bundle leaves out is `missing` at `place`."""
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise IntegrityError(
            f"{place} does not have {min(missing)}{more}, which the bundle leaves out",
            hint="bring the earlier bundle first, or make this one again with --have for what is there",
        )


def layout_sizes(directory: str) -> dict[str, int]:
    """The blobs of a layout: sizes by digest. Nothing is hashed. Raises UsageError where it cannot be read."""
    with writing("layout", directory), os.scandir(os.path.join(directory, "blobs", "sha256")) as entries:
        return {
            f"sha256:{entry.name}": entry.stat().st_size
            for entry in entries
            if entry.is_file(follow_symlinks=False) and len(entry.name) == 64 and not entry.name.strip(_HEX)
        }


_HEX = "0123456789abcdef"


def _sound(directory: str, sizes: Mapping[str, int], progress: Progress) -> set[str]:
    """Those of the blobs that are there and are what their names say."""
    there = {digest: size for digest, size in sizes.items() if _size(_path(directory, digest)) == size}
    total, done, sound = sum(there.values()), 0, set()
    for digest, size in there.items():
        path = _path(directory, digest)
        chunks = checked(BlobSource(digest, size, tuple), _chunks(path), directory)
        with contextlib.suppress(IntegrityError, OSError):
            for _ in reported(chunks, "checking the layers that are there", done, total, progress):
                pass
            sound.add(digest)
        done += size
    return sound


def _chunks(path: str) -> Iterator[bytes]:
    with open(open_regular(path), "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _path(directory: str, digest: str) -> str:
    return os.path.join(directory, "blobs", "sha256", hex_of(digest))


def _size(path: str) -> int | None:
    try:
        return os.lstat(path).st_size
    except OSError:
        return None
