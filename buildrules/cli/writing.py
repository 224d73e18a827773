"""A file that a command writes for a person."""

import os
from typing import TextIO

from buildrules.authoring.paths import display
from buildrules.errors import UsageError


def write_text(path: str, text: str) -> None:
    """Write a file, with the folders it lies in. Raises UsageError."""
    try:
        with opened(path) as file:
            file.write(text)
    except OSError as error:
        raise _unwritable(path, error) from error


def opened(path: str) -> TextIO:
    """A file to write text to, with the folders it lies in. Raises UsageError."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: OSError) -> UsageError:
    reason = (error.strerror or str(error)).lower()
    return UsageError(f"cannot write '{display(path)}': {reason}", hint="name a place you may write to")


def beginning(path: str) -> str:
    """The first 4096 characters of a file that may be replaced; "" where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""
