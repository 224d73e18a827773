"""The kind "fetch": brings the content into the store that a step or a recipe names and nothing here has."""

from collections.abc import Mapping, Sequence

from buildrules.actions.params import FetchParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Row, Traits
from buildrules.engine.step import Step
from buildrules.errors import FetchError
from buildrules.typed import Any


class Fetch:
    """Params: `FetchParams`; places: those of the step that needs the content. It makes nothing, and has no record."""

    name = "fetch"
    version = 1
    traits = Traits(network=True)

    def run(self, step: Step, context: Context) -> Outputs:
        """Fetch what is missing; with `check` also what is damaged. Raises as `fetch_parts`."""
        params = read(FetchParams, step.params)
        if params.check:
            for row in params.content:
                context.blobs.heal(row["digest"])
        fetch_parts(params.content, step.places, context)
        return Outputs()


def fetch_parts(parts: Sequence[Row], places: Mapping[str, Any], context: Context) -> None:
    """Have what `parts` name in the store, from `places`, those of an action.

    Parts are those of recipes, or like them: of the kinds "wheel", "sdist" and "conda" (`filename`), "deb" (`name`,
    `version`), "python", "layer" (`size`) and "file" (`path`, `size`), with a `digest` each. Wheels that are here are
    held against theirs. Raises FetchError, GoneError where nothing has it any more, IntegrityError for what is not as
    it was locked, StoreError.
    """
    kinds = {part["kind"] for part in parts}
    if not kinds.isdisjoint(("wheel", "sdist")):
        from buildrules.actions.python.fetch import fetch_files, locked_file

        fetch_files([locked_file(part) for part in parts if part["kind"] in ("wheel", "sdist")], places, context)
    if "deb" in kinds:
        from buildrules.actions.debian.fetch import fetch_packages

        fetch_packages([part for part in parts if part["kind"] == "deb"], places, context)
    if "python" in kinds:
        from buildrules.actions.python.standalone import fetch_interpreters

        fetch_interpreters([part for part in parts if part["kind"] == "python"], places, context)
    if "conda" in kinds:
        from buildrules.actions.conda import fetch as conda

        conda.fetch_packages([part for part in parts if part["kind"] == "conda"], places, context)
    if "layer" in kinds:
        from buildrules.actions.oci_base import fetch_layers

        fetch_layers([part for part in parts if part["kind"] == "layer"], places, context)
    files = [part for part in parts if part["kind"] == "file"]
    if not files:
        return
    if "files" not in places:
        raise FetchError(
            f"the file for '/{files[0]['path']}' is not in the workspace as it was built", hint="build again"
        )
    from buildrules.actions.models.fetched import provide

    provide(files, places, context)
