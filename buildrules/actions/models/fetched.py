"""The kind "fetched_model": the files of a model that is not in the workspace, as layers."""

from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.actions.models.layers import lay
from buildrules.actions.params import FetchedModelParams, read
from buildrules.engine.action import Outputs, SourceFile
from buildrules.engine.kind import Context, Row, Traits
from buildrules.engine.step import Step
from buildrules.errors import IntegrityError


def _content(step: Step) -> list[Row]:
    files = read(FetchedModelParams, step.params).files
    return [
        {"kind": "file", "path": row["path"], "size": row["size"], "digest": f"sha256:{row['sha256']}"} for row in files
    ]


class FetchedModel:
    """Params: `prefix` as of "model_layers"; `files`, each with `path` (below the prefix), `size`, `sha256`.

    Places say where they come from: `source`, `connection`, and `files` and `archives` as the lock has them.
    Outputs what "model_layers" gives for the same files.
    """

    name = "fetched_model"
    version = 3  # 3: files that cannot be what they should be are errors
    traits = Traits(content=_content)

    def run(self, step: Step, context: Context) -> Outputs:
        """Make the layers. Raises DamagedError where a file of the store is not what it should be, StoreError."""
        prefix, files = read(FetchedModelParams, step.params)
        found = [SourceFile("", row["path"], row["size"], 0o644, f"sha256:{row['sha256']}") for row in files]
        return lay(found, prefix, context, step.title)


def provide(files: Sequence[Row], places: Mapping[str, Any], context: Context) -> None:
    """Have `files` (`path`, `size`, `digest`) in the store, which is believed as far as sizes go.

    `places` are those of the action. Raises FetchError, GoneError, IntegrityError, StoreError.
    """
    missing = [row for row in files if not context.blobs.has(row["digest"], row["size"])]
    if not missing:
        return
    from buildrules.actions.models.access import Access
    from buildrules.actions.models.file import File

    access = Access(context, name=places["name"], connection=places.get("connection"))
    source = places["source"]
    locked = {row["sha256"]: row for row in places["files"]}
    placed = [locked[digest.removeprefix("sha256:")] for digest in dict.fromkeys(row["digest"] for row in missing)]
    wanted = {row["archive"] for row in placed if row.get("archive")}
    archives = [archive for archive in places["archives"] if archive["sha256"] in wanted]
    access.take_all(source, [*archives, *(row for row in placed if not row.get("archive"))])
    for archive in archives:
        keys = {row["key"] for row in placed if row.get("archive") == archive["sha256"]}
        access.unpacked(File(archive["path"], archive["size"], archive["sha256"]), keys.__contains__)
    for row in missing:
        if not context.blobs.has(row["digest"], row["size"]):
            raise IntegrityError(
                f"{row['path']!r} of {places['name']!r} is not in its archive any more", hint="lock the model again"
            )
