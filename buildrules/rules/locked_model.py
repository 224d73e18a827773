"""What is known of a model that is not in the workspace: what its lock says."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from buildrules.errors import LockError
from buildrules.rules.flavour import MARKS
from buildrules.workspace.disk import SHAPE, Disk
from buildrules.workspace.globs import matches

if TYPE_CHECKING:
    from buildrules.actions.models.file import File

__all__ = ["LockedModel", "lock_path", "locked_model", "read_locked_model"]


@dataclass(frozen=True, slots=True)
class LockedModel:
    """The files of a model, without those the target leaves out, and what they make it.

    `basename` is the folder all of them are in, or the name of the only file; None where they have no folder in common.
    """

    files: "Sequence[File]"
    basename: str | None
    is_file: bool
    flavour: str

    @property
    def folder(self) -> str:
        """What all paths begin with, up to its slash; "" where they have no folder in common."""
        return f"{self.basename}/" if self.basename and not self.is_file else ""


def lock_path(package: str, name: str) -> str:
    """The workspace-relative path of the lock of the model `name`."""
    from buildrules.actions.models.lock import lock_name

    return os.path.join(package, lock_name(name))


def read_locked_model(disk: Disk, package: str, name: str, values: Mapping[str, Any]) -> LockedModel | None:
    """What the lock of a model target says; None where there is none that can be read."""
    from buildrules.actions.models.lock import read_lock

    path = lock_path(package, name)
    disk.note(SHAPE, path)  # what it says is the planner's to watch
    try:
        lock = read_lock(disk.path(path))
    except LockError:
        return None  # the planner reads it again, and says so or makes it anew
    return None if lock is None else locked_model(lock.files, values)


def locked_model(files: "Sequence[File]", values: Mapping[str, Any]) -> LockedModel:
    """What locked files make a model; `values` are the target's attributes `exclude` and `flavour`."""
    kept = [file for file in files if not matches(file.path, values.get("exclude") or ())]
    paths = {file.path for file in kept}
    tops = {path.partition("/")[0] for path in paths}
    is_file = len(paths) == 1 and not any("/" in path for path in paths)
    basename = tops.pop() if len(tops) == 1 else None
    folder = f"{basename}/" if basename and not is_file else ""
    said = values.get("flavour") or "custom"
    found = next((flavour for mark, flavour in MARKS.items() if folder + mark in paths), "custom")
    return LockedModel(kept, basename, is_file, found if said == "auto" else said)
