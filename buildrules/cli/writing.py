"""A file that a command writes for a person."""

import os

from buildrules.authoring.paths import display
from buildrules.errors import UsageError


def write_text(path: str, text: str) -> None:
    """Write a file, with the folders it lies in. Raises UsageError."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot write '{display(path)}': {reason}", hint="name a place you may write to") from error


def beginning(path: str) -> str:
    """The first 4096 characters of a file that may be replaced; "" where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""
