"""A file that is written aside and renamed, so that it is there whole or not at all."""

import contextlib
import os
from collections.abc import Iterable, Iterator

from buildrules.errors import UsageError

_HINTS = {"layout": "name a place that can be made and written", "archive": "name a file in a folder that exists"}


@contextlib.contextmanager
def writing(what: str, place: str) -> Iterator[None]:
    """While inside, an OSError is one of writing `what` (a layout or archive) at `place`. Raises UsageError."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot write the {what} {place!r}: {reason}", hint=_HINTS[what]) from error


def write_whole(path: str, chunks: Iterable[bytes], what: str, place: str) -> None:
    """Write `path`, which belongs to the `what` at `place`; an error leaves neither the old file nor a new one changed.

    Raises UsageError where it cannot be written, and what `chunks` raises: reading the layers may fail too.
    """
    part = f"{path}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
    try:
        with writing(what, place):
            file = open(part, "wb")  # noqa: SIM115 - closed below, where its errors can be told from those of chunks
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
