"""Locks as Cargo keeps them: a missing one is made and said, a stale one renewed, `--locked` refuses both."""

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from buildrules.actions.registry import Kinds
from buildrules.analysis.options import Options
from buildrules.engine.events import Notice, Progress, Stream
from buildrules.engine.executor import LocalExecutor
from buildrules.errors import BuildrulesError, LoadError, LockError
from buildrules.net.session import Session
from buildrules.sha256 import digest_of
from buildrules.state.rows import open_regular
from buildrules.store.statindex import stat_row
from buildrules.store.store import Store
from buildrules.workspace.disk import CONTENT, Disk
from buildrules.workspace.labels import Label
from buildrules.workspace.root import check_inside, read_inside

L = TypeVar("L")

_MOVES = 12  # lines about what moved
_MISSING = "it is missing"
_KINDS = ("pylock.", "debian.", "oci.", "python.", "conda.", "model.")
_FIRST_LINE = b"# Written by "  # and by whom, in every lock of ours


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


_COMMIT = "run 'buildrules lock', and commit what it writes"


class LockKeeper:
    """Reads locks, and makes those that are missing or stale unless the user said `--locked`.

    `files` are the paths of the locks in use, `made` those made now and `written` those of them that say something new,
    `unlocked` the targets whose locks were not made.
    """

    def __init__(self, disk: Disk, options: Options, store: Store, stream: Stream, session: Session) -> None:
        self.disk = disk
        self.root = disk.root
        self.files: set[str] = set()
        self.digests: dict[str, str] = {}  # of the locks that were asked for, by path
        self.written: list[str] = []
        self.unlocked: set[str] = set()
        self.context = LocalExecutor(disk.root, store.blobs, session, session.own(Kinds), stream)
        self.session = session
        self._index = store.index
        self._stream = stream
        self._refused: dict[str, LockError] = {}  # by path, with `--locked`
        self._options = options
        self._planning = options.relock and bool(options.upgrade or options.upgrade_packages or options.sync)
        self._pending: dict[str, Callable[[], object]] = {}  # what is to be written, by path
        self.replaced: dict[str, tuple[Any, Any]] = {}  # locks made now that say something new: the old, the new
        self.upgrade: bool | list[str] = options.upgrade or list(options.upgrade_packages)
        self.made: set[str] = set()
        self._told: set[str] = set()
        self.named: set[Label] = set()  # the targets that `relock` is for; those below them only where they are stale

    def obtain(
        self,
        path: str,
        what: str,
        *,
        read: Callable[[str], L],
        stale: Callable[[L], str | None],
        make: Callable[[L | None], L],
        write: Callable[[str, L], object],
        of: Label,
        on: Collection[Label] = (),
        describe: Callable[[L, L], list[str]] | None = None,
        versions: Callable[[L], Mapping[str, str]] | None = None,
    ) -> L:
        """The lock at the workspace-relative `path`, made where there is none that will do.

        `what` names the target `of` for people; `on` are those whose locks it depends on. `read` and `write` get the
        absolute path, `stale` says why a lock no longer answers, `make` gets the old lock, `describe` says what is new
        in a new one, or `versions` what is in one, by name. Where it is missing, another one beside it that answers is
        copied: it was that of a target with another name. Where names are to be upgraded, only what has one of them is
        made anew, and what has `versions` is written by `write_pending`. With `--locked` a stale lock is refused (see
        `all_or_none`) and used. Raises LockError for a missing one then, and what `make` raises. With the option
        "preview" nothing is made: it is said, `unlocked` has the label, and an old lock is used as it is.
        """
        absolute = os.path.join(self.root, path)
        self.files.add(path)
        self.disk.note(CONTENT, path)
        old, reason = self._read(path, read)
        if old is not None:
            reason = stale(old)
        elif reason == _MISSING and not self._options.locked:
            old = self._beside(path, what, read, stale, write)
            reason = None if old is not None else reason
        below = [str(label) for label in on if str(label) in self.unlocked]
        if below and reason is None and old is not None:
            self._stream.emit(Notice(f"would lock {what} again if {below[0]} comes out otherwise"))
            self.unlocked.add(str(of))
            return old
        if reason is None and old is not None and not self._asked_to(path, of, old, versions):
            return old
        if self._options.preview:
            self.unlocked.add(str(of))
            self._stream.emit(Notice(f"would lock {what}{' again' if old is not None else ''}: {reason}"))
            if old is not None:
                return old
        # What only moves without being stale, as bases do, is looked at for `--check` too.
        planned = self._planning and (versions is not None or (self._options.locked and reason is None))
        if self._options.locked and not planned:
            self.refuse(path, what, str(reason))
            if old is None:
                raise self._refused[path]
            return old
        self._stream.emit(Notice(f"locking {what}: {reason or 'asked to'}"))
        new = self._make(what, old, make)
        if versions is not None:
            describe = lambda before, after: moves(versions(before), versions(after))  # noqa: E731
        lines = describe(old, new) if describe and old is not None else []
        self.made.add(path)
        if new != old:
            self.replaced[path] = (old, new)
        if planned:
            self._hold(path, what, lambda: write(absolute, new), lines if versions is None else [])
        else:
            self._put(path, lambda: write(absolute, new), lines)
        return new

    def _asked_to(self, path: str, of: Label, old: L, versions: Callable[[L], Mapping[str, str]] | None) -> bool:
        """Whether a lock that answers is to be made anew."""
        if not self._options.relock or of not in self.named or path in self.made:
            return False
        if self._options.sync or self.upgrade is True or not self.upgrade:
            return versions is not None or not self._options.sync
        return versions is not None and not versions(old).keys().isdisjoint(self.upgrade)

    def file_digest(self, path: str, reader: object) -> str:
        """The sha256 (hex) of a file that a lock pins, which is read where it has changed. Raises OSError."""
        self.disk.by(reader).note(CONTENT, path)
        check_inside(self.root, path)
        with open(open_regular(os.path.join(self.root, path)), "rb") as file:
            compute = lambda: hashlib.file_digest(file, "sha256").hexdigest()  # noqa: E731
            return self._index.digest(os.path.join(self.root, path), stat_row(os.fstat(file.fileno())), compute)

    def _hold(self, path: str, what: str, write: Callable[[], object], lines: Sequence[str]) -> None:
        """Write a lock later; of what has no versions that are told then, it is said now what moves."""
        self._pending[path] = write
        if lines:
            self._stream.emit(Notice(f"{what} moves: {'; '.join(lines)}"))

    def write_pending(self) -> None:
        """Write the locks that were held back, so that it could be told before what moves."""
        for path, write in self._pending.items():
            self._put(path, write)
        self._pending.clear()

    def _put(self, path: str, write: Callable[[], object], lines: Sequence[str] = ()) -> None:
        """Write a lock, and say so where it says something new: `lines`."""
        write()
        self.disk.written(path)
        if path in self.replaced:
            self._say_written(path)
            for line in (
                lines if len(lines) <= _MOVES else [*lines[: _MOVES - 1], f"and {len(lines) - _MOVES + 1} more"]
            ):
                self._stream.emit(Notice(f"  {line}"))

    def misses(self, path: str) -> bool:
        """Whether `obtain` would make the lock at `path` since there is none."""
        return not (self._options.locked or self._options.preview or os.path.exists(os.path.join(self.root, path)))

    def _make(self, what: str, old: L | None, make: Callable[[L | None], L]) -> L:
        try:
            self._stream.emit(Progress(f"locking {what}", 0, None))
            return make(old)
        finally:
            self._stream.emit(Progress(f"locking {what}", 1, 1))

    def _say_written(self, path: str) -> None:
        if path not in self.written:
            self.written.append(path)
        self._stream.emit(Notice(f"wrote {path}"))

    def tell(self, text: str, *, warning: bool = False) -> None:
        """Say something of locks that are being made, once."""
        if text not in self._told:
            self._told.add(text)
            self._stream.emit(Notice(text, warning=warning))

    def warn(self, text: str) -> None:
        """Say, once, what the user should know of locks that are being made."""
        self.tell(text, warning=True)

    def _read(self, path: str, read: Callable[[str], L]) -> tuple[L | None, str | None]:
        """The lock, or why there is none. One that cannot be read is an error, unless it is to be made anew."""
        absolute = os.path.join(self.root, path)
        if path in self._pending and path in self.replaced:
            return self.replaced[path][1], None
        if not os.path.exists(absolute):
            return None, _MISSING
        check_inside(self.root, path)
        try:
            return read(absolute), None
        except LockError as error:
            if self._options.locked:
                self._refused[path] = error
            if not self._options.relock:
                raise
            return None, "it cannot be read"

    def _beside(
        self,
        path: str,
        what: str,
        read: Callable[[str], L],
        stale: Callable[[L], str | None],
        write: Callable[[str, L], object],
    ) -> L | None:
        """The first lock of the same kind in the same folder that answers, copied to `path`."""
        folder, name = os.path.split(path)
        for other in locks_in(os.path.join(self.root, folder)):
            if other.partition(".")[0] == name.partition(".")[0]:
                with contextlib.suppress(LockError, LoadError):
                    check_inside(self.root, os.path.join(folder, other))
                    lock = read(os.path.join(self.root, folder, other))
                    if stale(lock) is None:
                        write(os.path.join(self.root, path), lock)
                        self.disk.written(path)
                        self._stream.emit(Notice(f"locking {what}: as in {os.path.join(folder, other)}"))
                        self._say_written(path)
                        return lock
        return None

    def refuse(self, path: str, what: str, reason: str) -> None:
        """With `--locked`: note that the lock at `path` cannot be used."""
        self._refused[path] = LockError(f"the lock {path!r} of {what} cannot be used: {reason}", hint=_COMMIT)

    def require(self, path: str, what: str) -> None:
        """With `--locked`: refuse a lock that is not there."""
        if self._options.locked and not os.path.exists(os.path.join(self.root, path)):
            self.refuse(path, what, _MISSING)

    @contextlib.contextmanager
    def refusing(self, instead: Callable[[], object] | None = None) -> Iterator[None]:
        """Go on where a lock inside is refused, to find the others; `instead` does what is left to do then."""
        try:
            yield
        except LockError:
            if not self._refused:
                raise
            if instead is not None:
                instead()

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Raise one LockError at the end for all locks that were refused inside."""
        try:
            yield
        except BuildrulesError:
            if not self._refused:  # else it may come of a lock that was used though it is stale
                raise
        errors = [self._refused[path] for path in sorted(self._refused)]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            lines = "".join(f"\n    {error.message}" for error in errors)
            raise LockError(f"{len(errors)} locks cannot be used{lines}", hint=_COMMIT)

    def strays(
        self, packages: Iterable[str], platforms: Iterable[str], configurations: Collection[str] = ()
    ) -> list[str]:
        """The locks in these packages that are in nobody's use, but for those of other platforms and configurations."""
        endings = tuple(f"-{platform.replace('/', '-')}" for platform in platforms)
        found = []
        for package in packages:
            for name in locks_in(os.path.join(self.root, package)):
                path = os.path.join(package, name)
                of = {one for variant in re.findall(r"@([\w,]+)", name) for one in variant.split(",")}
                if (
                    path not in self.files
                    and of.isdisjoint(configurations)
                    and (name.startswith("model.") or os.path.splitext(name)[0].endswith(endings))
                ):
                    found.append(path)
        return found

    def digest(self, path: str) -> str:
        """`sha256:<hex>` of the lock file at the workspace-relative `path`; "" of one that is still to be written."""
        if path in self._pending:
            return ""
        if path not in self.digests:
            self.digests[path] = digest_of(read_inside(self.root, path))
        return self.digests[path]


def locks_in(folder: str) -> list[str]:
    """The names of the locks in a folder that this program has written, sorted."""
    found: list[str] = []
    if not os.path.isdir(folder):
        return found
    for name in sorted(os.listdir(folder)):
        if name.startswith(_KINDS) and name.endswith((".toml", ".lock")):
            with contextlib.suppress(OSError), open(open_regular(os.path.join(folder, name)), "rb") as file:
                if file.read(len(_FIRST_LINE)) == _FIRST_LINE:
                    found.append(name)
    return found
