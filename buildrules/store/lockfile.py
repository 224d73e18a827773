"""Writes the text of a lock, of whichever kind."""

import contextlib
import os

from buildrules.errors import LockError


def write_whole(path: str, text: str, shown: str | None = None) -> bool:
    """Write `text` to the file `path`, whole or not at all; False where the file already says so.

    Missing folders are made. Raises LockError, which calls the file `shown`, or by its path.
    """
    data = text.encode()
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if file.read() == data:
            return False
    aside = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(aside, "wb") as file:
            file.write(data)
        os.replace(aside, path)
    except OSError as error:
        raise LockError(
            f"cannot write the lock {shown or path!r}: {(error.strerror or str(error)).lower()}",
            hint="let this user write there, or build with --locked where the locks are complete",
        ) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(aside)
    return True
