"""A file that a command writes for a person."""

import os
import sys
from typing import TextIO

from buildrules.authoring.paths import display
from buildrules.errors import UsageError

STREAM = "-"
"""Stands for standard output where a file is asked for."""


def write_own(path: str, text: str, mark: str) -> None:
    """Write what a command makes anew each time, known by its `mark`: whole or not at all; to standard output for "-".

    Raises UsageError, also where a file is there that has no such mark.
    """
    from buildrules.oci.whole_file import remove_parts, write_whole

    check_own(path, mark)
    if path == STREAM:
        sys.stdout.write(text)
    elif os.path.exists(path) and not os.path.isfile(path):
        write_text(path, text)  # a pipe or a device, which nothing takes the place of
    else:
        place = os.path.realpath(path)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from error
        remove_parts(*os.path.split(place))
        write_whole(place, [text.encode()], "file", display(path))


def check_own(path: str, mark: str) -> None:
    """Raise UsageError where a file is at `path` that does not have the `mark` near its beginning, and is not empty."""
    if path != STREAM and os.path.isfile(path) and os.path.getsize(path) and mark not in beginning(path):
        raise UsageError(
            f"'{display(path)}' is there, and is nothing that this command wrote",
            hint="name another file, or move it away",
        )


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
