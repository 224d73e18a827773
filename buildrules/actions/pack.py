"""Files of the workspace packed into one layer: what the kinds that make layers of files share."""

from collections.abc import Sequence
from typing import Any

from buildrules.engine.action import Context, SourceFile
from buildrules.errors import ActionError, Interrupted
from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import Done, assemble, assemble_blob
from buildrules.oci.codec import FAST, choose_codec
from buildrules.oci.descriptor import Layer
from buildrules.oci.parts import Sources

SMALL = 4 << 20
"""A layer of at most this many bytes of files is kept in the store as a blob."""
SMALL_LEVEL = 6


def layer_path(prefix: str, name: str) -> str:
    """The path in a layer of the file `name` below `prefix`, where "" and slashes around the prefix are allowed.

    Raises ActionError for a whiteout.
    """
    prefix = prefix.strip("/")
    path = f"{prefix}/{name}" if prefix else name
    if recipes.WHITEOUT in f"/{path}":
        raise ActionError(f"{name!r} is a whiteout, which would delete what lies below in the image", hint="exclude it")
    return path


def file_parts(files: Sequence[SourceFile], prefix: str) -> list[recipes.Part]:
    """A part for each file, sorted by its path in the layer. Raises ActionError where two claim one path."""
    found: dict[str, SourceFile] = {}
    for file in files:
        path = layer_path(prefix, file.name)
        other = found.setdefault(path, file)
        if (other.path, other.digest) != (file.path, file.digest):
            raise ActionError(
                f"{other.path!r} and {file.path!r} would both become {path!r}", hint="leave one of them out"
            )
    return [
        {"kind": "file", "path": path, "mode": file.mode, "size": file.size, "source": source_of(file)}
        for path, file in sorted(found.items())
    ]


def source_of(file: SourceFile) -> dict[str, Any]:
    """Where a recipe finds the bytes of a file: its path in the workspace, or the store for one that has none."""
    return {"workspace": file.path} if file.path else {"blob": file.digest}


def pack(files: Sequence[SourceFile], prefix: str, context: Context, title: str) -> Layer:
    """One layer of `files`: up to 4 MiB a gzip blob in the store, above that a recipe with the codec that pays."""
    parts = file_parts(files, prefix)
    total = sum(part["size"] for part in parts)
    sources = Sources(context.workspace, context.blobs)
    if total <= SMALL:
        context.count(read=total)
        return assemble_blob(recipes.gzip(parts, SMALL_LEVEL), sources)
    codec = choose_codec([(sources.path(part["source"]), part["size"]) for part in parts])
    return pack_as(codec, parts, context, title)


def pack_as(codec: str, parts: list[recipes.Part], context: Context, title: str) -> Layer:
    """A layer of file parts that keeps its recipe; `codec` is "tar" or "gzip"."""
    total = sum(part["size"] for part in parts)
    recipe = recipes.gzip(parts, FAST) if codec == "gzip" else recipes.tar(parts)
    layer = assemble(recipe, Sources(context.workspace, context.blobs), progress_of(context, title, total))
    context.count(read=total)
    return layer


def progress_of(context: Context, title: str, total: int) -> Done:
    """Reports to the context; raises Interrupted after Ctrl-C."""

    def done(count: int) -> None:
        if context.cancelled:
            raise Interrupted("interrupted")
        context.progress(title, min(count, total), total)

    return done
