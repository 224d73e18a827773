"""Image layout directories: blobs by digest, and an index.json that says what they make.

Format: OCI image specification 1.1, image-layout.md. Writing is incremental: a blob that is there
with the right size stays as it is, so exporting after a code edit writes one small layer.
"""

import contextlib
import fcntl
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from buildrules.document.plain_json import MOST, read_json
from buildrules.errors import UsageError
from buildrules.oci.blob import BlobSource, small
from buildrules.oci.descriptor import INDEX, Layer
from buildrules.oci.image import Image, Index, LayerStream, verified
from buildrules.oci.names import TAG, full, tagged
from buildrules.oci.whole_file import is_part, remove_parts, write_whole, writing
from buildrules.state.rows import open_regular
from buildrules.store.blobs import hex_of
from buildrules.store.records import canonical
from buildrules.typed import Any, NamedTuple

Progress = Callable[[str, int, int | None], None]
"""Called with (what, bytes done, bytes in all)."""

MARKER = canonical({"imageLayoutVersion": "1.0.0"})
REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"


class LayoutReport(NamedTuple):
    """What writing a layout took: bytes and blobs written, blobs that were there already."""

    written: int
    blobs_written: int
    blobs_kept: int


def small_blobs(content: Image | Index) -> dict[str, bytes]:
    """Configs, manifests and the index by digest; what is referred to comes first."""
    found = {digest: data for image in images_of(content) for digest, data in image.blobs()}
    if isinstance(content, Index):
        found[content.digest] = content.data
    return found


def layers_of(content: Image | Index) -> list[Layer]:
    """Every layer once, base first."""
    return list({layer.digest: layer for image in images_of(content) for layer in image.layers}.values())


def images_of(content: Image | Index) -> list[Image]:
    """The one image, or those of the index."""
    return content.images if isinstance(content, Index) else [content]


def index_entries(content: Image | Index, names: Sequence[str]) -> list[dict[str, Any]]:
    """The descriptors for index.json: one per name, or one without a name. Raises UsageError."""
    descriptor = content.descriptor()
    if not names:
        return [descriptor]
    return [named_entry(descriptor, name) for name in names]


def named_entry(descriptor: dict[str, Any], name: str) -> dict[str, Any]:
    """The entry of an image called `name`, with its tag, in index.json. Raises UsageError for what is no name."""
    return {**descriptor, "annotations": {REF_NAME: ref_name(name), IMAGE_NAME: full(name)}}


def reference_entry(descriptor: dict[str, Any], reference: str) -> dict[str, Any]:
    """The entry in index.json of an image with a name and tag, or with a bare tag, as other tools write it; or "".

    Raises UsageError for what is neither.
    """
    if not reference:
        return descriptor
    if ":" in reference or not TAG.fullmatch(reference):
        return named_entry(descriptor, reference)
    return {**descriptor, "annotations": {REF_NAME: reference}}


def ref_name(name: str) -> str:
    """What `name` is called in index.json: name and tag, so that several images in one layout stay apart.

    The grammar (image specification 1.1, annotations.md, org.opencontainers.image.ref.name) knows fewer runs of
    signs than image names do; other runs become "--". Raises UsageError for a malformed name.
    """
    return re.sub(r"[-._]{2,}", "--", tagged(name)).rstrip("-._")


def index_json(entries: list[dict[str, Any]]) -> bytes:
    """The bytes of an index.json."""
    return canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


def write_layout(
    directory: str,
    content: Image | Index,
    layer_stream: LayerStream,
    *,
    names: Sequence[str] = (),
    progress: Progress | None = None,
) -> LayoutReport:
    """Write `content` into the layout at `directory`, which is made where it does not exist.

    Entries of index.json with another name (or, without one, another digest) stay, so that several
    images can share a layout and its layers. Everything is written aside and renamed, index.json last.
    Raises UsageError where the directory holds something else or cannot be written, or a name is malformed,
    IntegrityError where a layer changed since the build.
    """
    blobs = [*layer_blobs(content, layer_stream), *(small(*item) for item in small_blobs(content).items())]
    return fill_layout(directory, blobs, index_entries(content, names), progress)


