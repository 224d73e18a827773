"""How far a model's folder follows the layout of servers that load models by name and version.

`NAME/VERSION/file` is how tritonserver (model repository) and TensorFlow Serving lay models out. A folder may be what
lies in a version (`bare`), hold versions (`versions`), or hold models (`repository`).
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from buildrules.workspace.disk import SHAPE, Disk

__all__ = ["Arrangement", "arrangement", "look_inside"]

_CONFIG = "config.pbtxt"  # Triton's, beside the versions of a model
_MODELS = ("saved_model.pb", "MLmodel")  # mark what lies in a version, whatever else does


@dataclass(frozen=True, slots=True)
class Arrangement:
    """`kind` is bare, versions or repository; `names` are the versions, or the models, in it."""

    kind: str = "bare"
    names: tuple[str, ...] = ()


def arrangement(paths: Iterable[str]) -> Arrangement:
    """The arrangement of a folder with these files and folders, at least two levels of them, relative to it."""
    steps = [path.split("/") for path in paths]
    if any([mark] in steps for mark in _MODELS):
        return Arrangement()
    versions = {parts[0] for parts in steps if len(parts) > 1 and _is_version(parts[0])}
    if versions or [_CONFIG] in steps:
        return Arrangement("versions", tuple(sorted(versions, key=int)))
    models = {parts[0] for parts in steps if len(parts) > 1 and (_is_version(parts[1]) or parts[1] == _CONFIG)}
    return Arrangement("repository", tuple(sorted(models))) if models else Arrangement()


def look_inside(disk: Disk, path: str) -> Arrangement:
    """The arrangement of the folder `path` (workspace-relative)."""
    names: list[str] = []
    with suppress(OSError), os.scandir(disk.path(path)) as entries:
        for entry in entries:
            names.append(entry.name)
            if entry.is_dir():
                with suppress(OSError):
                    names += [f"{entry.name}/{inner}" for inner in os.listdir(entry.path)]
    found = arrangement(names)
    # Of all these names only some decide: a model may gain other files and be arranged as before.
    disk.note(SHAPE, path, *(f"{path}/{name}" for name in (_CONFIG, "1", *found.names)))
    return found


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit()
