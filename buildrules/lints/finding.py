"""What a lint found."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from buildrules.errors import Position

__all__ = ["ERROR", "NAMES", "WARNING", "Finding", "placed"]

ERROR = "error"
"""The package will not work, or gives away what it must not."""
WARNING = "warning"
"""It may work, and was surely not meant so."""

NAMES = {
    "pickle_version": "a model was pickled with another version of a library than the environment has",
    "missing_module": "the code imports a module that nothing in the environment provides",
    "gpu_wheels": "packages for GPUs are in an image without CUDA",
    "unpinned_server": "the server is asked for in any version",
    "secret": "a file that is going to be packaged holds a key, a token or a password",
    "model_in_code": "files of the model are packaged with the code as well",
}
"""The lints there are, and what each is about."""


class Finding(NamedTuple):
    """One thing that is wrong. `path` is workspace-relative; `line` and `column` are 0 where there is no place."""

    name: str
    severity: str
    message: str
    path: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""

    @property
    def position(self) -> Position | None:
        """Where it is; a line below 0 stands for the file as a whole."""
        return Position(self.path, max(self.line or 1, 0), self.column or 1) if self.path else None

    def to_list(self) -> list[Any]:
        """Plain JSON types, for a record."""
        return list(self)

    def to_dict(self) -> dict[str, Any]:
        """As a program wants it."""
        value: dict[str, Any] = {"lint": self.name, "severity": self.severity, "message": self.message}
        if self.position is not None:
            value["position"] = str(self.position)
        if self.hint:
            value["hint"] = self.hint
        return value


def placed(finding: Finding, position: Sequence[Any] | None) -> Finding:
    """The finding at a position given as (path, line, column); as it is without one."""
    return finding if not position else finding._replace(path=position[0], line=position[1], column=position[2])
