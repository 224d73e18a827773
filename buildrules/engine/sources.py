"""Expands the source sets of an action and finds the digests of their files."""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from buildrules.engine.action import Action, SourceFile, SourceSet, paths_of
from buildrules.errors import ActionError
from buildrules.oci.recipe import LARGE_FILE, WHITEOUT
from buildrules.oci.supply import Origin
from buildrules.store.buffer import BUFFER, page_aligned, runs_of
from buildrules.store.statindex import Stat, StatIndex, stat_row

if TYPE_CHECKING:
    from mmap import mmap

Expanded = tuple[list[tuple[str, str, os.stat_result]], Iterable[str]]
Expand = Callable[[str, str, tuple[str, ...], tuple[str, ...]], Expanded]
"""(root, directory, include, exclude) -> ((workspace path, name, stat) sorted, directories looked at)."""

Count = Callable[[int], None]
Report = Callable[[str, int, int | None], None]

_AT_ONCE = 64 << 10


class SourceReader:
    """Reads the sources of one build. Remembers every file and directory it looked at, for the snapshot."""

    def __init__(
        self,
        root: str,
        index: StatIndex,
        expand: Expand,
        *,
        jobs: int,
        count_read: Count,
        progress: Report,
        busy: Callable[[], None] = lambda: None,
    ) -> None:
        self._root = root
        self._index = index
        self._expand = expand
        self._jobs = jobs
        self._count_read = count_read
        self._progress = progress
        self._busy = busy
        self.files: dict[str, Stat] = {}
        self._local = threading.local()
        self.unsettled: set[str] = set()  # files that changed between two looks at them
        self.directories: set[str] = set()

    def read(self, source: SourceSet) -> list[SourceFile]:
        """The files of a set, sorted by name, with their digests. Raises ActionError where there are none."""
        found, directories = self._expand(self._root, source.directory, source.include, source.exclude)
        self.directories.update(directories)
        if not found and not source.allow_empty:
            globs = ", ".join(repr(glob) for glob in source.include)
            raise ActionError(
                f"no file matches {globs} in '//{source.directory}'",
                hint="check the path; globs are relative to the BUILD.yaml that has them",
            )
        rows: list[SourceFile | None] = [None] * len(found)
        large: list[int] = []
        for number, (path, name, stat) in enumerate(found):
            row = stat_row(stat)
            if self.files.setdefault(path, row) != row:
                self.unsettled.add(path)
            if stat.st_size >= LARGE_FILE:
                large.append(number)
            else:
                rows[number] = self._file(source, path, name, stat)
        self._read_large(source, found, rows, large)
        return [row for row in rows if row is not None]

    def origin(self, action: Action) -> Origin:
        """What `action` says of its layers' content, with the files of this workspace that have it."""

        def files() -> dict[str, str]:
            found: dict[str, str] = {}
            for source in action.sources:
                with contextlib.suppress(ActionError):  # what is gone is not here: whoever wants it is told so
                    found.update(paths_of(self._root, self.read(source)))
            return found

        return Origin(action.places, files)

    def _read_large(
        self,
        source: SourceSet,
        found: list[tuple[str, str, os.stat_result]],
        rows: list[SourceFile | None],
        large: list[int],
    ) -> None:
        errors: list[BaseException] = []

        def work() -> None:
            while large and not errors:
                try:
                    number = large.pop()
                except IndexError:
                    return
                try:
                    rows[number] = self._file(source, *found[number])
                except BaseException as error:  # noqa: BLE001 - raised again below, in the calling thread
                    errors.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self._jobs, len(large)) - 1)]
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _file(self, source: SourceSet, path: str, name: str, stat: os.stat_result) -> SourceFile:
        absolute = os.path.join(self._root, path)
        mode = 0o755 if stat.st_mode & 0o100 else 0o644
        if source.layer_prefix is not None and stat.st_size >= LARGE_FILE:
            image_path = f"{source.layer_prefix}/{name}" if source.layer_prefix else name
            if WHITEOUT in f"/{image_path}":
                raise ActionError(
                    f"{path!r} is a whiteout, which would delete what lies below in the image", hint="exclude it"
                )
            digest = self._index.digest(
                absolute,
                stat,
                lambda: self._read_as(
                    absolute, path, stat, lambda opened: self._layer_digest(opened, image_path, stat, mode)
                ),
                variant=f"layer {mode:o} {image_path}",
            )
            return SourceFile(path, name, stat.st_size, mode, digest, as_layer=True, stat=stat_row(stat))
        digest = self._index.digest(
            absolute,
            stat,
            lambda: self._read_as(
                absolute, path, stat, lambda opened: self._content_digest(opened, os.path.basename(name), stat)
            ),
        )
        return SourceFile(path, name, stat.st_size, mode, digest, stat=stat_row(stat))

    def _read_as(self, absolute: str, path: str, stat: os.stat_result, read: Callable[[int], str]) -> str:
        """What `read` makes of the very file that `stat` is of: a digest is kept for that stat.

        `read` gets the open file, so that a link or a directory that is swapped meanwhile cannot put another file's
        content below this one's stat. Raises ActionError where it changed.
        """
        handle = os.open(absolute, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before = stat_row(os.fstat(handle))
            digest = read(handle) if before == stat_row(stat) else ""
            if before != stat_row(stat) or stat_row(os.fstat(handle)) != before:
                raise ActionError(
                    f"'{path}' changed while it was being read", hint="build again when nothing writes to it"
                )
            return digest
        finally:
            os.close(handle)

    def _content_digest(self, handle: int, title: str, stat: os.stat_result) -> str:
        size = stat.st_size
        if size > BUFFER:
            self._busy()
        sha256 = hashlib.sha256()
        done = 0
        for data in runs_of(handle, self._buffer()) if size > _AT_ONCE else (os.read(handle, size + 1),):
            sha256.update(data)
            done += len(data)
            if size > LARGE_FILE:
                self._progress(title, done, size)
        self._count_read(done)
        return "sha256:" + sha256.hexdigest()

    def _buffer(self) -> "mmap":
        """This thread's memory to read into."""
        found: mmap | None = getattr(self._local, "buffer", None)
        if found is None:
            found = self._local.buffer = page_aligned()
        return found

    def _layer_digest(self, handle: int, image_path: str, stat: os.stat_result, mode: int) -> str:
        from buildrules.oci.assemble import hash_file_layer

        self._busy()
        size = stat.st_size
        title = os.path.basename(image_path)
        path = f"/proc/self/fd/{handle}"
        digest = hash_file_layer(path, image_path, size, mode, lambda done: self._progress(title, done, size))
        self._count_read(size)
        return digest

    def changed(self, sets: Sequence[Sequence[SourceFile]]) -> list[str]:
        """The paths of files whose stat is no longer the one they were hashed with."""
        paths = []
        for files in sets:
            for file in files:
                try:
                    now = stat_row(os.stat(os.path.join(self._root, file.path)))
                except OSError:
                    now = None
                if now != file.stat:
                    paths.append(file.path)
        return paths
