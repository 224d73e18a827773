"""Several images in one file, for where no network leads: an archive of an image layout, and a list of what is in it.

The archive is that of `oci.archive`, so that other tools read one that holds all of its images. Its first file is the
list of `copying.listing`. The same images give the same bytes, in whatever order they are named.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

from buildrules.oci.archive import blob_path, pack, packed_size
from buildrules.oci.blob import BlobSource
from buildrules.oci.copying.listing import NAME, Listing, Named
from buildrules.oci.copying.parcel import ImageParcel
from buildrules.oci.layout import MARKER, Progress, index_json, named_entry, reported
from buildrules.oci.whole_file import remove_parts, write_whole


class Bundle:
    """What goes into one file: of several images each blob once, but for those that the other side has."""

    def __init__(self, parcels: Sequence[ImageParcel], held: Mapping[str, int]) -> None:
        """`held` are the blobs of the other side: sizes by digest."""
        self.parcels = sorted(parcels, key=lambda parcel: parcel.name)
        needed: dict[str, BlobSource] = {}
        self._small: dict[str, bytes] = {}
        for parcel in self.parcels:
            self._small.update((document.digest, document.data) for document in parcel.graph.documents)
            for digest in parcel.graph.blobs:
                needed.setdefault(digest, parcel.blob(digest))
        there = {digest for digest, blob in needed.items() if held.get(digest) == blob.size}
        self.blobs = [blob for digest, blob in needed.items() if digest not in there]
        images = tuple(_named(parcel) for parcel in self.parcels)
        here = {digest: len(data) for digest, data in self._small.items()}
        here |= {blob.digest: blob.size for blob in self.blobs}
        self.listing = Listing(images, here, {digest: needed[digest].size for digest in there})

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return packed_size(self._documents(), [blob.size for blob in self.blobs])

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the file. Raises what reading a blob raises."""
        return pack(self._documents(), self.blobs)

    def write(self, path: str, progress: Progress | None = None) -> None:
        """Write the file, aside first and then renamed. Raises UsageError where that cannot be done."""
        remove_parts(os.path.dirname(path) or ".", os.path.basename(path))
        write_whole(path, reported(self.chunks(), "writing bundle", 0, self.size, progress), "archive", path)

    def _documents(self) -> dict[str, bytes]:
        documents = {NAME: self.listing.to_bytes(), "oci-layout": MARKER, "index.json": index_of(self.parcels)}
        documents.update((blob_path(digest), data) for digest, data in sorted(self._small.items()))
        return documents


def index_of(parcels: Sequence[ImageParcel]) -> bytes:
    """The index.json of a bundle of these."""
    return index_json([named_entry(parcel.graph.root.descriptor(), parcel.name) for parcel in parcels])


def _named(parcel: ImageParcel) -> Named:
    root = parcel.graph.root
    return Named(parcel.name, root.digest, root.media_type, len(root.data))
