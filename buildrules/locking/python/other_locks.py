"""Locks that other tools keep beside a pyproject.toml: uv.lock, poetry.lock, pdm.lock and pylock.toml (PEP 751).

Their versions are preferences: what was tried is taken where it fits, and what does not is told. Of their entries name,
version and source count; files and digests are chosen for the image's platform here.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.utils import canonicalize_name

from buildrules.document.plain_toml import read_toml
from buildrules.errors import Position
from buildrules.locking.python import formats

if TYPE_CHECKING:
    from buildrules.locking.python.collector import Collector

_VERSIONS = {
    "uv.lock": (("version",), ("1",)),
    "poetry.lock": (("metadata", "lock-version"), ("1.", "2.")),
    "pdm.lock": (("metadata", "lock_version"), ("4.",)),
    "pylock.toml": (("lock-version",), ("1.",)),
}
"""Where each file says which version of its format it has, and what those that are known begin with."""


def read_other_lock(collector: "Collector", folders: list[str]) -> None:
    """Add the versions of the first lock in one of `folders` (workspace-relative) to what `collector` found.

    Of a package in several versions, for several environments, that of the image is taken.
    """
    collector.found.folders += folders
    paths = [os.path.join(folder, name) for folder in folders for name in formats.LOCKS]
    path = next((one for one in paths if os.path.isfile(os.path.join(collector.root, one))), None)
    if path is None:
        return
    text = collector.open(path, Position(path, 1))
    if text is None:
        return
    try:
        data = read_toml(text)
    except ValueError as error:
        collector.fail(f"cannot read {path!r}: {error}", Position(path, 1), "make it anew, or remove it")
        return
    name = os.path.basename(path)
    listed = data.get("packages" if "packages" in formats.LOCKS[name][0] else "package", [])
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    collector.found.notes += _unread(path, data, entries)
    found: dict[str, dict[str, bool]] = {}  # for each package its versions, and whether they are for the image
    for entry in entries:
        if _from_an_index(entry) and (version := str(entry.get("version", ""))):
            versions = found.setdefault(canonicalize_name(str(entry.get("name", ""))), {})
            versions[version] = versions.get(version, False) or _is_meant(entry, collector.environment)
    collector.found.preferred_by = path
    for name, versions in found.items():
        meant = [version for version, fits in versions.items() if fits] if len(versions) > 1 else list(versions)
        if len(meant) == 1:
            collector.found.preferences[name] = meant[0]
        elif meant:
            collector.found.notes.append(f"{path}: of {name!r} it has {' and '.join(meant)}, so none is preferred")


def _unread(path: str, data: dict[str, Any], entries: list[dict[str, Any]]) -> list[str]:
    """What of a lock is not known, for the user."""
    top, package = formats.LOCKS[os.path.basename(path)]
    steps, known = _VERSIONS[os.path.basename(path)]
    version: Any = data
    for step in steps:
        version = version.get(step) if isinstance(version, dict) else None
    notes = [] if str(version).startswith(known) else [f"{path}: its version, {version}, is not known here"]
    unknown = dict.fromkeys(
        [*(data.keys() - top.keys()), *(key for one in entries for key in one.keys() - package.keys())]
    )
    return [*notes, *(f"{path}: {key!r} is not known, and not read" for key in sorted(unknown))]


def _is_meant(entry: dict[str, Any], environment: Mapping[str, Any] | None) -> bool:
    """Whether a package is for the image, by its markers: several of uv's, poetry's one for each group."""
    said = next((entry[key] for key in ("resolution-markers", "markers", "marker") if key in entry), ())
    markers = [said] if isinstance(said, str) else list(said.values() if isinstance(said, dict) else said)
    try:
        return not markers or any(Marker(one).evaluate(environment and dict(environment)) for one in markers)
    except (InvalidMarker, UndefinedEnvironmentName, TypeError):
        return True


def _from_an_index(entry: dict[str, Any]) -> bool:
    """Whether a package is one of an index, and no project, repository or single file."""
    source = entry.get("source", {})
    if not isinstance(source, dict):
        return False
    elsewhere = {"virtual", "editable", "directory", "path", "git", "url"} & source.keys()
    kind = source.get("type", "legacy")  # poetry's
    return (
        not elsewhere and kind == "legacy" and not {"directory", "vcs", "archive", "path", "git", "url"} & entry.keys()
    )