def layer_blobs(content: Image | Index, layer_stream: LayerStream) -> list[BlobSource]:
    """Every layer once, base first; reading one raises IntegrityError where it changed since the build."""
    return [
        BlobSource(layer.digest, layer.size, functools.partial(_verified, layer, layer_stream))
        for layer in layers_of(content)
    ]


def _verified(layer: Layer, layer_stream: LayerStream) -> Iterator[bytes]:
    return verified(layer, layer_stream(layer))


def fill_layout(
    directory: str, blobs: Sequence[BlobSource], entries: Sequence[dict[str, Any]], progress: Progress | None = None
) -> LayoutReport:
    """Write blobs, and `entries` into index.json, as `write_layout` does. Raises what it raises, and what blobs do."""
    replaced = {_identity(entry) for entry in entries}
    folder = os.path.join(directory, "blobs", "sha256")
    for name in ("oci-layout", "index.json"):
        remove_parts(directory, name)
    with writing("layout", directory):
        read_entries(directory)
        os.makedirs(folder, exist_ok=True)
    remove_parts(folder)
    write = functools.partial(write_whole, what="layout", place=directory)
    total = sum(blob.size for blob in blobs)
    done = written = count = 0
    for blob in blobs:
        path = os.path.join(folder, hex_of(blob.digest))
        if _size(path) != blob.size:
            write(path, reported(blob.open(), "writing layers", done, total, progress))
            count += 1
            written += blob.size
        done += blob.size
    write(os.path.join(directory, "oci-layout"), [MARKER])
    with writing("layout", directory), _alone(directory):
        kept = [entry for entry in read_entries(directory) if _identity(entry) not in replaced]
        write(os.path.join(directory, "index.json"), [index_json([*kept, *entries])])
    return LayoutReport(written, count, len(blobs) - count)


@contextlib.contextmanager
def _alone(directory: str) -> Iterator[None]:
    """While inside, nobody else changes the index. Raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_entries(directory: str) -> list[dict[str, Any]]:
    """The descriptors in a layout's index.json; empty where there is no such directory yet.

    Raises UsageError where the directory exists and is neither empty nor an image layout.
    """
    try:
        with open(open_regular(os.path.join(directory, "index.json")), "rb") as file:
            return parse_entries(file.read(MOST + 1), directory)
    except FileNotFoundError:
        there = os.listdir(directory) if os.path.isdir(directory) else []
        others = {name for name in there if not is_part(name)} - {"oci-layout", "blobs", "index.json"}
        if others:
            raise UsageError(
                f"{directory!r} is not an image layout: it holds {min(others)!r}",
                hint="name an empty or a new directory",
            ) from None
        return []
    except NotADirectoryError:
        raise UsageError(f"{directory!r} is not a directory") from None
    except OSError as error:
        if error.errno:
            raise  # a place where nothing can be written
        raise _no_index(directory, error) from error


def parse_entries(data: bytes, layout: str) -> list[dict[str, Any]]:
    """The descriptors in the index.json of a layout, which errors call `layout`. Raises UsageError."""
    try:
        entries = read_json(data)["manifests"]
        if not all(isinstance(entry["digest"], str) for entry in entries):
            raise ValueError("a descriptor has no digest")
        return list(entries)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _no_index(layout, error) from error


def _no_index(layout: str, error: Exception) -> UsageError:
    return UsageError(
        f"{os.path.join(layout, 'index.json')!r} is not the index of an image layout: {error!r}",
        hint="remove the directory, or name another one",
    )


def _identity(entry: dict[str, Any]) -> str:
    annotations = entry.get("annotations") or {}
    return str(annotations.get(IMAGE_NAME) or annotations.get(REF_NAME) or entry["digest"])


def reported(chunks: Iterable[bytes], what: str, done: int, total: int, progress: Progress | None) -> Iterator[bytes]:
    """The chunks, each told to `progress` once it is passed on; `done` bytes of `total` were before the first."""
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if progress is not None:
            progress(what, done, total)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None  # whoever writes it says why that cannot be
