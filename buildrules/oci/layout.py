"""Image layout directories: blobs by digest, and an index.json that says what they make.

Format: OCI image specification 1.1, image-layout.md. Writing is incremental: a blob that is there
with the right size stays as it is, so exporting after a code edit writes one small layer.
"""

import functools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from buildrules.errors import UsageError
from buildrules.oci.descriptor import INDEX, Layer
from buildrules.oci.image import Image, Index, LayerStream, canonical_json, verified
from buildrules.oci.names import full, tagged
from buildrules.oci.whole_file import write_whole, writing
from buildrules.store.blobs import hex_of

Progress = Callable[[str, int, int | None], None]
"""Called with (what, bytes done, bytes in all)."""

MARKER = canonical_json({"imageLayoutVersion": "1.0.0"})
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
    return [{**descriptor, "annotations": {REF_NAME: ref_name(name), IMAGE_NAME: full(name)}} for name in names]


def ref_name(name: str) -> str:
    """What `name` is called in index.json: name and tag, so that several images in one layout stay apart.

    The grammar (image specification 1.1, annotations.md, org.opencontainers.image.ref.name) knows fewer runs of
    signs than image names do; other runs become "--". Raises UsageError for a malformed name.
    """
    return re.sub(r"[-._]{2,}", "--", tagged(name)).rstrip("-._")


def index_json(entries: list[dict[str, Any]]) -> bytes:
    """The bytes of an index.json."""
    return canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


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
    entries = index_entries(content, names)
    replaced = {_identity(entry) for entry in entries}
    folder = os.path.join(directory, "blobs", "sha256")
    with writing("layout", directory):
        kept_entries = [entry for entry in read_entries(directory) if _identity(entry) not in replaced]
        os.makedirs(folder, exist_ok=True)
    write = functools.partial(write_whole, what="layout", place=directory)
    layers = layers_of(content)
    total = sum(layer.size for layer in layers)
    done = written = count = kept = 0
    for layer in layers:
        path = os.path.join(folder, hex_of(layer.digest))
        if _size(path) == layer.size:
            kept += 1
            done += layer.size
            continue
        write(path, reported(verified(layer, layer_stream(layer)), "writing layers", done, total, progress))
        count += 1
        done += layer.size
        written += layer.size
    for digest, data in small_blobs(content).items():
        path = os.path.join(folder, hex_of(digest))
        if _size(path) == len(data):
            kept += 1
            continue
        write(path, [data])
        count += 1
        written += len(data)
    write(os.path.join(directory, "oci-layout"), [MARKER])
    write(os.path.join(directory, "index.json"), [index_json(kept_entries + entries)])
    return LayoutReport(written, count, kept)


def read_entries(directory: str) -> list[dict[str, Any]]:
    """The descriptors in a layout's index.json; empty where there is no such directory yet.

    Raises UsageError where the directory exists and is neither empty nor an image layout.
    """
    try:
        with open(os.path.join(directory, "index.json"), "rb") as file:
            entries = json.load(file)["manifests"]
        if not all(isinstance(entry["digest"], str) for entry in entries):
            raise ValueError("a descriptor has no digest")
    except FileNotFoundError:
        there = os.listdir(directory) if os.path.isdir(directory) else []
        others = set(there) - {"oci-layout", "blobs", "index.json"}
        if others:
            raise UsageError(
                f"{directory!r} is not an image layout: it holds {min(others)!r}",
                hint="name an empty or a new directory",
            ) from None
        return []
    except NotADirectoryError:
        raise UsageError(f"{directory!r} is not a directory") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{os.path.join(directory, 'index.json')!r} is not the index of an image layout: {error!r}",
            hint="remove the directory, or name another one",
        ) from error
    return list(entries)


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
