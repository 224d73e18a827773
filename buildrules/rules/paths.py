"""Paths as rules and targets write them: in the workspace, and in an image."""

import re

from buildrules.errors import LoadError

_CONTROL = re.compile("[\\0-\\x1f\\x7f-\\x9f]")


def workspace_path(text: str, package: str) -> str:
    """A path as written in `package`, workspace-relative. Raises LoadError if it leaves the package's directory."""
    if text.startswith("//"):
        raise LoadError(
            f"'{text}' is a label; here a path is expected",
            hint="code that lies elsewhere is a python_library in a BUILD.yaml there, named in `code:` of the package",
        )
    if text.startswith(("/", "~")):
        raise LoadError(f"path '{text}' is absolute", hint="paths are relative to the directory of their BUILD.yaml")
    if not text or "\0" in text or "\\" in text:
        raise LoadError(f"'{text}' is not a path", hint="separate directories with `/`")
    parts = [part for part in text.removesuffix("/").split("/") if part != "."]
    if ".." in parts or "" in parts:
        raise LoadError(
            f"path '{text}' is not a plain path", hint="it cannot leave its package's directory: no `..`, no `//`"
        )
    return "/".join([package, *parts] if package else parts)


def image_path(text: str) -> str:
    """An absolute path in an image, without a slash at the end. Raises LoadError."""
    if _CONTROL.search(text) or "/.wh." in text:
        raise LoadError(f"{text!r} is not a path in an image", hint="no control characters, and no name with '.wh.'")
    if not text.startswith("/"):
        raise LoadError(f"'{text}' is not an absolute path", hint="paths in the image begin with a slash")
    parts = text.strip("/").split("/")
    if "" in parts or "." in parts or ".." in parts:
        raise LoadError(
            f"'{text}' is not a plain path in the image", hint="no `.`, `..`, `//`, and not the root itself"
        )
    return "/" + "/".join(parts)
