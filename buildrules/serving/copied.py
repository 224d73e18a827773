"""A file as engines copy it out of a container: a tar with one entry (Docker Engine API, ContainerArchive)."""

import tarfile
from typing import Any

from buildrules.errors import ServingError
from buildrules.serving.runner import LARGEST

__all__ = ["file_in", "too_long"]


def file_in(stream: Any, path: str) -> bytes:
    """The content of the file that the tar `stream`, something with `read`, holds; `path` is what errors call it.

    Raises ServingError where it holds something else than one file, or one that is too long.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            member = archive.next()
            content = archive.extractfile(member) if member is not None and member.isreg() else None
            if member is None or content is None:
                raise ServingError(f"{path} is no file")
            if member.size > LARGEST:
                raise too_long(path)
            return content.read()
    except (tarfile.TarError, EOFError) as error:
        raise ServingError(f"{path} could not be copied out of its container: {error}") from error


def too_long(path: str) -> ServingError:
    """The error for a file of more than LARGEST bytes."""
    return ServingError(f"{path} is longer than {LARGEST} bytes")
