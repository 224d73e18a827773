"""A built image as the sinks want it: the image, the stream of a layer, its name."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from buildrules.cli.invocation import Invocation
from buildrules.engine.events import Progress
from buildrules.engine.result import GoalResult
from buildrules.errors import FetchError, IntegrityError
from buildrules.oci.assemble import stream_layer
from buildrules.oci.descriptor import Layer
from buildrules.oci.image import Image, read_image
from buildrules.oci.parts import Sources
from buildrules.store.blobs import Blobs


class Content:
    """The bytes of a goal's image. Also the context that fetching of missing pieces reports to."""

    cancelled = False

    def __init__(self, invocation: Invocation, result: GoalResult) -> None:
        self.workspace = invocation.root
        self.jobs = 8
        self.result = result
        self.fetched = 0
        self._invocation = invocation
        self._hints = {item.layer.digest: item.hints for item in result.layers}
        self._sources = Sources(invocation.root, invocation.store.blobs)

    @property
    def blobs(self) -> Blobs:
        """The store's blobs."""
        return self._invocation.store.blobs

    @property
    def image(self) -> Image:
        """The image with its layers' recipes."""
        layers = [item.layer for item in self.result.layers]
        return read_image(self.blobs, self.result.digest, layers)

    def name(self) -> str:
        """The image's name: `--tag`, else the one the plan gave it, with its tag."""
        from buildrules.oci.names import tagged

        return tagged(str(self._invocation.request.option("tag") or self.result.goal.info["name"]))

    def stream(self, layer: Layer) -> Iterator[bytes]:
        """The bytes of a layer's blob; what they are made of is fetched again where it is gone."""
        hints = self._hints.get(layer.digest, {})
        codec = layer.recipe.get("codec")
        if codec == "foreign":
            from buildrules.oci.foreign import foreign_stream

            yield from foreign_stream(layer, self.blobs, hints, self)
            return
        self._fetch_missing(layer, hints)
        try:
            if codec == "blob":
                yield from self._checked(layer)
            else:
                yield from stream_layer(layer, self._sources)
        except FileNotFoundError as error:
            raise FetchError(
                f"layer {layer.digest[:19]} ({layer.origin}) is no longer in the store", hint="build again"
            ) from error

    def _checked(self, layer: Layer) -> Iterator[bytes]:
        """The blob of a layer; one that is corrupt is removed, so that the next build makes it again."""
        sha256 = hashlib.sha256()
        for chunk in stream_layer(layer, self._sources):
            sha256.update(chunk)
            yield chunk
        if "sha256:" + sha256.hexdigest() != layer.digest:
            self.blobs.discard(layer.digest)
            raise IntegrityError(
                f"layer {layer.digest[:19]} ({layer.origin}) was corrupt in the store and has been removed",
                hint="run the command again: the layer is made anew",
            )

    def _fetch_missing(self, layer: Layer, hints: Mapping[str, Any]) -> None:
        missing = [
            _wheel_file(part)
            for part in layer.recipe.get("parts", [])
            if part["kind"] == "wheel" and not self.blobs.has(part["digest"])
        ]
        if missing:
            from buildrules.actions.python.fetch import fetch_files

            fetch_files(missing, hints, self)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report long work."""
        self._invocation.stream.emit(Progress(what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0) -> None:
        """Count what had to be fetched."""
        self.fetched += fetched

    def warn(self, message: str) -> None:
        """Tell the user something that is not an error."""
        from buildrules.engine.events import Notice

        self._invocation.stream.emit(Notice(message, warning=True))


def _wheel_file(part: dict[str, Any]) -> dict[str, Any]:
    """A wheel part as the file it is fetched as; name and version stand in the file name (PEP 427)."""
    filename = part["filename"]
    name, version = filename.split("-")[:2]
    digest = part["digest"].removeprefix("sha256:")
    return {"name": name, "version": version, "filename": filename, "sha256": digest, "size": None}
