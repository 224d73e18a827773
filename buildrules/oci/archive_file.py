"""An archive of an image layout that somebody else may have made, read where its files lie; nothing is unpacked."""

import os
import tarfile
from collections.abc import Iterator

from buildrules.document.plain_json import MOST
from buildrules.errors import IntegrityError, UsageError
from buildrules.oci.untar import members
from buildrules.state.rows import open_regular
from buildrules.store.blobs import CHUNK

_MOST_FILES = 200_000


class ArchiveFile:
    """The plain files of a tar: `files` has the place and the size of each, in bytes, by its path. Close it in the end.

    Safe for concurrent threads. `place` is what errors call it.
    """

    def __init__(self, path: str) -> None:
        """Raises UsageError where it cannot be opened, IntegrityError where it is damaged or holds what none has."""
        self.place = repr(path)
        self.files: dict[str, tuple[int, int]] = {}
        try:
            self._handle = open_regular(path)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot read {self.place}: {reason}", hint="name a file that is there") from error
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def read(self, name: str) -> bytes:
        """A small file of it. Raises UsageError where there is none, IntegrityError where it is large."""
        if name not in self.files:
            raise UsageError(f"{self.place} has no file {name!r}", hint="it has to be an archive of an image layout")
        if self.files[name][1] > MOST:
            raise IntegrityError(f"file {name!r} of {self.place} has {self.files[name][1]} bytes, which is too large")
        return b"".join(self.stream(name))

    def stream(self, name: str) -> Iterator[bytes]:
        """A file of it, in chunks, whatever its size. Raises IntegrityError where it is not whole or not there."""
        if name not in self.files:
            hint = "a bundle that was made with --have is for 'buildrules unbundle', where the rest of its images is"
            raise IntegrityError(f"{self.place} does not have {name!r}, which an image in it needs", hint=hint)
        offset, left = self.files[name]
        while left:
            chunk = os.pread(self._handle, min(left, CHUNK), offset)
            if not chunk:
                raise self._damaged("it ends too early")
            offset, left = offset + len(chunk), left - len(chunk)
            yield chunk

    def _look(self) -> None:
        """Note where the files are."""
        with open(os.dup(self._handle), "rb") as file:
            try:
                for member in members(file):
                    self._take(member)
            except (tarfile.TarError, ValueError, EOFError) as error:
                raise self._damaged(str(error)) from None
            except OSError as error:
                raise UsageError(f"cannot read {self.place}: {(error.strerror or str(error)).lower()}") from error

    def _take(self, member: tarfile.TarInfo) -> None:
        name = member.name.removeprefix("./").rstrip("/")
        if name.startswith("/") or ".." in name.split("/") or not (member.isreg() or member.isdir()):
            raise self._damaged(f"{ascii(member.name)[:200]} is no plain file or folder inside of it")
        if member.size < 0:
            raise self._damaged(f"{ascii(name)[:200]} has the size {member.size}")
        if member.isdir():
            return
        if name in self.files or len(self.files) >= _MOST_FILES:
            raise self._damaged(f"{ascii(name)[:200]} is one file too many")
        self.files[name] = (member.offset_data, member.size)

    def _damaged(self, why: str) -> IntegrityError:
        return IntegrityError(f"{self.place} is not an archive of images: {why}", hint="copy it here again, whole")
