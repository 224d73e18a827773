"""What kind of model a folder holds."""

from collections.abc import Mapping
from typing import Any

from buildrules.workspace.disk import Disk

__all__ = ["MARKS", "detect_flavour"]

MARKS = {"MLmodel": "mlflow", "config.pbtxt": "triton"}


def detect_flavour(disk: Disk, values: Mapping[str, Any]) -> str | None:
    """The flavour of a model target.

    `values` are the target's attributes. What the target says is believed; `auto` looks for the file that marks a
    flavour. None means that the model is not there, so nothing can be said.
    """
    said = values.get("flavour") or "custom"
    if said != "auto":
        return said
    path = values.get("path")
    if path is None:
        return "custom"
    found = [flavour for name, flavour in MARKS.items() if disk.is_file(f"{path}/{name}" if path else name)]
    return found[0] if found else "custom" if disk.exists(path) else None
