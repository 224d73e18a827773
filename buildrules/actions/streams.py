"""The bytes of built layers, wherever they are wanted: in Docker, in an archive, in a folder that is tried out."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from buildrules.engine.action import Context
from buildrules.errors import DamagedError, FetchError, IntegrityError
from buildrules.oci.assemble import stream_layer
from buildrules.oci.descriptor import Layer
from buildrules.oci.parts import Sources


class LayerStreams:
    """Called with a layer, gives the bytes of its blob. What it is made of is fetched again where it is gone.

    `hints` gives, for a layer's digest, the hints of the action that made it. Raises FetchError, IntegrityError
    and what fetching raises.
    """

    def __init__(self, context: Context, hints: Callable[[str], Mapping[str, Any]]) -> None:
        self._context = context
        self._hints = hints
        self._sources = Sources(context.workspace, context.blobs)

    def __call__(self, layer: Layer) -> Iterator[bytes]:
        """The bytes, in chunks; read anew at every call."""
        hints = self._hints(layer.digest)
        codec = layer.recipe.get("codec")
        if codec == "foreign":
            from buildrules.oci.foreign import foreign_stream

            yield from foreign_stream(layer, self._context.blobs, hints, self._context)
            return
        self._fetch_missing(layer, hints)
        try:
            if codec == "blob":
                yield from self._checked(layer)
            else:
                yield from stream_layer(layer, self._sources)
        except DamagedError as error:
            self._context.blobs.discard(error.digest)
            raise IntegrityError(
                f"a file of layer {layer.digest[:19]} was damaged in the store and has been removed",
                hint="run the command again: it is fetched anew",
            ) from error
        except FileNotFoundError as error:
            raise FetchError(f"layer {layer.digest[:19]} is no longer in the store", hint="build again") from error

    def _checked(self, layer: Layer) -> Iterator[bytes]:
        """The blob of a layer; one that is corrupt is removed, so that the next build makes it again."""
        sha256 = hashlib.sha256()
        for chunk in stream_layer(layer, self._sources):
            sha256.update(chunk)
            yield chunk
        if "sha256:" + sha256.hexdigest() != layer.digest:
            self._context.blobs.discard(layer.digest)
            raise IntegrityError(
                f"layer {layer.digest[:19]} was corrupt in the store and has been removed",
                hint="run the command again: the layer is made anew",
            )

    def _fetch_missing(self, layer: Layer, hints: Mapping[str, Any]) -> None:
        missing = [
            _wheel_file(part)
            for part in layer.recipe.get("parts", [])
            if part["kind"] == "wheel" and not self._context.blobs.has(part["digest"])
        ]
        if missing:
            from buildrules.actions.python.fetch import fetch_files

            fetch_files(missing, hints, self._context)
        if "files" in hints:
            from buildrules.actions.models.fetched import provide

            provide(_model_files(layer), hints, self._context)


def _model_files(layer: Layer) -> list[dict[str, Any]]:
    """The files of a fetched model in a layer, as its action has them."""
    parts = [part for part in layer.recipe.get("parts", []) if "blob" in part.get("source", {})]
    return [
        {"path": part["path"], "size": part["size"], "sha256": part["source"]["blob"].removeprefix("sha256:")}
        for part in parts
    ]


def _wheel_file(part: dict[str, Any]) -> dict[str, Any]:
    """A wheel part as the file it is fetched as; name and version stand in the file name (PEP 427)."""
    filename = part["filename"]
    name, version = filename.split("-")[:2]
    digest = part["digest"].removeprefix("sha256:")
    return {"name": name, "version": version, "filename": filename, "sha256": digest, "size": None}
