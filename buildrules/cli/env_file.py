"""Files of variables, in the form of `docker run --env-file` (docker-run(1))."""

import os

from buildrules.errors import LoadError, Position, UsageError

_LARGEST = 16 << 20  # bytes; the device /dev/zero and some pipes have no end


def name_fault(name: str) -> tuple[str, str] | None:
    """Why nothing can be the variable `name` of a container, and the way out; None where it can."""
    if not name:
        return "there is no name before the `=`", "write NAME=VALUE"
    if any(char.isspace() for char in name):
        return "the name of a variable holds a space", "write NAME=VALUE, without `export` or spaces around the `=`"
    return None


def read_env_file(path: str) -> dict[str, str]:
    """The variables of a file: NAME=VALUE on each line, the value as it stands, or NAME for this shell's value.

    A name that this shell does not have is left out, as Docker does. Empty lines, and those that begin with `#`, say
    nothing. A line ends with LF or CR LF, so that a value may hold a CR. Raises LoadError with the line, never with its
    value, and UsageError where the file cannot be read or is too large. It may be a pipe.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"the file of variables '{path}' cannot be read: {(error.strerror or '').lower()}") from error
    if len(content) > _LARGEST:
        raise UsageError(f"the file of variables '{path}' has more than {_LARGEST >> 20} MiB")
    found = {}
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        position = Position(path, number)
        try:
            text = line.removesuffix(b"\r").decode().lstrip()
        except UnicodeDecodeError as error:
            raise LoadError("this line is not UTF-8", position=position) from error
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if "\0" in text:
            raise LoadError("this line holds a NUL character", position=position)
        if (wrong := name_fault(name)) is not None:
            raise LoadError(wrong[0], hint=wrong[1], position=position)
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found
