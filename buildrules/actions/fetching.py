"""Brings the content into the store that parts of recipes name and nothing here has."""

from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.engine.kind import Context
from buildrules.errors import FetchError


def fetch_parts(parts: Sequence[Mapping[str, Any]], places: Mapping[str, Any], context: Context) -> None:
    """Fetch what `parts` name from `places`, the supply of an action. Raises FetchError and what fetching raises."""
    wheels = [(part["filename"], part["digest"].removeprefix("sha256:")) for part in parts if part["kind"] == "wheel"]
    if wheels:
        from buildrules.actions.python.fetch import fetch_files, wheel_file

        fetch_files([wheel_file(*wheel) for wheel in wheels], places, context)
    files = [part for part in parts if part["kind"] == "file"]
    if not files:
        return
    if "files" not in places:
        raise FetchError(
            f"the file for '/{files[0]['path']}' is not in the workspace as it was built", hint="build again"
        )
    from buildrules.actions.models.fetched import provide

    provide(
        [
            {"path": part["path"], "size": part["size"], "sha256": str(part["digest"]).removeprefix("sha256:")}
            for part in files
        ],
        places,
        context,
    )
