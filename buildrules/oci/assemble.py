"""From a recipe to a layer: its digests in one pass, or its bytes as a stream. Nothing is written here.

One pass makes both digests. The reader fills one buffer while a thread hashes another; hashing, inflating and
compressing run without the interpreter's lock, so layers can also be assembled side by side on threads.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from buildrules.oci import recipe as recipes
from buildrules.oci.compression import COMPRESSIONS, Encode
from buildrules.oci.descriptor import LAYER_TAR, Layer
from buildrules.oci.gzip import inflate
from buildrules.oci.local import Local
from buildrules.oci.parts import Entry, FileRange, expander
from buildrules.oci.reader import Reader, changed, cut
from buildrules.oci.recipe import Part, Recipe, check
from buildrules.oci.tar import Piece, pieces
from buildrules.sha256 import SHORT, new_hash
from buildrules.store.buffer import BUFFER, page_aligned

_BATCH = 512
"""Headers made at a time: content that passes in between would drive what makes them out of the processor's caches."""

Done = Callable[[int], None]
"""Called now and then with the bytes of the uncompressed layer done so far."""


def entries(recipe: Recipe, local: Local) -> Iterator[Entry]:
    """The tar entries of a recipe, in order, without the parent directories that the assembler adds.

    A file that several wheels bring (`__init__.py` of a namespace) comes once, from the last of them, as it would be
    found where they were installed in this order: the docker engine refuses a layer that holds a path twice.
    """
    parts = list(enumerate(recipe["parts"]))
    wheels = {number: part for number, part in parts if part["kind"] == "wheel"}
    owners: dict[str, int] = {}
    expanded: dict[int, list[Entry]] = {}
    for number, part in wheels.items() if len(wheels) > 1 else ():
        expanded[number] = list(expander("wheel")(part, local))
        owners.update((entry.path, number) for entry in expanded[number])
    for number, part in parts:
        if number in expanded:
            yield from (entry for entry in expanded.pop(number) if owners[entry.path] == number)
        else:
            yield from expander(part["kind"])(part, local)


def assemble(recipe: Recipe, local: Local, progress: Done | None = None) -> Layer:
    """Make a layer, keep only its descriptor.

    Raises IntegrityError for a recipe or an input that is not what it must be, ActionError for a file that cannot be
    read or has changed its size.
    """
    stream = _pieces(recipe, local)
    compression = COMPRESSIONS[recipe["compression"]]
    if compression.encode is None:
        digest, size = _hash_tar(stream, progress)
        diff_id = digest
    else:
        digest, size, diff_id = _hash_encoded(stream, recipe, compression.encode, progress)
    return Layer(digest=digest, size=size, diff_id=diff_id, media_type=compression.media_type, recipe=recipe)


def stream(recipe: Recipe, local: Local) -> Iterator[bytes]:
    """Exactly the bytes of the layer's blob, in chunks of about 1 MiB. Raises like `assemble`."""
    pieces = _pieces(recipe, local)
    encode = COMPRESSIONS[recipe["compression"]].encode
    if encode is None:
        yield from _tar(pieces)
        return
    with Reader() as reader:
        waiting: list[bytes] = []
        held = 0
        for data in encode(pieces, recipe, reader, None):
            waiting.append(bytes(data))
            held += len(data)
            if held >= BUFFER:
                yield b"".join(waiting)
                waiting, held = [], 0
        if waiting:
            yield b"".join(waiting)


def _tar(pieces: Iterator[Piece]) -> Iterator[bytes]:
    buffer = page_aligned()
    with Reader() as reader:
        for view in cut(pieces, reader, lambda: buffer, inflate):
            assert isinstance(view, memoryview)
            yield bytes(view)


def hash_layer(entries: Iterable[Entry], read: Callable[[FileRange], Iterable[bytes | memoryview]]) -> str:
    """The digest (and diff_id) of the uncompressed layer of `entries`, files that `read` gives the bytes of.

    Equals `assemble` of the same files as "file" parts of a recipe without compression. Raises ActionError where a file
    is not as long as its entry says, IntegrityError for a path that cannot be in a layer, and what `read` raises.
    """
    sha256 = new_hash()
    stream = pieces(entries)
    while batch := list(islice(stream, _BATCH)):
        for piece in batch:
            if isinstance(piece, bytes):
                sha256.update(piece)
                continue
            assert isinstance(piece, FileRange)
            done = 0
            for run in read(piece):
                sha256.update(run)
                done += len(run)
            if done != piece.length:
                raise changed(piece.path)
    return "sha256:" + sha256.hexdigest()


def known_layer(parts: Sequence[Part], digest: str) -> Layer:
    """The uncompressed layer of "file" parts whose digest is known from `hash_layer`. Reads nothing."""
    entries = (
        Entry(part["path"], mode=part["mode"], size=part["size"], content=FileRange("", 0, part["size"]))
        for part in parts
    )
    size = sum(len(piece) if isinstance(piece, bytes) else piece.length for piece in pieces(entries))
    return Layer(digest=digest, size=size, diff_id=digest, media_type=LAYER_TAR, recipe=recipes.tar(list(parts)))


def assemble_blob(recipe: Recipe, local: Local) -> Layer:
    """Make a small compressed layer and put its blob into the store, instead of a recipe. Raises like `assemble`."""
    diff_id = new_hash(sum(part.get("size", SHORT) for part in recipe["parts"]))
    pieces = _pieces(recipe, local)
    compression = COMPRESSIONS[recipe["compression"]]
    assert compression.encode is not None
    with Reader() as reader:
        data = b"".join(map(bytes, compression.encode(pieces, recipe, reader, diff_id.update)))
    return Layer(
        digest=local.blobs.put(data),
        size=len(data),
        diff_id="sha256:" + diff_id.hexdigest(),
        media_type=compression.media_type,
    )


def _pieces(recipe: Recipe, local: Local) -> Iterator[Piece]:
    return pieces(entries(check(recipe), local))


def _hash_tar(stream: Iterator[Piece], progress: Done | None) -> tuple[str, int]:
    from buildrules.oci.hasher import Hasher

    hasher = Hasher()
    with Reader() as reader, hasher:
        for view in cut(stream, reader, hasher.take, inflate):
            assert isinstance(view, memoryview)
            hasher.give(view)
            if progress:
                progress(hasher.size)
    return hasher.digest(), hasher.size


def _hash_encoded(
    stream: Iterator[Piece], recipe: Recipe, encode: Encode, progress: Done | None
) -> tuple[str, int, str]:
    from buildrules.oci.hasher import Hasher

    compressed = new_hash()
    size = reported = 0
    hasher = Hasher()
    with Reader() as reader, hasher:
        for data in encode(stream, recipe, reader, hasher.write):
            compressed.update(data)
            size += len(data)
            if progress and hasher.size - reported >= BUFFER:
                reported = hasher.size
                progress(reported)
        hasher.flush()
        if progress:
            progress(hasher.size)
    return "sha256:" + compressed.hexdigest(), size, hasher.digest()
