"""What a plan was made from, as the state keeps it, and whether a search for packages would still find the same."""

import os
from collections.abc import Mapping

from buildrules.engine.inputs import Facts, Inputs
from buildrules.errors import LoadError
from buildrules.state.rows import row_of
from buildrules.typed import TYPE_CHECKING, Any
from buildrules.workspace.root import find_packages, look

if TYPE_CHECKING:
    from buildrules.workspace.disk import Disk


class Search:
    """What directories mean to the search for packages, as it was remembered and as it is now."""

    def __init__(self, root: str, ignore: list[str]) -> None:
        self._root = root
        self._ignore = ignore

    def __call__(self, directory: str) -> Any:
        """See `engine.inputs.Search`. None where it cannot be looked at: if that matters, a new plan says why."""
        try:
            return look(self._root, directory)
        except LoadError:
            return None

    def new_below(self, facts: Facts) -> list[Facts] | None:
        """The facts of a directory that has other folders in it, and of those, where no package came or went.

        None where anything else is not as it was: then there has to be a new plan.
        """
        now = self(facts.at)
        before = facts.searched
        if before is None or now is None or now[1:] != before[1:]:
            return None
        if not facts.hold(self._root, None):
            return None
        found = [facts._replace(searched=now)]
        for name in sorted({*now[0]} - {*before[0]}):
            directory = f"{facts.at}/{name}" if facts.at else name
            if directory in self._ignore:
                continue
            below = find_packages(self._root, self._ignore, start=directory)
            if below.packages or below.misspelt or below.nested:
                return None
            found += [
                Facts(path, {}, {}, None, listing, {"": below.rows[path]}) for path, listing in below.listings.items()
            ]
        return found


def inputs_of(root: str, began: int, disk: "Disk", digests: Mapping[str, str], plugins: list[str]) -> Inputs:
    """What a plan that was begun then was made from. `digests` are those of locks, as the plan took them."""
    from buildrules.workspace.disk import CONTENT, NAMES, SEARCHED, SHAPE

    inputs = Inputs(root, began)
    readers: dict[tuple[str, str], set[str]] = {}
    for what in (CONTENT, NAMES, SHAPE):
        for path, reader in disk.readers(what):
            readers.setdefault((what, path), set()).add(_reader_of(path, reader))
    for (what, path), for_whom in readers.items():
        at = _inside(root, path)
        known = disk.digests.get(path) or digests.get(path, "")[7:] or None
        names, row = disk.found.get((NAMES, path)), disk.rows[path]
        if what == CONTENT and (known or os.path.isfile(os.path.join(root, path))):
            inputs.content(at, known, for_whom, row)
        elif what == NAMES and names:
            inputs.names(at, names, for_whom, row)
        else:
            inputs.shape(at, for_whom, row, disk.found.get((SHAPE, path)))
    if plugins:
        from buildrules.plugins import plugin_files

        for path in plugin_files(root):
            inputs.content(_inside(root, path), None, {""}, row_of(path))
    for path in disk.seen(SEARCHED):
        inputs.searched(path, disk.listings[path], (), disk.rows[path])
    return inputs


def _inside(root: str, path: str) -> str:
    """A path as a group keeps it: relative to the workspace, by way of `..` where it lies outside."""
    return os.path.relpath(path, root) if path.startswith("/") else path


def _reader_of(path: str, reader: str) -> str:
    """A lock matters to the package it lies beside."""
    directory, name = os.path.split(path)
    lock = name.endswith(".lock") or (name.startswith("pylock.") and name.endswith(".toml"))
    return f"//{directory}" if lock and not reader else reader
