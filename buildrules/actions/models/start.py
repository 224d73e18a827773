"""The kind "start_layers": what fetches models when a container starts, instead of the models themselves."""

import json
from functools import cache
from typing import Any

from buildrules.actions.made import StartMade
from buildrules.actions.models.sound import check_sound
from buildrules.actions.pack import local_of
from buildrules.actions.params import StartParams, read
from buildrules.engine.action import Outputs, stored_blobs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import assemble_blob
from buildrules.oci.local import Local
from buildrules.sha256 import digest_of

PLACE = "opt/buildrules"
"""Where the fetcher lies in the image; `python -ISB /opt/buildrules -- SERVER` runs it."""

_MAIN = """\
import os
import sys

from start.__main__ import main

code = main()
sys.stderr.flush()
os._exit(code)
"""


class StartLayers:
    """Two layers: the fetcher, the same in every image, and start.json with the empty directories that are filled
    at start, writable for whoever the image runs as. Values: `models`, by its place the digest over each one's files.
    """

    name = "start_layers"
    version = 3  # 3: files that cannot be what they should be are errors
    traits = Traits()

    def run(self, step: Step, context: Context) -> Outputs:
        """Make both layers. Raises what `check_sound` raises."""
        for files in step.sources:
            check_sound(files, local_of(files, context), step.title)
        sets = iter(step.sources)
        downloads: list[dict[str, Any]] = []
        models: dict[str, str] = {}
        for row in read(StartParams, step.params).downloads:
            entry = dict(row)
            if entry["files"] is None:
                entry["files"] = [
                    {"path": file.name, "size": file.size, "sha256": file.digest.removeprefix("sha256:")}
                    for file in next(sets)
                ]
            downloads.append(entry)
            if entry["kind"] == "model":
                lines = "\n".join(f"{file['path']} {file['sha256']}" for file in entry["files"])
                models[entry["directory"]] = digest_of(lines.encode())
        text = json.dumps({"version": 1, "downloads": downloads}, indent=1, sort_keys=True) + "\n"
        parts = [recipes.inline(f"{PLACE}/start.json", text)]
        places = sorted({entry["directory"].strip("/") for entry in downloads} - {""})
        parts += [recipes.directory(place, 0o777) for place in places]
        local = Local(context.blobs)
        layers = [
            assemble_blob(recipes.gzip(_code(), 6), local),
            assemble_blob(recipes.gzip(parts, 6), local),
        ]
        values = StartMade(layers=["fetcher", "list of files"], models=models)._asdict()
        return Outputs(layers=layers, blobs=stored_blobs(layers), values=values)


@cache
def _files() -> tuple[tuple[str, str], ...]:
    from importlib.resources import files

    there = sorted(files("buildrules.start").iterdir(), key=lambda file: file.name)  # which may be in an archive
    sources = ((f"start/{file.name}", file.read_text("utf-8")) for file in there if file.name.endswith(".py"))
    return ("__main__.py", _MAIN), *sources


def _code() -> list[recipes.Part]:
    return [recipes.inline(f"{PLACE}/{name}", text) for name, text in _files()]


def code_digest() -> str:
    """`sha256:<hex>` of the fetcher's files."""
    return digest_of(repr(_files()).encode())


def launcher(interpreter: str) -> list[str]:
    """What stands in front of an image's entry point: the fetcher, run by the absolute path of a Python."""
    return [interpreter, "-ISB", f"/{PLACE}", "--"]
