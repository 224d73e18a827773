"""The action `oci_base`: an image by digest becomes layers, without fetching any of them.

`places`: see `oci.foreign`. Values: `config` is the `config` object of the image's config, `python` like "3.11" and
`python_version` like "3.11.9" where they are known. Blobs: `manifest` and `config`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.actions.made import BaseMade
from buildrules.actions.params import BaseParams, read
from buildrules.actions.python.target import minor_of
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Row, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError
from buildrules.oci.config import checked_config
from buildrules.oci.foreign import first_of, foreign_layers

_PYTHON = re.compile(r"(\d+\.\d+)(?:\.\d+\w*)?")


class OciBase:
    """See the module."""

    name = "oci_base"
    version = 2
    traits = Traits(network=True)

    def run(self, step: Step, context: Context) -> Outputs:
        """Read manifest and config. Raises what `oci.source` raises, ActionError where the Python differs."""
        digest, platform, given = read(BaseParams, step.params)
        image = first_of(step.places, context, digest, lambda source: source.resolve(platform))
        layers = foreign_layers(image.manifest, image.config, "base image")
        try:
            config = checked_config(json.loads(image.config).get("config") or {})
        except ValueError as error:
            raise ActionError(f"{step.places.get('reference') or digest} is not a sound image: {error}") from error
        version = _python_of(config)
        if given and version and not version.startswith(f"{given}.") and version != given:
            raise ActionError(
                f"{step.places.get('reference') or digest} has Python {version}, and the target says {given}",
                hint=f"write python: {minor_of(version)!r}, or take another base image",
            )
        python = given or (minor_of(version) if version else None)
        # A place such as the reference is not in the key, and so must not be in the outputs.
        return Outputs(
            layers=layers,
            values=BaseMade(dict(config), python, python_version=version, platform=platform)._asdict(),
            blobs={"manifest": context.blobs.put(image.manifest), "config": context.blobs.put(image.config)},
        )


def fetch_layers(rows: Sequence[Row], places: Mapping[str, Any], context: Context) -> None:
    """Bring layers (`digest`, `size`) into the store, from the images that `places` have for them below `images`: each
    as the places of "oci_base", with the image's `digest`. Raises what fetching raises.
    """
    for row in rows:
        digest, size = row["digest"], row["size"]
        if not context.blobs.right(digest):
            image = places["images"][digest]
            first_of(image, context, image["digest"], lambda source, one=digest, of=size: source.fetch(one, of))  # type: ignore[misc]


def _python_of(config: Mapping[str, Any]) -> str | None:
    """The version in the variable PYTHON_VERSION, which images of Python set by custom."""
    for entry in config.get("Env") or ():
        name, _, value = str(entry).partition("=")
        if name == "PYTHON_VERSION" and _PYTHON.fullmatch(value):
            return value
    return None
