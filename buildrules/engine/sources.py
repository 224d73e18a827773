"""Expands the source sets of an action and finds the digests of their files."""

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from stat import S_ISDIR, S_ISLNK, S_ISREG

from buildrules.engine.action import FOLDER, Action, SourceFile, SourceSet, digest_in, paths_of
from buildrules.engine.hashing import Count, FileHasher, Found, Report
from buildrules.errors import ActionError
from buildrules.oci.paths import layer_path
from buildrules.oci.recipe import LARGE_FILE, SMALL_LAYER
from buildrules.oci.supply import Origin
from buildrules.sha256 import digest_of
from buildrules.state.rows import row_of
from buildrules.store.statindex import Stat, StatIndex, stat_row
from buildrules.typed import NamedTuple

_Files = list[tuple[str, str, os.stat_result]]
Expanded = tuple[_Files, Mapping[str, Stat | None]]
Expand = Callable[[str, str, tuple[str, ...], tuple[str, ...], bool], Expanded]
"""(root, directory, include, exclude, keep) -> ((workspace path, name, stat) sorted, directories looked at with the
rows they had before); with `keep` links that lead to something else that is found are there as links, and empty folders
as well."""


class Seen(NamedTuple):
    """What the reading of a source set came to: its files, and the directories whose listing decided which, with their
    rows from before they were listed (None where nothing was)."""

    files: list[SourceFile]
    directories: dict[str, Stat | None]


class SourceReader:
    """Reads the sources of one build. Remembers every file and directory it looked at, for the state."""

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
        self._base = root.rstrip("/") + "/"
        self._index = index
        self._expand = expand
        self._jobs = jobs
        self._hasher = FileHasher(count_read, progress, busy)
        self.files: dict[str, Stat] = {}
        self.unsettled: set[str] = set()  # files that changed between two looks at them
        self.seen: dict[SourceSet, Seen] = {}  # of the sets that were read

    def read(self, source: SourceSet) -> list[SourceFile]:
        """The files of a set, sorted by name, with their digests. Raises ActionError where there are none."""
        if source in self.seen:
            return self.seen[source].files
        keep = source.layer_prefix is not None
        found, directories = self._expand(self._root, source.directory, source.include, source.exclude, keep)
        if all(S_ISDIR(stat.st_mode) for _, _, stat in found) and not source.allow_empty:
            globs = ", ".join(repr(glob) for glob in source.include)
            raise ActionError(
                f"no file matches {globs} in '//{source.directory}'",
                hint="check the path; globs are relative to the BUILD.yaml that has them",
            )
        rows: list[SourceFile | None] = [None] * len(found)
        jobs: list[Callable[[], None]] = []
        small: list[int] = []
        for number, (path, _, stat) in enumerate(found):
            if not S_ISREG(stat.st_mode):
                rows[number] = self._no_file(*found[number])
                continue
            row = stat_row(stat)
            if self.files.setdefault(path, row) != row:
                self.unsettled.add(path)
            if stat.st_size >= LARGE_FILE:
                jobs.append(partial(self._one, source, found, rows, number))
            else:
                small.append(number)
        if source.layer_prefix is not None and sum(found[number][2].st_size for number in small) > SMALL_LAYER:
            jobs.append(partial(self._together, source, found, rows, small))
        else:
            for number in small:
                self._one(source, found, rows, number)
        self._run(jobs)
        files = [row for row in rows if row is not None]
        self.seen[source] = Seen(files, dict(directories))
        return files

    def warm(self, source: SourceSet, files: Sequence[SourceFile]) -> None:
        """Take digests that were trusted with their stats when they were kept; one without a stat was not."""
        together = [file for file in files if file.layer]
        for file in files:
            if file.stat is not None and not file.layer and file.plain:
                path = os.path.join(self._root, file.path)
                variant = f"layer {file.mode:o} {file.as_layer}" if file.as_layer else ""
                self._index.take(path, file.stat, file.digest, variant)
        marks = [(os.path.join(self._root, file.path), file.mode, file.stat) for file in together if file.stat]
        if marks and len(marks) == len(together):
            folder = os.path.join(self._root, source.directory)
            self._index.take_joint(folder, marks, together[0].layer, f"layer {source}")

    def origin(self, action: Action) -> Origin:
        """What `action` says of its layers' content, with the files of this workspace that have it."""

        def files() -> dict[str, str]:
            found: dict[str, str] = {}
            for source in action.sources:
                with contextlib.suppress(ActionError):  # what is gone is not here: whoever wants it is told so
                    found.update(paths_of(self._root, self.read(source)))
            return found

        return Origin(action.places, files)

    def _run(self, jobs: list[Callable[[], None]]) -> None:
        """Do what takes long, on several threads. Raises the first error."""
        errors: list[BaseException] = []

        def work() -> None:
            while jobs and not errors:
                try:
                    job = jobs.pop()
                except IndexError:
                    return
                try:
                    job()
                except BaseException as error:  # noqa: BLE001 - raised again below, in the calling thread
                    errors.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self._jobs, len(jobs)) - 1)]
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _one(self, source: SourceSet, found: _Files, rows: list[SourceFile | None], number: int) -> None:
        """The row of a file that is known by itself."""
        path, name, stat = found[number]
        file = self._found(source, path, name, stat)
        as_layer = source.layer_prefix is not None and stat.st_size >= LARGE_FILE
        if as_layer:
            digest = self._index.digest(
                file.absolute, file.stat, lambda: self._hasher.layer([file]), f"layer {file.mode:o} {file.layer_path}"
            )
        else:
            digest = self._index.digest(file.absolute, file.stat, lambda: self._hasher.content(file))
        place = file.layer_path if as_layer else None
        rows[number] = SourceFile(path, name, stat.st_size, file.mode, digest, as_layer=place, stat=file.stat)

    def _no_file(self, path: str, name: str, stat: os.stat_result) -> SourceFile:
        """The row of a link or an empty folder. That one came or went shows in the folder that it is in."""
        absolute = os.path.join(self._root, path)
        link = os.readlink(absolute) if S_ISLNK(stat.st_mode) else ""
        digest = digest_of(os.fsencode(link))
        return SourceFile(path, name, 0, 0o777 if link else FOLDER, digest, stat=row_of(absolute), link=link)

    def _together(self, source: SourceSet, found: _Files, rows: list[SourceFile | None], numbers: list[int]) -> None:
        """The rows of files that are known by the layer they make together, so that they are read and hashed once."""
        numbers.sort(key=lambda number: found[number][1])  # as the layer will have them
        files = [self._found(source, *found[number]) for number in numbers]
        folder = os.path.join(self._root, source.directory)
        marks = [(file.absolute, file.mode, file.stat) for file in files]
        layer = self._index.joint(folder, marks, lambda: self._hasher.layer(files), f"layer {source}")
        for number, file in zip(numbers, files, strict=True):
            path, name, stat = found[number]
            digest = digest_in(layer, name)
            rows[number] = SourceFile(path, name, stat.st_size, file.mode, digest, file.layer_path, file.stat, layer)

    def _found(self, source: SourceSet, path: str, name: str, stat: os.stat_result) -> Found:
        mode = 0o755 if stat.st_mode & 0o100 else 0o644
        inside = name if source.layer_prefix is None else layer_path(source.layer_prefix, name, path)
        return Found(self._base + path, path, stat_row(stat), mode, inside)

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
