"""One layer of a Debian base: the files of its packages, merged, with the generated ones, streamed into a blob."""

import re
from collections.abc import Iterator

from buildrules.actions.debian import generated
from buildrules.actions.debian.locked import LockedPackage, python_of
from buildrules.actions.pack import keep
from buildrules.engine.kind import Context
from buildrules.errors import ActionError, IntegrityError
from buildrules.oci.descriptor import Layer
from buildrules.oci.parts.deb import DROP, read, read_control
from buildrules.oci.parts.entry import DIRECTORY, Entry
from buildrules.store.blobs import Blobs

LEVEL = 6
"""Of libdeflate. 1 is a tenth larger and a quarter faster; 9 is 0.7 % smaller and takes 1.7 times as long."""

_ALIASES = {"var/run": "run", "var/lock": "run/lock"}
"""Folders that base-files ships and its maintainer script then replaces by links (Debian Policy 9.1.4)."""

_ALIAS = re.compile(r"var/(?:run|lock)(?=/|$)")


class LayerTree:
    """The entries of one layer. `owners` and `folders` are filled while they are made: who holds which file."""

    def __init__(
        self,
        name: str,
        held: list[LockedPackage],
        everything: list[LockedPackage],
        architecture: str,
    ) -> None:
        self.name = name
        self.held = held
        self.names = [package.name for package in everything]
        self.architecture = architecture
        self.owners: dict[str, str] = {}
        self.folders: dict[str, int] = {}
        self._authorities: dict[str, bytes] = {}
        self._python = python_of(held)

    def entries(self, blobs: Blobs) -> Iterator[Entry]:
        """All entries. Raises ActionError where two packages hold the same path, and what `deb.read` raises."""
        if self.name == "system":
            yield from self._own(generated.root_links(self.architecture), "the base")
        for package in self.held:
            yield from self._own(self._of(package, blobs), package.name)
        extra: list[Entry] = []
        if self.name == "system":
            extra += generated.system_files(self.names, self._authorities)
        if self._python:
            extra += generated.python_files(self._python[0])
        # A package that ships such a path itself knows better.
        yield from self._own((one for one in extra if not self._held(one)), "the base")

    def _held(self, entry: Entry) -> bool:
        return entry.path in self.owners or (entry.kind != DIRECTORY and entry.path in self.folders)

    def _of(self, package: LockedPackage, blobs: Blobs) -> Iterator[Entry]:
        path = blobs.path(package.sha256)
        name = f"{package.name} {package.version}"
        if not blobs.heal(package.sha256):
            shown = f"debian package {package.name!r} {package.version}"
            raise IntegrityError(f"the stored copy of {shown} was corrupt; it has been removed", hint="build again")
        for entry in read(path, DROP, name):
            entry.path = _ALIAS.sub(lambda match: _ALIASES[match[0]], entry.path)
            if generated.AUTHORITIES.fullmatch(entry.path) and isinstance(entry.content, bytes):
                self._authorities[entry.path] = entry.content
            yield entry
        yield generated.status_file(read_control(path, name), package.name)

    def _own(self, entries: Iterator[Entry], owner: str) -> Iterator[Entry]:
        """Pass entries on, note who holds them, leave out folders that are there."""
        for entry in entries:
            path = entry.path
            if entry.kind == DIRECTORY:
                if path in self.owners:
                    raise self._clash(path, owner)
                # The first to bring a folder says its mode; the generated ones have their own reasons.
                if path in self.folders and (owner != "the base" or self.folders[path] == entry.mode):
                    continue
                self.folders[path] = entry.mode
            else:
                if path in self.owners or path in self.folders:
                    raise self._clash(path, owner)
                self.owners[path] = owner
            yield entry

    def _clash(self, path: str, owner: str) -> ActionError:
        other = self.owners.get(path, "another")
        return ActionError(
            f"the debian packages {other!r} and {owner!r} both hold {path!r}",
            hint="leave one of them out of `packages`",
        )


def write_layer(tree: LayerTree, context: Context) -> Layer:
    """Stream a tree into a gzip blob of the store; returns its layer. Nothing stays behind when it raises."""
    return keep(tree.entries(context.blobs), LEVEL, context, f"debian {tree.name} layer")
