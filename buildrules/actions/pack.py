"""Files of the workspace packed into one layer: what the kinds that make layers of files share."""

from collections.abc import Iterable, Sequence

from buildrules.engine.action import SourceFile, paths_of
from buildrules.engine.kind import Context
from buildrules.errors import ActionError, Interrupted
from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import Done, assemble, assemble_blob
from buildrules.oci.descriptor import LAYER_GZIP, Layer
from buildrules.oci.local import Local, name_of
from buildrules.oci.parts import Entry
from buildrules.oci.paths import layer_path
from buildrules.sha256 import new_hash

SMALL_LEVEL = 6


def file_parts(files: Sequence[SourceFile], prefix: str) -> list[recipes.Part]:
    """A part for each file, sorted by its path in the layer. Raises ActionError where two claim one path."""
    found: dict[str, SourceFile] = {}
    for file in files:
        path = layer_path(prefix, file.name)
        other = found.setdefault(path, file)
        if (other.digest, other.mode, other.link) != (file.digest, file.mode, file.link):
            raise ActionError(
                f"{other.path!r} and {file.path!r} would both become {path!r}", hint="leave one of them out"
            )
    return [_part(path, file) for path, file in sorted(found.items())]


def _part(path: str, file: SourceFile) -> recipes.Part:
    if file.link:
        return recipes.symlink(path, file.link)
    if not file.plain:
        return recipes.directory(path)
    return recipes.file(path, file.digest, file.size, file.mode, as_layer=file.as_layer is not None)


def pack(files: Sequence[SourceFile], prefix: str, context: Context, title: str) -> Layer:
    """One layer of `files`: up to 4 MiB a gzip blob in the store, above that a recipe, compressed where it pays."""
    local, parts = local_of(files, context), file_parts(files, prefix)
    total = sum(part.get("size", 0) for part in parts)
    if total <= recipes.SMALL_LAYER:
        context.count(read=total)
        return assemble_blob(recipes.gzip(parts, SMALL_LEVEL), local)
    from buildrules.actions.compressible import FAST

    recipe = recipes.gzip(parts, FAST) if compressible(parts, local) else recipes.tar(parts)
    layer = assemble(recipe, local, progress_of(context, title, total))
    context.count(read=total)
    return layer


def keep(entries: Iterable[Entry], level: int, context: Context, title: str) -> Layer:
    """Stream entries into a gzip blob of the store, for what a recipe could not make again cheaply.

    `level` is libdeflate's. Raises what the entries raise, IntegrityError, Interrupted; nothing stays behind then.
    """
    from buildrules.oci.gzip import Buffer, encode
    from buildrules.oci.reader import Reader
    from buildrules.oci.tar import pieces

    unpacked, done, report = new_hash(), 0, progress_of(context, title)

    def tap(data: Buffer) -> None:
        nonlocal done
        unpacked.update(data)
        done += len(data)
        report(done)

    with Reader() as reader, context.blobs.writer() as blob:
        for data in encode(pieces(entries), level, reader, tap):
            blob.write(data)
    return Layer(digest=blob.digest, size=blob.size, diff_id=f"sha256:{unpacked.hexdigest()}", media_type=LAYER_GZIP)


def local_of(files: Sequence[SourceFile], context: Context) -> Local:
    """Where the content of `files` is: in the workspace, or in the store for those that have no path there."""
    return Local(context.blobs, paths_of(context.workspace, files))


def compressible(parts: Sequence[recipes.Part], local: Local) -> bool:
    """Whether compressing the files `parts` together pays."""
    from buildrules.actions.compressible import pays

    return pays([(local.path(name_of(part)), part["size"]) for part in parts])


def progress_of(context: Context, title: str, total: int | None = None) -> Done:
    """Reports to the context; raises Interrupted after Ctrl-C."""

    def done(count: int) -> None:
        if context.cancelled:
            raise Interrupted("interrupted")
        context.progress(title, count if total is None else min(count, total), total)

    return done
