"""The files of layers that hold workspace files, to look into: no layer is made again for it."""

import io
import zlib
from collections.abc import Callable, Iterator

from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context
from buildrules.oci.descriptor import LAYER_GZIP, Layer
from buildrules.oci.local import Local, name_of
from buildrules.oci.supply import Origin
from buildrules.oci.tar import BLOCK
from buildrules.store.blobs import Blobs
from buildrules.typed import BinaryIO

_GZIP = 31  # zlib's window bits for gzip members
_LARGEST = 64 << 20  # bytes of a small layer, inflated


def files_of(
    outputs: Outputs, prefix: str, context: Context, origin_of: Callable[[str], Origin]
) -> Iterator[tuple[str, int, BinaryIO]]:
    """Name below `prefix`, size in bytes, and the content, open until the next is asked for. Only of "pack"ed layers.

    What is not there any more is passed over.
    """
    for layer in outputs.layers:
        local = Local(context.blobs, origin_of(layer.digest).files())
        for part in layer.recipe["parts"] if layer.recipe is not None else ():
            if part["kind"] == "file":
                try:
                    file = open(local.path(name_of(part)), "rb", buffering=0)  # noqa: SIM115  closed below
                except OSError:
                    continue
                with file:
                    yield part["path"].removeprefix(f"{prefix}/"), part["size"], file
        if layer.recipe is None:
            try:
                found = files_in(layer, context.blobs)
            except (OSError, zlib.error):
                continue
            for path, content in found:
                yield path.removeprefix(f"{prefix}/"), len(content), io.BytesIO(content)


def files_in(layer: Layer, blobs: Blobs) -> Iterator[tuple[str, bytes]]:
    """The files of a small layer that was made here and is stored. Raises OSError, zlib.error, DamagedError.

    `tarfile` would do, and its import takes longer than to pack an edited model.
    """
    data = blobs.read(layer.digest)
    return _untar(_inflated(data) if layer.media_type == LAYER_GZIP else data)


def _inflated(data: bytes) -> bytes:
    """What is in the members of a gzip file (`oci.gzip` makes one of each MiB)."""
    text = b""
    while data and len(text) < _LARGEST:
        member = zlib.decompressobj(_GZIP)
        text += member.decompress(data, _LARGEST - len(text))
        data = member.unused_data
    return text


def _untar(text: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of a tar as `oci.tar` writes it: ustar, with a PAX header before a long name."""
    place, long = 0, b""
    while place + BLOCK <= len(text) and text[place] != 0:
        block = text[place : place + BLOCK]
        size = int(block[124:135] or b"0", 8)
        begin = place + BLOCK
        content = text[begin : begin + size]
        place = begin + (size + BLOCK - 1) // BLOCK * BLOCK
        if block[156:157] == b"x":
            long = content.partition(b" path=")[2].partition(b"\n")[0] if b" path=" in content else b""
            continue
        name, folder = block[:100].rstrip(b"\0"), block[345:500].rstrip(b"\0")
        path, long = long or (folder + b"/" + name if folder else name), b""
        if block[156:157] == b"0":
            yield path.decode(errors="replace"), content
