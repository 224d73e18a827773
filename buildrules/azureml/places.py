"""What targets name, as a BUILD.yaml can name it: links that lead away are followed, and no name is a pattern."""

import os
import re

from buildrules.authoring.paths import display, is_within
from buildrules.authoring.target import Glob, Local, NewTarget
from buildrules.azureml.conversion import Conversion
from buildrules.errors import UsageError
from buildrules.workspace.disk import NAMES


def settle_places(conversion: Conversion, first: int) -> None:
    """Give the targets from the `first` on the real places of their files, where links lead out of what the user named.

    A name that would be a pattern is noted as an error, where a file names it. Raises UsageError where none does.
    """
    for target in conversion.targets.all[first:]:
        for name, value in target.attributes.items():
            several = isinstance(value, list)
            found = [_settled(conversion, target, item) for item in (value if several else [value])]
            target.attributes[name] = found if several else found[0]


def _settled(conversion: Conversion, target: NewTarget, value: object) -> object:
    if isinstance(value, Local):
        path = _followed(conversion, value.path)
        if target.rule in ("model", "input") and os.path.basename(path) != os.path.basename(value.path):
            conversion.note(f"{display(value.path)} is a link to {display(path)}, whose name counts in the image")
        return Local(_checked(conversion, target, path, "[*?[]"))
    if isinstance(value, Glob):
        folder = _followed(conversion, value.directory)
        return Glob(_checked(conversion, target, folder, "[*?[{}]"), value.pattern)
    return value


def _followed(conversion: Conversion, path: str) -> str:
    """`path`, or the real place of what it is a link to, or lies behind one, outside of what the user named."""
    around = conversion.around
    link = path = "/" + path.lstrip("/")  # POSIX lets two slashes mean something else
    stop = os.path.commonpath([path, around])
    while len(link) > len(stop) and not os.path.islink(link):
        link = os.path.dirname(link)
    if len(link) <= len(stop):
        return path
    conversion.disk.note(NAMES, os.path.dirname(link))  # where it would be pointed at something else
    real = os.path.realpath(path)
    return path if is_within(path, around) and is_within(real, os.path.realpath(around)) else real


def _checked(conversion: Conversion, target: NewTarget, path: str, marks: str) -> str:
    """The path; a name in it that would be a pattern is an error."""
    inside = os.path.relpath(path, conversion.around)
    found = re.search(marks, inside)
    if found is not None:
        message = f"'{inside}' has a '{found[0]}', which makes a name a pattern in a BUILD.yaml"
        if target.node is None:
            raise UsageError(message, hint="rename it")
        conversion.fail(target.node, message, "rename it")
    return path
