"""One tar for every engine: an image layout that `docker load` understands as well.

The archive holds the files of an OCI image layout (OCI image specification 1.1, image-layout.md) and,
for Docker, a `manifest.json` (moby's image/spec, "Combined Image JSON + Filesystem Changeset Format")
that names the same blobs. It is made as a stream: nothing is copied or kept on disk in between.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from buildrules.oci.blob import BlobSource
from buildrules.oci.image import Image, Index, LayerStream
from buildrules.oci.layout import (
    MARKER,
    Progress,
    index_entries,
    index_json,
    layer_blobs,
    layers_of,
    reported,
    small_blobs,
)
from buildrules.oci.names import tagged
from buildrules.oci.parts.entry import DIRECTORY, Entry
from buildrules.oci.tar import BLOCK, END, header
from buildrules.oci.whole_file import write_whole
from buildrules.store.blobs import hex_of
from buildrules.store.records import canonical

_FOLDERS = ("blobs", "blobs/sha256")
_ANY_BLOB = "blobs/sha256/" + "0" * 64


def write_archive(
    path: str,
    content: Image | Index,
    layer_stream: LayerStream,
    *,
    names: Sequence[str] = (),
    docker: bool = True,
    progress: Progress | None = None,
) -> int:
    """Write the archive to `path`, aside first and then renamed; returns its size in bytes.

    With `docker`, one image gets the `manifest.json` that `docker load` reads; an index cannot have
    one. The same content gives the same bytes. Raises UsageError for a malformed name or a place
    that cannot be written, IntegrityError where a layer changed since the build; nothing is left then.
    """
    total = archive_size(content, names=names, docker=docker)
    chunks = stream_archive(content, layer_stream, names=names, docker=docker)
    write_whole(path, reported(chunks, "writing archive", 0, total, progress), "archive", path)
    return total


def stream_archive(
    content: Image | Index,
    layer_stream: LayerStream,
    *,
    names: Sequence[str] = (),
    docker: bool = True,
    absent: Collection[str] = (),
) -> Iterator[bytes]:
    """The bytes of the archive. Layers whose digest is in `absent` are named and left out.

    Raises IntegrityError in the middle of the stream where a layer changed since the build.
    """
    blobs = [blob for blob in layer_blobs(content, layer_stream) if blob.digest not in absent]
    yield from pack(_documents(content, names, docker), blobs)


def archive_size(
    content: Image | Index, *, names: Sequence[str] = (), docker: bool = True, absent: Collection[str] = ()
) -> int:
    """How many bytes `stream_archive` gives, without making any layer."""
    sizes = [layer.size for layer in layers_of(content) if layer.digest not in absent]
    return packed_size(_documents(content, names, docker), sizes)


def pack(documents: Mapping[str, bytes], blobs: Iterable[BlobSource]) -> Iterator[bytes]:
    """The bytes of an archive of small files by path, and of blobs in their places."""
    for folder in _FOLDERS:
        yield header(Entry(folder, DIRECTORY, 0o755))
    for name, data in documents.items():
        yield header(Entry(name, size=len(data))) + data + bytes(-len(data) % BLOCK)
    for blob in blobs:
        yield header(Entry(blob_path(blob.digest), size=blob.size))
        yield from blob.open()
        yield bytes(-blob.size % BLOCK)
    yield END


def packed_size(documents: Mapping[str, bytes], sizes: Iterable[int]) -> int:
    """How many bytes `pack` gives of documents and blobs of these sizes."""
    entries = [Entry(name, size=len(data)) for name, data in documents.items()]
    entries += [Entry(_ANY_BLOB, size=size) for size in sizes]
    return (
        BLOCK * len(_FOLDERS)
        + sum(len(header(entry)) + entry.size + -entry.size % BLOCK for entry in entries)
        + len(END)
    )


def blob_path(digest: str) -> str:
    """Where a blob is inside a layout."""
    return "blobs/sha256/" + hex_of(digest)


def _documents(content: Image | Index, names: Sequence[str], docker: bool) -> dict[str, bytes]:
    """The small files by path, in the order in which a streaming reader wants them."""
    documents = {"oci-layout": MARKER, "index.json": index_json(index_entries(content, names))}
    if docker and isinstance(content, Image):
        entry = {
            "Config": blob_path(content.config_digest),
            "RepoTags": [tagged(name) for name in names] or None,
            "Layers": [blob_path(layer.digest) for layer in content.layers],
        }
        documents["manifest.json"] = canonical([entry])
    documents.update((blob_path(digest), data) for digest, data in small_blobs(content).items())
    return documents
