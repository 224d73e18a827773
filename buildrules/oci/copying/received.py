"""A bundle on the side that receives it: nothing in it is believed before its list and its digest say the same."""

from collections.abc import Iterator

from buildrules.document.plain_json import MOST
from buildrules.errors import IntegrityError, UsageError
from buildrules.oci.archive import blob_path
from buildrules.oci.archive_file import ArchiveFile
from buildrules.oci.blob import BlobSource, checked
from buildrules.oci.copying.bundle import index_of
from buildrules.oci.copying.graph import Graph, read_graph
from buildrules.oci.copying.listing import NAME, Named, read_listing
from buildrules.oci.copying.parcel import ImageParcel
from buildrules.oci.names import tagged
from buildrules.sha256 import digest_of
from buildrules.state.rows import open_regular

_DOCUMENTS = {NAME, "oci-layout", "index.json"}


class Received:
    """A bundle, opened. `listing` is its list and `checksum` the digest of that, which stands for all of the bundle."""

    def __init__(self, path: str) -> None:
        """Raises UsageError where it is none, IntegrityError where it is damaged or not what its list says."""
        self.archive = ArchiveFile(path)
        self.place = self.archive.place
        try:
            data = self.archive.read(NAME)
            self.checksum = digest_of(data)
            self.listing = read_listing(data, f"{NAME} of {self.place}")
            self._compare()
            self.parcels = [self._parcel(image) for image in self.listing.images]
            self._account()
            if self.archive.read("index.json") != index_of(self.parcels):
                raise IntegrityError(f"the list and the index.json of {self.place} do not name the same images")
        except BaseException:
            self.archive.close()
            raise

    def __enter__(self) -> "Received":
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    def blob(self, digest: str) -> BlobSource:
        """A blob that it holds, checked while it is read."""
        size = self.listing.blobs[digest]
        plain = BlobSource(digest, size, lambda: self.archive.stream(blob_path(digest)))
        return plain._replace(open=lambda: checked(plain, plain.open(), self.place))

    def _compare(self) -> None:
        """Raise IntegrityError unless its files are those of the list."""
        wanted = {blob_path(digest): size for digest, size in self.listing.blobs.items()}
        found = {name: size for name, (_, size) in self.archive.files.items() if name not in _DOCUMENTS}
        if wanted == found:
            return
        name = min(wanted.items() ^ found.items())[0]
        if name not in found:
            raise IntegrityError(f"{self.place} lacks {name!r}, which its list names", hint="copy it here again, whole")
        said = f"{wanted[name]} bytes" if name in wanted else "nothing"
        raise IntegrityError(f"{self.place} has {ascii(name)[:200]} of {found[name]} bytes, and its list says {said}")

    def _parcel(self, image: Named) -> ImageParcel:
        if tagged(image.name) != image.name:
            raise IntegrityError(f"the list of {self.place} has a name without a tag: {image.name!r}")
        graph = read_graph(image.digest, self._document, f"image {image.name!r} of {self.place}")
        if (len(graph.root.data), graph.root.media_type) != (image.size, image.media_type):
            raise IntegrityError(f"the list of {self.place} says of {image.name!r} what is not so")
        return ImageParcel(image.name, graph, self._open, self.place)

    def _document(self, digest: str) -> tuple[str, bytes]:
        if digest not in self.listing.blobs:
            raise IntegrityError(f"{self.place} lacks the manifest {digest}")
        return "", self.archive.read(blob_path(digest))

    def _open(self, digest: str, _: int) -> Iterator[bytes]:
        return self.archive.stream(blob_path(digest))

    def _account(self) -> None:
        """Raise IntegrityError unless the list has what the images are made of, and nothing else."""
        needed: dict[str, int] = {}
        for graph in self.graphs():
            needed |= graph.blobs
            needed |= {document.digest: len(document.data) for document in graph.documents}
        if needed != self.listing.there or self.listing.blobs.keys() & self.listing.expected.keys():
            odd = needed.items() ^ self.listing.there.items()
            name = min(odd)[0] if odd else "one blob twice"
            raise IntegrityError(f"the list of {self.place} is not that of its images: see {name}")

    def graphs(self) -> list[Graph]:
        """What its images are made of."""
        return [parcel.graph for parcel in self.parcels]


def read_held(path: str) -> dict[str, int]:
    """What the side has that wrote the list at `path`, or gets the bundle there: sizes by digest.

    Raises UsageError, IntegrityError.
    """
    try:
        with open(open_regular(path), "rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path!r}: {(error.strerror or str(error)).lower()}") from error
    if data[:1] == b"{":
        return read_listing(data, repr(path)).there
    with Received(path) as bundle:
        return bundle.listing.there
