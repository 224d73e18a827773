"""Keeps the locks of models and inputs that are not in the workspace."""

import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from buildrules.errors import LoadError, UsageError
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedModel
from buildrules.rules.model_content import lock_path, locked_content
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.labels import Label

if TYPE_CHECKING:
    from buildrules.actions.models.lock import ModelLock
    from buildrules.credentials.connections import Connection, Connections

_DIGEST = re.compile("(sha256:)?[0-9a-f]{64}")


@dataclass(slots=True)
class ModelLocks:
    """The locks of one plan, each looked at once."""

    keeper: LockKeeper
    _locks: dict[Label, LockedModel] = field(default_factory=dict)

    def of(self, target: ResolvedTarget) -> LockedModel:
        """The lock of a model that has a `uri`, made where it is missing, and its file. Raises what locking raises."""
        from buildrules.actions.models import lock as locks

        if target.label not in self._locks:
            path = lock_path(target)
            wanted = (locks.inputs_digest(target.values), target.values["uri"])
            lock = self.keeper.obtain(
                path,
                f"the {target.provides} {target.label}",
                read=locks.read_lock,
                stale=lambda old: "what the target says has changed" if (old.inputs, old.uri) != wanted else None,
                make=lambda old: self._make(target, wanted[0], old),
                write=locks.write_lock,
                of=target.label,
                describe=locks.changes,
            )
            self._locks[target.label] = LockedModel(target, lock, path, self.keeper.digest(path))
        return self._locks[target.label]

    def text(self, target: ResolvedTarget, path: str) -> bytes | None:
        """The file `path` of a model (below its own folder), wherever the model is; None where it has no such file.

        For small files. Raises what locking and fetching raise.
        """
        values = target.values
        if values["uri"] is None:
            if values["path"] is None:
                return None
            place = f"{values['path']}/{path}".lstrip("/")
            disk = self.keeper.disk.by(target.label)
            try:
                return disk.read(place)
            except OSError:
                return None
        from buildrules.actions.models.fetched import provide

        locked = self.of(target)
        found = locked_content(locked.lock.files, values)
        for row in found.files:
            if row.path == found.folder + path:
                places, context, digest = locked.places, self.keeper.context, f"sha256:{row.sha256}"
                for _ in range(2):  # a second time where the store has it damaged
                    provide([{"path": row.path, "size": row.size, "digest": digest}], places, context)
                    if context.blobs.heal(digest):
                        break
                return context.blobs.read(digest)
        return None

    def source(self, target: ResolvedTarget) -> dict[str, Any]:
        """Where the files of a model or input are fetched from when a container starts (see `start.sources`).

        Raises what locking raises, and UsageError as a LoadError for a `download_uri` that makes no sense.
        """
        if target.values["uri"] is not None:
            source = dict(self.of(target).lock.source)
        else:
            source = self._place(target, str(target.values["download_uri"]))
        connection = connection_of(target, source, self.keeper.session.connections)
        if connection is not None and connection.roles():
            from buildrules.actions.models.connection import scope

            source.update(scope(source, connection, os.environ), credentials=connection.roles())
        return source

    def _place(self, target: ResolvedTarget, uri: str) -> dict[str, Any]:
        """Where the files of a model of the workspace will be when the container starts."""
        from buildrules.locking.models.origin import place

        with _errors_at(target, "download_uri"):
            source = place(self._above(target, uri))
        connection = connection_of(target, source, self.keeper.session.connections)
        if connection is not None and source["kind"] == "oci" and connection.plain_http:
            source["plain_http"] = True
        if connection is not None and source["kind"] == "s3":
            from buildrules.locking.models.s3 import endpoint_at

            source.update(endpoint_at(source["bucket"], connection.target))
        if connection is not None and source["kind"] == "huggingface":
            from buildrules.locking.models import huggingface

            source.update(huggingface.endpoint_at(connection.target))
        return source

    def _above(self, target: ResolvedTarget, uri: str) -> str:
        """The address of the folder that a single file lies in, where `download_uri` is the file's own."""
        path = target.values["path"]
        if path is None or self.keeper.disk.is_directory(path):
            return uri
        folder, _, name = uri.rpartition("/")
        return folder if name in (posixpath.basename(path), quote(posixpath.basename(path))) else uri

    def _make(self, target: ResolvedTarget, inputs: str, old: "ModelLock | None") -> "ModelLock":
        from buildrules.actions.models.access import Access
        from buildrules.actions.models.lock import ModelLock
        from buildrules.locking.models.origin import probe, resolve

        uri, values = target.values["uri"], target.values
        named = "hub" if "hub" in target.given else "uri"
        with _errors_at(target, named):
            source = probe(uri, values["tracking_uri"])
        _check_of_kind(target, source["kind"])
        connection = connection_of(target, source, self.keeper.session.connections)
        access = Access(
            self.keeper.context,
            name=target.name,
            connection=values["connection"],
            digest=values["digest"],
            unpack=bool(values["unpack"]),
            tracking_uri=values["tracking_uri"],
            target=connection.target if connection else None,
            anonymous=connection is not None and connection.kind == "none",
            plain_http=connection is not None and connection.plain_http,
            known=old.files if old is not None and old.uri == uri else (),
            wanted={glob: target.position_of("files", at) for at, glob in enumerate(values.get("files") or ())},
            excluded={glob: target.position_of("exclude", at) for at, glob in enumerate(values.get("exclude") or ())},
        )
        with _errors_at(target, named):
            found = resolve(uri, access)
        return ModelLock(uri, inputs, dict(found.source), list(found.files), list(found.archives))


def _check_of_kind(target: ResolvedTarget, kind: str) -> None:
    """Raise LoadError for attributes that have no effect on, or make no sense for, this kind of source."""
    for name, wanted, whose in (
        ("digest", "http", "files of http(s) addresses"),
        ("unpack", "http", "files of http(s) addresses"),
        ("tracking_uri", "mlflow", "models:/ and runs:/"),
        ("files", "huggingface", "models of Hugging Face; `exclude` leaves files out of all others"),
    ):
        if target.values.get(name) and kind != wanted:
            raise target.error(
                name,
                f"`{name}` has no effect here: it is for {whose}",
                "leave it out" + (", the lock pins the digests" if name == "digest" else ""),
            )
    digest = target.values["digest"]
    if digest and not _DIGEST.fullmatch(digest):
        raise target.error(
            "digest",
            f"'{digest}' is not a digest",
            "write sha256: and 64 hex digits, as sha256sum shows them, or leave it out: the lock pins it",
        )


def connection_of(target: ResolvedTarget, source: dict[str, Any], known: "Connections") -> "Connection | None":
    """The connection that serves a source of `target`: the one it names, else by address. Raises LoadError."""
    from buildrules.actions.models import connection

    name = target.values["connection"]
    with _errors_at(target, "connection"):
        return connection.connection_of(source, name, known, os.environ)


@contextmanager
def _errors_at(target: ResolvedTarget, attribute: str) -> Iterator[None]:
    """As `target.errors_at`; a UsageError becomes a LoadError."""
    try:
        with target.errors_at(attribute):
            yield
    except UsageError as error:
        raise LoadError(error.message, hint=error.hint, position=error.position) from error
