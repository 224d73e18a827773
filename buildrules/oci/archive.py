"""One tar for every engine: an image layout that `docker load` understands as well.

The archive holds the files of an OCI image layout (OCI image specification 1.1, image-layout.md) and,
for Docker, a `manifest.json` (moby's image/spec, "Combined Image JSON + Filesystem Changeset Format")
that names the same blobs. It is made as a stream: nothing is copied or kept on disk in between.
Entries are plain ustar; a size of 8 GiB or more is written in base 256, as GNU tar and Go do.
"""

from collections.abc import Collection, Iterator, Sequence

from buildrules.oci.image import Image, Index, LayerStream, canonical_json, verified
from buildrules.oci.layout import MARKER, Progress, index_entries, index_json, layers_of, reported, small_blobs
from buildrules.oci.names import tagged
from buildrules.oci.whole_file import write_whole
from buildrules.store.blobs import hex_of

_END = bytes(1024)
_FOLDERS = ("blobs/", "blobs/sha256/")


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
    for folder in _FOLDERS:
        yield _header(folder, 0, b"5")
    for name, data in _documents(content, names, docker).items():
        yield from _entry(name, data)
    for layer in layers_of(content):
        if layer.digest in absent:
            continue
        yield _header(blob_path(layer.digest), layer.size)
        yield from verified(layer, layer_stream(layer))
        yield bytes(-layer.size % 512)
    yield _END


def archive_size(
    content: Image | Index, *, names: Sequence[str] = (), docker: bool = True, absent: Collection[str] = ()
) -> int:
    """How many bytes `stream_archive` gives, without making any layer."""
    sizes = [len(data) for data in _documents(content, names, docker).values()]
    sizes += [layer.size for layer in layers_of(content) if layer.digest not in absent]
    return 512 * len(_FOLDERS) + sum(512 + size + -size % 512 for size in sizes) + len(_END)


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
        documents["manifest.json"] = canonical_json([entry])
    documents.update((blob_path(digest), data) for digest, data in small_blobs(content).items())
    return documents


def _entry(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data)) + data + bytes(-len(data) % 512)


def _header(name: str, size: int, kind: bytes = b"0") -> bytes:
    """A ustar header (POSIX.1-2017, pax, "ustar Interchange Format") for root, dated 1970."""
    mode = b"0000755\0" if kind == b"5" else b"0000644\0"
    length = b"%011o\0" % size if size < 8 << 30 else b"\x80" + size.to_bytes(11, "big")
    ids = b"0000000\0" * 2
    head = name.encode("ascii").ljust(100, b"\0") + mode + ids + length + b"00000000000\0"
    tail = kind + bytes(100) + b"ustar\x0000" + bytes(32 + 32) + b"0000000\0" * 2
    block = (head + b" " * 8 + tail).ljust(512, b"\0")
    return head + b"%06o\0 " % sum(block) + block[len(head) + 8 :]
