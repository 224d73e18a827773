"""What kind of model a folder holds."""

import os
from collections.abc import Mapping
from typing import Any

__all__ = ["MARKS", "detect_flavour"]

MARKS = {"MLmodel": "mlflow", "config.pbtxt": "triton"}


def detect_flavour(root: str, values: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """The flavour of a model target and the workspace-relative paths that were looked for.

    `values` are the target's attributes. What the target says is believed; `auto` looks for the file that marks a
    flavour. None means that the model is not there, so nothing can be said.
    """
    said = values.get("flavour") or "custom"
    if said != "auto":
        return said, []
    path = values.get("path")
    if path is None:
        return "custom", []
    marks = [f"{path}/{name}" if path else name for name in MARKS]
    for mark, flavour in zip(marks, MARKS.values(), strict=True):
        if os.path.isfile(os.path.join(root, mark)):
            return flavour, marks
    return ("custom" if os.path.lexists(os.path.join(root, path)) else None), [path, *marks]
