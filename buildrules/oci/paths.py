"""Paths in layers: what a good one is."""

from buildrules.errors import ActionError

WHITEOUT = "/.wh."
"""With a slash before the path: a name that deletes from the layers below (image specification 1.1, layer.md)."""
_LONGEST_NAME = 255  # bytes between two slashes: NAME_MAX of Linux
_LONGEST_PATH = 4095  # bytes: PATH_MAX of Linux, without the NUL at the end


def layer_path(prefix: str, name: str, file: str = "") -> str:
    """The path in a layer of the file `name` below `prefix`, where "" and slashes around the prefix are allowed.

    Raises ActionError for a whiteout, and calls it `file` if its name does not say enough.
    """
    prefix = prefix.strip("/")
    path = f"{prefix}/{name}" if prefix else name
    if WHITEOUT in f"/{path}":
        message = f"{file or name!r} is a whiteout, which would delete what lies below in the image"
        raise ActionError(message, hint="exclude it")
    return path


def bad_path(path: str) -> str | None:
    """What is wrong with a layer or source path, as the end of a sentence; None where it is good."""
    if not path or "\0" in path:
        return "holds a NUL" if path else "is empty"
    if path[0] == "/":
        return "is absolute"
    framed = f"/{path}/"
    if "/../" in framed:
        return "climbs with '..'"
    if "//" in framed or "/./" in framed:
        return "is not normalised"
    if WHITEOUT in framed:
        return "is a whiteout, which would delete what lies below"
    return None if path.isascii() else bad_text(path)


def too_long(path: str) -> bool:
    """Whether Linux has no room for a path, or one of its names, that is otherwise a good one."""
    data = path.encode()
    return len(data) > _LONGEST_PATH or max(map(len, data.split(b"/"))) > _LONGEST_NAME


def bad_link(path: str, target: str) -> str | None:
    """What is wrong with the target of a symlink at `path`; None where it stays inside the image's root.

    An absolute target is resolved in the container, so it stays inside.
    """
    if not target or "\0" in target:
        return "holds a NUL" if target else "is empty"
    depth = 0 if target[0] == "/" else path.count("/")
    for step in target.split("/"):
        if step == "..":
            depth -= 1
            if depth < 0:
                return "leaves the root"
        elif step not in ("", "."):
            depth += 1
    return bad_text(target)


def bad_text(text: str) -> str | None:
    """What is wrong with a text that is written as UTF-8; None where it is good."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return None
