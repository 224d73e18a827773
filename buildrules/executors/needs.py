"""The content that a step needs where it is run, and where the bytes of it are here."""

import os
from collections.abc import Iterator, Mapping

from buildrules.engine.kind import BuildContext, Traits
from buildrules.engine.step import Step
from buildrules.oci.supply import NOWHERE, Fetch, Supply
from buildrules.remote.backend import Blob, Body
from buildrules.store.blobs import CHUNK
from buildrules.typed import NamedTuple


class Need(NamedTuple):
    """Content, and what opens its bytes here."""

    blob: Blob
    body: Body


class Needs(NamedTuple):
    """What has to be there: `files` by their paths in the workspace, `blobs` by digest, in the store."""

    files: Mapping[str, Need]
    blobs: Mapping[str, Need]

    @property
    def all(self) -> dict[Blob, Body]:
        """Each content once."""
        return {need.blob: need.body for need in (*self.files.values(), *self.blobs.values())}

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(blob.size for blob in self.all)


def portable(step: Step, traits: Traits) -> Step:
    """The step without what only this host has: places and sources of dependencies, and all places but those that the
    kind needs to be run."""
    places = {name: step.places[name] for name in traits.places if name in step.places}
    return step._replace(places=places, deps=[dep._replace(places=NOWHERE, sources=()) for dep in step.deps])


def needs_of(step: Step, traits: Traits, context: BuildContext, fetch: Fetch) -> Needs:
    """All that the kind of `step` reads. What the kind wants in the store is there already.

    Of a kind that opens layers these are their blobs, made by `oci.supply` while they are sent. Raises OSError,
    DamagedError.
    """
    blobs = context.blobs
    files = {
        file.path: Need(Blob(file.digest, file.size), file_body(os.path.join(context.workspace, file.path)))
        for file in step.files
        if file.plain and file.path
    }
    found: dict[str, Need] = {}
    for row in traits.content(step):
        digest = row["digest"]
        found[digest] = Need(Blob(digest, os.stat(blobs.path(digest)).st_size), _stored(context, digest))
    supply = Supply(context, step.origin_of(context.workspace), fetch)
    for outputs in step.outputs:
        layers = {layer.digest: layer for layer in outputs.layers}
        for layer in layers.values() if traits.opens else ():
            found[layer.digest] = Need(Blob(layer.digest, layer.size), lambda layer=layer: supply(layer))  # type: ignore[misc]
        for digest in set(outputs.blobs.values()) - layers.keys():
            with blobs.open(digest) as file:
                found[digest] = Need(Blob(digest, file.seek(0, 2)), _stored(context, digest))
    return Needs(files, found)


def file_body(path: str) -> Body:
    """The bytes of a file here."""

    def chunks() -> Iterator[bytes]:
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    return chunks


def _stored(context: BuildContext, digest: str) -> Body:
    return file_body(context.blobs.path(digest))
