"""What its files make of a model, in the workspace or as its lock has them: its flavour, its own folder, how it is
arranged.

`NAME/VERSION/file` is how tritonserver (model repository) and TensorFlow Serving lay models out. A folder may be what
lies in a version (`bare`), hold versions (`versions`), or hold models (`repository`).
"""

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from buildrules.errors import LockError
from buildrules.workspace.disk import SHAPE, Disk
from buildrules.workspace.globs import matches

if TYPE_CHECKING:
    from buildrules.actions.models.file import File
    from buildrules.rules.resolve import ResolvedTarget

_MARKS = {"MLmodel": "mlflow", "config.pbtxt": "triton"}
"""Files that mark a flavour, where the target says `auto`; otherwise what it says is believed."""

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


@dataclass(frozen=True, slots=True)
class ModelContent:
    """What is known of a model: with all None of one that is not there to look at.

    `basename` is its own folder or file; None where its files have no folder in common. `files` are those of a lock,
    without what the target leaves out.
    """

    basename: str | None = None
    is_file: bool = False
    flavour: str | None = None
    arrangement: Arrangement = Arrangement()
    files: "Sequence[File]" = ()

    @property
    def folder(self) -> str:
        """What the paths of all files begin with, up to its slash; "" where they have no folder in common."""
        return f"{self.basename}/" if self.basename and not self.is_file else ""


def model_content(disk: Disk, target: "ResolvedTarget") -> ModelContent:
    """What a model target is, as far as it, or its lock, is there."""
    values = target.values
    if values.get("uri") is not None:
        return _read_lock(disk, lock_path(target), values)
    path = values.get("path")
    said = values.get("flavour") or "custom"
    if path is None:
        return ModelContent(flavour="custom" if said == "auto" else said)
    if said == "auto":
        marks = (flavour for name, flavour in _MARKS.items() if disk.is_file(f"{path}/{name}" if path else name))
        said = next(marks, "custom" if disk.exists(path) else None)
    return ModelContent(posixpath.basename(path) or None, disk.is_file(path), said, _look_inside(disk, path))


def lock_path(target: "ResolvedTarget") -> str:
    """The workspace-relative path of a model's lock. It is the same on all platforms, unless the model is not."""
    from buildrules.actions.models.lock import lock_name

    of = f"-{target.platform.replace('/', '-')}" if target.platform else ""
    return os.path.join(target.label.package, lock_name(target.lock_name + of))


def locked_content(files: "Sequence[File]", values: Mapping[str, Any]) -> ModelContent:
    """What the files of a lock make of a target with the attributes `values`, but for their arrangement."""
    kept = [file for file in files if not matches(file.path, values.get("exclude") or ())]
    paths = {file.path for file in kept}
    tops = {path.partition("/")[0] for path in paths}
    is_file = len(paths) == 1 and not any("/" in path for path in paths)
    found = ModelContent(tops.pop() if len(tops) == 1 else None, is_file, values.get("flavour") or "custom", files=kept)
    if found.flavour != "auto":
        return found
    marks = (flavour for name, flavour in _MARKS.items() if found.folder + name in paths)
    return replace(found, flavour=next(marks, "custom"))


def _read_lock(disk: Disk, path: str, values: Mapping[str, Any]) -> ModelContent:
    from buildrules.actions.models.lock import read_lock

    disk.note(SHAPE, path)  # what it says is the planner's to watch
    try:
        found = locked_content(read_lock(disk.path(path)).files, values)
    except LockError:
        return ModelContent()  # whoever locks reads it again, and says so or makes it anew
    return replace(found, arrangement=arrangement(file.path.removeprefix(found.folder) for file in found.files))


def _look_inside(disk: Disk, path: str) -> Arrangement:
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
