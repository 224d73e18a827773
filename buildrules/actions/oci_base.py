"""The action `oci_base`: an image by digest becomes layers, without fetching any of them.

`params`: `digest` (of the manifest or index, or the image ID in the local Docker Engine), `platform`
(`os/architecture[/variant]`), `python` (major.minor, or None to read it from the image).
`places`: see `oci.foreign`. Outputs: the image's layers as foreign layers; `values` `config` (the `config`
object of the image's config), `python` ("3.11" or None), `python_version` ("3.11.9" or None) and
`platform`; `blobs` `manifest` and `config`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from buildrules.actions.params import BaseParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError, BuildrulesError
from buildrules.oci.config import checked_config
from buildrules.oci.foreign import foreign_layers, sources
from buildrules.oci.source import Resolved

_PYTHON = re.compile(r"(\d+\.\d+)(?:\.\d+\w*)?")


class OciBase:
    """See the module."""

    name = "oci_base"
    version = 2
    traits = Traits(network=True)

    def run(self, step: Step, context: Context) -> Outputs:
        """Read manifest and config. Raises what `oci.source` raises, ActionError where the Python differs."""
        digest, platform, given = read(BaseParams, step.params)
        image = _resolve(step.places, digest, platform, context)
        layers = foreign_layers(image.manifest, image.config, "base image")
        try:
            config = checked_config(json.loads(image.config).get("config") or {})
        except ValueError as error:
            raise ActionError(f"{step.places.get('reference') or digest} is no sound image: {error}") from error
        version = _python_of(config)
        if given and version and not version.startswith(f"{given}.") and version != given:
            raise ActionError(
                f"{step.places.get('reference') or digest} has Python {version}, and the target says {given}",
                hint=f"write python: {'.'.join(version.split('.')[:2])!r}, or take another base image",
            )
        python = given or (".".join(version.split(".")[:2]) if version else None)
        return Outputs(
            # A hint such as the reference is not in the key, and so must not be in the outputs.
            layers=layers,
            values={"config": dict(config), "python": python, "python_version": version, "platform": platform},
            blobs={"manifest": context.blobs.put(image.manifest), "config": context.blobs.put(image.config)},
        )


def _resolve(places: Mapping[str, Any], digest: str, platform: str, context: Context) -> Resolved:
    """The image from the first source that has it. Raises the last source's error."""
    failure: BuildrulesError | None = None
    for source in sources(places, context, pin=digest):
        try:
            return source.resolve(platform)
        except BuildrulesError as error:
            failure = error
        finally:
            source.close()
    assert failure is not None
    raise failure


def _python_of(config: Mapping[str, Any]) -> str | None:
    """The version in the variable PYTHON_VERSION, which images of Python set by custom."""
    for entry in config.get("Env") or ():
        name, _, value = str(entry).partition("=")
        if name == "PYTHON_VERSION" and _PYTHON.fullmatch(value):
            return value
    return None
