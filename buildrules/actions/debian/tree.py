"""One layer of a Debian base: the files of its packages, merged, with the generated ones, streamed into a blob."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from buildrules.actions.debian import generated
from buildrules.actions.debian.locked import LockedPackage, python_of
from buildrules.engine.kind import Context
from buildrules.errors import ActionError, IntegrityError, Interrupted
from buildrules.oci.descriptor import LAYER_GZIP, Layer
from buildrules.oci.gzip import Buffer, encode
from buildrules.oci.parts.deb import DROP, read, read_control
from buildrules.oci.parts.entry import DIRECTORY, Entry
from buildrules.oci.reader import Reader
from buildrules.oci.tar import pieces
from buildrules.store.blobs import CHUNK, Blobs

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
        options: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.held = held
        self.names = [package.name for package in everything]
        self.architecture = architecture
        self.options = generated.read_options(options)
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
            extra += generated.system_files(self.options, self.names, self._authorities)
        if self._python:
            extra += generated.python_files(self._python[0])
        # A package that ships such a path itself knows better.
        yield from self._own((one for one in extra if not self._held(one)), "the base")

    def _held(self, entry: Entry) -> bool:
        return entry.path in self.owners or (entry.kind != DIRECTORY and entry.path in self.folders)

    def _of(self, package: LockedPackage, blobs: Blobs) -> Iterator[Entry]:
        path = blobs.path(package.sha256)
        name = f"{package.name} {package.version}"
        check_deb(path, package)
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
            hint="leave one of them out with 'without'",
        )


def check_deb(path: str, package: LockedPackage) -> None:
    """Raise IntegrityError unless the file is the locked package, byte for byte."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise IntegrityError(
            f"the stored copy of debian package {package.name!r} {package.version} was corrupt; it has been removed",
            hint="build again",
        )


def write_layer(tree: LayerTree, context: Context) -> Layer:
    """Stream a tree into a gzip blob of the store; returns its layer. Nothing stays behind when it raises."""
    blobs = context.blobs
    packed, unpacked = hashlib.sha256(), hashlib.sha256()
    size = done = 0

    def tap(data: Buffer) -> None:
        nonlocal done
        unpacked.update(data)
        done += len(data)
        context.progress(f"debian {tree.name} layer", done, None)
        if context.cancelled:
            raise Interrupted("building the debian layers was stopped")

    aside = blobs.aside_path()
    os.makedirs(blobs.aside, exist_ok=True)
    try:
        with Reader() as reader, open(aside, "wb", buffering=CHUNK) as file:
            for data in encode(pieces(tree.entries(blobs)), LEVEL, reader, tap):
                packed.update(data)
                file.write(data)
                size += len(data)
        digest = f"sha256:{packed.hexdigest()}"
        _keep(blobs, aside, digest, size)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
    return Layer(
        digest=digest,
        size=size,
        diff_id=f"sha256:{unpacked.hexdigest()}",
        media_type=LAYER_GZIP,
    )


def _keep(blobs: Blobs, aside: str, digest: str, size: int) -> None:
    """Move a finished file among the blobs; what it holds has just been hashed."""
    target = blobs.path(digest)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.chmod(aside, 0o444)
    os.replace(aside, target)
    blobs.bytes_written += size
