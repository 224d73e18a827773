"""Locks as Cargo keeps them: a missing one is made and said, a stale one renewed, `--locked` refuses both."""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from buildrules.engine.events import Notice, Progress, Stream
from buildrules.engine.kind import Context
from buildrules.errors import LockError
from buildrules.net.session import Session
from buildrules.store.blobs import Blobs
from buildrules.store.store import Store
from buildrules.workspace.disk import CONTENT, Disk

L = TypeVar("L")

_MOVES = 12  # lines about what moved


def moves(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What became of the versions, one line each by name: "numpy 2.3.0 -> 2.3.1", "+ joblib 1.5.0", "- six 1.16.0"."""
    lines = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before is None:
            lines.append(f"+ {name} {after}".rstrip())
        elif after is None:
            lines.append(f"- {name} {before}".rstrip())
        elif before != after:
            lines.append(f"{name} {before} -> {after}")
    return lines


class LockContext:
    """The context of resolving: what an action's context offers, outside of a build."""

    cancelled = False

    def __init__(self, workspace: str, store: Store, stream: Stream, session: Session) -> None:
        self.workspace = workspace
        self.session = session
        self._store = store
        self._stream = stream

    @property
    def blobs(self) -> Blobs:
        """The store's blobs."""
        return self._store.blobs

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report long work."""
        self._stream.emit(Progress(what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0) -> None:
        """Resolving is not counted."""

    def warn(self, message: str) -> None:
        """Tell the user."""
        self._stream.emit(Notice(message, warning=True))


class LockKeeper:
    """Reads locks, and makes those that are missing or stale unless the user said `--locked`.

    Options: `locked`, `relock` (make every lock anew), `upgrade` (and give up the pins that are there),
    `upgrade_packages` (only those). `files` are the paths of the locks in use, `written` those made now.
    """

    def __init__(self, disk: Disk, options: dict[str, Any], store: Store, stream: Stream, session: Session) -> None:
        self.disk = disk
        self.root = disk.root
        self.files: set[str] = set()
        self.digests: dict[str, str] = {}  # of the locks that were asked for, by path
        self.written: list[str] = []
        self.context: Context = LockContext(disk.root, store, stream, session)
        self.session = session
        self._stream = stream
        self._locked = bool(options.get("locked"))
        self._preview = bool(options.get("preview"))
        self._relock = bool(options.get("relock"))
        self.upgrade: bool | list[str] = bool(options.get("upgrade")) or list(options.get("upgrade_packages") or [])
        self._made: set[str] = set()

    def obtain(
        self,
        path: str,
        what: str,
        *,
        read: Callable[[], L | None],
        stale: Callable[[L], str | None],
        make: Callable[[L | None], L],
        write: Callable[[L], object],
        describe: Callable[[L, L], list[str]] | None = None,
    ) -> L:
        """The lock at the workspace-relative `path`, made where there is none that will do.

        `what` names the target for people. `read` gives None where there is no file, `stale` says why a lock no
        longer answers, `make` gets the old lock, `describe` says what is new in a new one. Raises LockError with
        `--locked`, and what `make` raises. With the option "preview" nothing is made: it is
        said, and an old lock is used as it is.
        """
        absolute = os.path.join(self.root, path)
        self.files.add(path)
        self.disk.note(CONTENT, path)
        old, reason = self._read(absolute, read)
        if old is not None:
            reason = stale(old)
        if reason is None and (not self._relock or path in self._made):
            assert old is not None
            return old
        if self._preview:
            self._stream.emit(Notice(f"would lock {what}{' again' if old is not None else ''}: {reason}"))
            if old is not None:
                return old
        if self._locked:
            raise LockError(
                f"the lock {path!r} of {what} cannot be used: {reason}",
                hint="run 'buildrules lock', and commit what it writes",
            )
        self._stream.emit(Notice(f"locking {what}: {reason or 'asked to'}"))
        try:
            self._stream.emit(Progress(f"locking {what}", 0, None))
            new = make(old)
        finally:
            self._stream.emit(Progress(f"locking {what}", 1, 1))
        write(new)
        self.disk.written(path)
        self._made.add(path)
        if new != old:
            self.written.append(path)
            self._stream.emit(Notice(f"wrote {path}"))
            for line in _few(describe(old, new)) if describe and old is not None else ():
                self._stream.emit(Notice(f"  {line}"))
        return new

    def _read(self, absolute: str, read: Callable[[], L | None]) -> tuple[L | None, str | None]:
        """The lock, or why there is none. One that cannot be read is an error, unless it is to be made anew."""
        if not os.path.exists(absolute):
            return None, "it is missing"
        try:
            old = read()
        except LockError:
            if not self._relock:
                raise
            return None, "it cannot be read"
        return old, "it is missing"

    def digest(self, path: str) -> str:
        """`sha256:<hex>` of the lock file at the workspace-relative `path`."""
        if path not in self.digests:
            with open(os.path.join(self.root, path), "rb") as file:
                self.digests[path] = "sha256:" + hashlib.sha256(file.read()).hexdigest()
        return self.digests[path]


def _few(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _MOVES else [*lines[: _MOVES - 1], f"and {len(lines) - _MOVES + 1} more"]
