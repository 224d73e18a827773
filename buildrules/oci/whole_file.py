"""A file that is written aside and renamed, so that it is there whole or not at all.

A killed process leaves a part behind; whoever writes there next removes it. It is known by the lock that only the
living hold.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator

from buildrules.errors import UsageError
from buildrules.typed import BinaryIO

_PART = re.compile(r".*\.\d+-[0-9a-f]{8}\.tmp")
_FOLDER, _PLACE = "name a file in a folder that exists", "name a place you may write to"
_HINTS = {
    "layout": "name a place that can be made and written",
    "archive": _FOLDER,
    "list": _FOLDER,
    "depfile": _FOLDER,
}


@contextlib.contextmanager
def writing(what: str, place: str) -> Iterator[None]:
    """While inside, an OSError is one of writing `what`, as people call it, at `place`. Raises UsageError."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot write the {what} {place!r}: {reason}", hint=_HINTS.get(what, _PLACE)) from error


def write_whole(path: str, chunks: Iterable[bytes], what: str, place: str) -> None:
    """Write `path`, which belongs to the `what` at `place`; an error leaves neither the old file nor a new one changed.

    Raises UsageError where it cannot be written, and what `chunks` raises: reading the layers may fail too.
    """
    with writing(what, place):
        part, file = _new_part(path)
    lock = os.dup(file.fileno())  # holds until the part has its name, when the file is closed already
    try:
        try:
            for chunk in chunks:
                with writing(what, place):
                    file.write(chunk)
            with writing(what, place):
                file.close()
        finally:
            with contextlib.suppress(OSError):
                file.close()
        with writing(what, place):
            os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    finally:
        os.close(lock)


def is_part(name: str) -> bool:
    """Whether a file of that name is one that is being written, or was left behind."""
    return _PART.fullmatch(name) is not None


def remove_parts(folder: str, name: str = "") -> None:
    """Remove what killed processes have left in `folder`: of the file `name`, or of all files."""
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):
            if entry.startswith(name) and _PART.fullmatch(entry[len(name) :]):
                _remove_left(os.path.join(folder, entry))


def _new_part(path: str) -> tuple[str, BinaryIO]:
    """A file to write what becomes `path`, and its path; locked, where the file system has locks. Raises OSError."""
    while True:
        part = f"{path}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
        file = open(part, "wb")  # noqa: SIM115 - whoever writes it closes it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()  # somebody took it for a part that was left behind, and removes it
            continue
        except OSError:
            return part, file
        if os.path.exists(part):
            return part, file
        file.close()


def _remove_left(path: str) -> None:
    """Remove a part unless somebody writes it."""
    with contextlib.suppress(OSError), open(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
