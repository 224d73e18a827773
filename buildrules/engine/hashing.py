"""Reads files of the workspace once, to name their content or the layer that they make."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence

from buildrules.errors import ActionError
from buildrules.sha256 import new_hash
from buildrules.store.buffer import BUFFER, page_aligned
from buildrules.store.statindex import Stat, stat_row
from buildrules.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mmap import mmap

Count = Callable[[int], None]
Report = Callable[[str, int, int | None], None]

_AT_ONCE = 64 << 10
_TOLD = 8 << 20
"""Progress is told after so many bytes."""


class Found(NamedTuple):
    """A file that is to be read: its absolute path, its path for people, what it is now, and where a layer has it."""

    absolute: str
    path: str
    stat: Stat
    mode: int
    layer_path: str = ""


class FileHasher:
    """Hashes files, on any thread. `busy` is called before it takes long."""

    def __init__(self, count: Count, progress: Report, busy: Callable[[], None]) -> None:
        self._count = count
        self._progress = progress
        self._busy = busy
        self._local = threading.local()

    def content(self, file: Found) -> str:
        """`sha256:<hex>` of the content. Raises ActionError where the file is no longer what it was found as."""
        size = file.stat[2]
        if size > BUFFER:
            self._busy()
        sha256 = new_hash(size)
        done = reported = 0
        for run in self._runs(file):
            sha256.update(run)
            done += len(run)
            if done - reported >= _TOLD:
                reported = done
                self._progress(os.path.basename(file.path), done, size)
        self._count(done)
        return "sha256:" + sha256.hexdigest()

    def layer(self, files: Sequence[Found]) -> str:
        """The digest (and diff_id) of the uncompressed layer of the files in this order. Raises as `content`."""
        from buildrules.oci.assemble import hash_layer
        from buildrules.oci.parts.entry import Entry, FileRange

        total = sum(file.stat[2] for file in files)
        title = os.path.basename(files[0].path) if len(files) == 1 else f"{len(files)} files"
        found = {file.absolute: file for file in files}
        done = reported = 0

        def read(content: FileRange) -> Iterator[bytes | memoryview]:
            nonlocal done, reported
            for run in self._runs(found[content.path]):
                yield run
                done += len(run)
                if done - reported >= _TOLD:
                    reported = done
                    self._progress(title, done, total)

        self._busy()
        entries = (
            Entry(
                file.layer_path,
                mode=file.mode,
                size=file.stat[2],
                content=FileRange(file.absolute, 0, file.stat[2], whole=True),
            )
            for file in files
        )
        digest = hash_layer(entries, read)
        self._count(done)
        return digest

    def _runs(self, file: Found) -> Iterator[bytes | memoryview]:
        """The bytes of the very file that was found, in runs; each is valid until the next is asked for.

        What was read is an open file that has this row afterwards, so that a link or a directory that is swapped
        meanwhile cannot put another file's content below this one's row. What was written to it since it was found
        would show in the row's times.
        """
        left = file.stat[2]
        handle = os.open(file.absolute, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if left <= _AT_ONCE:
                yield os.read(handle, left)
            else:
                view = memoryview(self._buffer())
                while left and (count := os.readv(handle, [view[:left]])):
                    left -= count
                    yield view[:count]
            if stat_row(os.fstat(handle)) != file.stat:
                raise ActionError(
                    f"'{file.path}' changed while it was being read", hint="build again when nothing writes to it"
                )
        finally:
            os.close(handle)

    def _buffer(self) -> "mmap":
        """This thread's memory to read into."""
        found: mmap | None = getattr(self._local, "buffer", None)
        if found is None:
            found = self._local.buffer = page_aligned()
        return found
