"""Which images an engine got from this store, so that its layers need not be looked for. Losing it costs time only."""

import contextlib
import json
import os

from buildrules.oci.docker_http import Engine
from buildrules.oci.image import Image
from buildrules.sha256 import hex_digest

_REMEMBERED = 64  # images of an engine
_VERSION = 2

Rows = list[tuple[str, str]]
"""An image's layers, base first: diff_id and digest of the blob."""


class Record:
    """`images` are their layers by ID, newest last. Kept in `store`, the root of the local store, or nowhere."""

    def __init__(self, store: str | None, engine: Engine) -> None:
        self.images: dict[str, Rows] = {}
        self._path = None
        if store is None:
            return
        # By address: asking for the engine's own ID takes 10 ms, and an image that is not there is found out anyway.
        name = hex_digest(engine.host.encode())[:32]
        self._path = os.path.join(store, "docker", name + ".json")
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError), open(self._path) as file:
            found = json.load(file)
            if found["version"] == _VERSION:
                rows = {
                    str(key): [(str(one), str(two)) for one, two in value] for key, value in found["images"].items()
                }
                self.images = rows

    def forget(self, image_id: str) -> None:
        """The engine no longer has it."""
        self.images.pop(image_id, None)

    def add(self, image_id: str, image: Image) -> None:
        """Note an image, and keep what is known on disk. Failing to is no error."""
        if self._path is None or next(reversed(self.images), None) == image_id:
            return
        self.images.pop(image_id, None)
        self.images[image_id] = [(layer.diff_id, layer.digest) for layer in image.layers]
        for old in list(self.images)[:-_REMEMBERED]:
            del self.images[old]
        part = f"{self._path}.{os.getpid()}.tmp"
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(part, "w") as file:
                json.dump({"version": _VERSION, "images": self.images}, file)
            os.replace(part, self._path)
