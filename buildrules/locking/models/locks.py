"""Keeps the locks of models and inputs that are not in the workspace."""

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from buildrules.errors import BuildrulesError, LoadError, UsageError
from buildrules.locking.keeper import LockKeeper
from buildrules.rules.elsewhere import lock_path
from buildrules.rules.package import Placed
from buildrules.rules.resolve import ResolvedTarget

if TYPE_CHECKING:
    from buildrules.actions.models.lock import ModelLock
    from buildrules.credentials.connections import Connection, Connections

T = TypeVar("T")
_DIGEST = re.compile("(sha256:)?[0-9a-f]{64}")


class ModelLocks:
    """The locks of one plan, each looked at once."""

    def __init__(self, keeper: LockKeeper) -> None:
        self._keeper = keeper
        self._root = keeper.root
        self._locks: dict[str, ModelLock] = {}

    def of(self, target: ResolvedTarget) -> "ModelLock":
        """The lock of a model that has a `uri`, made where it is missing. Raises what locking raises."""
        from buildrules.actions.models import lock as locks

        label = str(target.label)
        if label not in self._locks:
            path = lock_path(target.label.package, target.label.name)
            absolute = os.path.join(self._root, path)
            inputs = locks.inputs_digest(target.values)
            self._locks[label] = self._keeper.obtain(
                path,
                f"the {target.provides} {label}",
                read=lambda: locks.read_lock(absolute),
                stale=lambda found: (
                    None
                    if (found.inputs, found.uri) == (inputs, target.values["uri"])
                    else "what the target says has changed"
                ),
                make=lambda old: self._make(target, inputs, old),
                write=lambda made: locks.write_lock(absolute, made),
                describe=locks.changes,
            )
        return self._locks[label]

    def digests(self, placed: Sequence[Placed]) -> dict[str, str]:
        """The locks of models and inputs: workspace-relative path -> `sha256:<hex>` of the file."""
        targets = [one.target for one in placed if one.target.values["uri"] is not None]
        paths = [lock_path(target.label.package, target.label.name) for target in targets]
        return {path: self._keeper.digest(path) for path in paths}

    def versions(self, placed: Sequence[Placed]) -> dict[str, str]:
        """label -> the version of a registered model that its lock took."""
        locks = {str(one.target.label): self.of(one.target) for one in placed if one.target.values["uri"] is not None}
        return {label: str(lock.source["version"]) for label, lock in locks.items() if "version" in lock.source}

    def places(self, target: ResolvedTarget) -> dict[str, Any]:
        """Where the files of a model come from, as actions take it (kind "fetched_model"). Raises as `of`."""
        lock = self.of(target)
        return {
            "name": target.name,
            "source": dict(lock.source),
            "connection": target.values["connection"],
            "files": [file.to_dict() for file in lock.files],
            "archives": [archive.to_dict() for archive in lock.archives],
        }

    def _make(self, target: ResolvedTarget, inputs: str, old: "ModelLock | None") -> "ModelLock":
        from buildrules.actions.models.access import Access
        from buildrules.actions.models.lock import ModelLock
        from buildrules.locking.models.origin import probe, resolve

        uri, values = target.values["uri"], target.values
        source = positioned(target, "uri", lambda: probe(uri, values["tracking_uri"]))
        _check_of_kind(target, source["kind"])
        connection = connection_of(target, source, self._keeper.session.connections)
        access = Access(
            self._keeper.context,
            name=target.name,
            connection=values["connection"],
            digest=values["digest"],
            unpack=bool(values["unpack"]),
            tracking_uri=values["tracking_uri"],
            target=connection.target if connection else None,
            anonymous=connection is not None and connection.kind == "none",
            plain_http=connection is not None and connection.plain_http,
            known=old.files if old is not None and old.uri == uri else (),
        )
        found = positioned(target, "uri", lambda: resolve(uri, access))
        return ModelLock(uri, inputs, dict(found.source), list(found.files), list(found.archives))


def _check_of_kind(target: ResolvedTarget, kind: str) -> None:
    """Raise LoadError for attributes that have no effect on, or make no sense for, this kind of source."""
    for name, wanted, whose in (
        ("digest", "http", "files of http(s) addresses"),
        ("unpack", "http", "files of http(s) addresses"),
        ("tracking_uri", "mlflow", "models:/ and runs:/"),
    ):
        if target.values[name] and kind != wanted:
            raise LoadError(
                f"`{name}` has no effect here: it is for {whose}",
                hint="leave it out" + (", the lock pins the digests" if name == "digest" else ""),
                position=target.position_of(name),
            )
    digest = target.values["digest"]
    if digest and not _DIGEST.fullmatch(digest):
        raise LoadError(
            f"'{digest}' is no digest",
            hint="write sha256: and 64 hex digits, as sha256sum shows them, or leave it out: the lock pins it",
            position=target.position_of("digest"),
        )


def connection_of(target: ResolvedTarget, source: dict[str, Any], known: "Connections") -> "Connection | None":
    """The connection that serves a source of `target`: the one it names, else by address. Raises LoadError."""
    from buildrules.actions.models import connection

    name = target.values["connection"]
    return positioned(target, "connection", lambda: connection.connection_of(source, name, known))


def positioned(target: ResolvedTarget, attribute: str, work: Callable[[], T]) -> T:
    """What `work` gives; its error gets the attribute's position, and a UsageError becomes a LoadError."""
    try:
        return work()
    except UsageError as error:
        position = error.position or target.position_of(attribute)
        raise LoadError(error.message, hint=error.hint, position=position) from error
    except BuildrulesError as error:
        error.position = error.position or target.position_of(attribute)
        raise
