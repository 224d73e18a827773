"""What targets name, as a BUILD.yaml can name it: links that lead away are followed, and no name is a pattern."""

import os
import re

from buildrules.azureml.document import display
from buildrules.azureml.targets import Glob, Local, Target
from buildrules.azureml.work import Work
from buildrules.errors import UsageError

__all__ = ["settle_places"]


def settle_places(work: Work, first: int = 0) -> None:
    """Give the targets from the `first` on the real places of their files, where links lead out of what the user named.

    A name that would be a pattern is noted as an error, where a file names it. Raises UsageError where none does.
    """
    around = work.around
    for target in work.targets.all[first:]:
        for name, value in target.attributes.items():
            if isinstance(value, list):
                target.attributes[name] = [_settled(work, target, item, around) for item in value]
            else:
                target.attributes[name] = _settled(work, target, value, around)


def _settled(work: Work, target: Target, value: object, around: str) -> object:
    if isinstance(value, Local):
        path = _followed(work, value.path, around)
        if target.rule in ("model", "input") and os.path.basename(path) != os.path.basename(value.path):
            work.note(f"{display(value.path)} is a link to {display(path)}, whose name counts in the image")
        _check(work, target, path, around, "[*?[]")
        return Local(path)
    if isinstance(value, Glob):
        directory = _followed(work, value.directory, around)
        _check(work, target, directory, around, "[*?[{}]")
        return Glob(directory, value.pattern)
    return value


def _followed(work: Work, path: str, around: str) -> str:
    """`path`, or the real place of what it is a link to, or lies behind one, outside of `around`."""
    link = path = "/" + path.lstrip("/")  # POSIX lets two slashes mean something else
    stop = os.path.commonpath([path, around])
    while len(link) > len(stop) and not os.path.islink(link):
        link = os.path.dirname(link)
    if len(link) <= len(stop):
        return path
    work.directories.add(os.path.dirname(link))  # where it would be pointed at something else
    real, home = os.path.realpath(path), os.path.realpath(around)
    if _within(path, around) and _within(real, home):
        return path
    return real


def _within(path: str, directory: str) -> bool:
    return f"{path}/".startswith(directory.rstrip("/") + "/")


def _check(work: Work, target: Target, path: str, around: str, marks: str) -> None:
    inside = os.path.relpath(path, around)
    found = re.search(marks, inside)
    if found is None:
        return
    message = f"'{inside}' has a '{found[0]}', which makes a name a pattern in a BUILD.yaml"
    if target.node is None:
        raise UsageError(message, hint="rename it")
    work.fail(target.node, message, "rename it")
