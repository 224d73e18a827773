"""A parcel into an archive of an image layout."""

import os

from buildrules.oci.archive import blob_path, pack, packed_size
from buildrules.oci.copying.parcel import ImageParcel
from buildrules.oci.layout import MARKER, Progress, index_json, reference_entry, reported
from buildrules.oci.whole_file import remove_parts, write_whole


def write_parcel(path: str, parcel: ImageParcel, progress: Progress) -> int:
    """Write the archive, aside first and then renamed; returns its size in bytes.

    Raises UsageError where it cannot be written, and what reading the parcel raises; then what was there stays.
    """
    entries = [reference_entry(parcel.graph.root.descriptor(), parcel.name)]
    documents = {"oci-layout": MARKER, "index.json": index_json(entries)}
    documents.update((blob_path(document.digest), document.data) for document in parcel.graph.documents)
    total = packed_size(documents, parcel.graph.blobs.values())
    chunks = pack(documents, map(parcel.blob, parcel.graph.blobs))
    remove_parts(os.path.dirname(path) or ".", os.path.basename(path))
    write_whole(path, reported(chunks, "writing archive", 0, total, progress), "archive", path)
    return total
