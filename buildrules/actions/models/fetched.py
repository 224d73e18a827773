"""The kind "fetched_model": the files of a model that is not in the workspace, as layers."""

from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.actions.models.layers import lay
from buildrules.actions.params import FetchedModelParams, read
from buildrules.engine.action import Outputs, SourceFile
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.errors import DamagedError, IntegrityError


class FetchedModel:
    """Params: `prefix` as of "model_layers"; `files`, each with `path` (below the prefix), `size`, `sha256`.

    Hints say where they come from: `source`, `connection`, and `files` and `archives` as the lock has them.
    Outputs what "model_layers" gives for the same files.
    """

    name = "fetched_model"
    version = 2
    traits = Traits(network=True)

    def run(self, step: Step, context: Context) -> Outputs:
        """Have every file in the store, make the layers. Raises FetchError, GoneError, IntegrityError, StoreError.

        The store is believed as far as sizes go; what is packed is held against its digest as it is read. Where that
        shows a damaged file, all are looked at, and the damaged ones are fetched again, once.
        """
        prefix, files = read(FetchedModelParams, step.params)
        found = [SourceFile("", row["path"], row["size"], 0o644, f"sha256:{row['sha256']}") for row in files]
        provide(files, step.places, context)
        try:
            return lay(found, prefix, context)
        except DamagedError:
            for file in found:
                context.blobs.heal(file.digest)
        provide(files, step.places, context)
        return lay(found, prefix, context)


def provide(files: Sequence[Mapping[str, Any]], places: Mapping[str, Any], context: Context) -> None:
    """Have `files` in the store; `places` are those of the action. Raises as `FetchedModel.run`."""
    from buildrules.actions.models.access import Access
    from buildrules.actions.models.file import File

    missing = [row for row in files if not context.blobs.has(f"sha256:{row['sha256']}", row["size"])]
    if not missing:
        return
    access = Access(context, name=places["name"], connection=places.get("connection"))
    source = places["source"]
    locked = {row["sha256"]: row for row in places["files"]}
    placed = list({row["sha256"]: locked[row["sha256"]] for row in missing}.values())
    wanted = {row["archive"] for row in placed if row.get("archive")}
    archives = [archive for archive in places["archives"] if archive["sha256"] in wanted]
    access.take_all(source, [*archives, *(row for row in placed if not row.get("archive"))])
    for archive in archives:
        keys = {row["key"] for row in placed if row.get("archive") == archive["sha256"]}
        access.unpacked(File(archive["path"], archive["size"], archive["sha256"]), keys.__contains__)
    for row in missing:
        if not context.blobs.has(f"sha256:{row['sha256']}", row["size"]):
            raise IntegrityError(
                f"{row['path']!r} of {places['name']!r} is not in its archive any more", hint="lock the model again"
            )
