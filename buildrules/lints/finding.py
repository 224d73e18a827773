"""What a lint found."""

import re
from collections.abc import Mapping

from buildrules.errors import Position
from buildrules.typed import Any, NamedTuple

ERROR = "error"
"""The package will not work, or gives away what it must not."""
WARNING = "warning"
"""It may work, and was surely not meant so."""

_MARK = "\x01"
_SPOT = f"{_MARK}([a-z0-9 ]*){_MARK}"

NAMES = {
    "pickle_version": "a model was pickled with another version of a library than the environment has",
    "syntax": "a module of the code is not Python",
    "missing_module": "the code imports a module that nothing in the environment provides",
    "gpu_wheels": "packages for GPUs are in an image without CUDA",
    "cpu_wheels": "packages built for CPUs are in an image for GPUs",
    "cuda_versions": "packages are for several versions of CUDA, or for another than is asked for",
    "unpinned_server": "the server is asked for in any version",
    "secret": "a file that is going to be packaged holds a key, a token or a password",
    "pointer": "a file that is packaged with the code is a pointer of git-LFS, DVC or git-annex, not the file itself",
    "model_in_code": "files of the model are packaged with the code as well",
}
"""The lints there are, and what each is about."""


class Finding(NamedTuple):
    """One thing that is wrong. `path` is workspace-relative, or begins with a `spot`.

    `line` and `column` are 0 where there is no place.
    """

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


def spot(name: str) -> str:
    """A place that only the plan knows, to stand in a path or a text: what is recorded names no place."""
    return f"{_MARK}{name}{_MARK}"


def with_places(finding: Finding, places: Mapping[str, Any]) -> Finding:
    """The finding with its spots filled in, from the `places` of the action that found it.

    `texts` there are by name what stands for a spot, `positions` are (path, line, column) for a path that is one.
    """

    def filled(text: str) -> str:
        return re.sub(_SPOT, lambda match: str(places["texts"].get(match[1], "")), text)

    alone = re.fullmatch(_SPOT, finding.path)
    if alone is not None and alone[1] in places["positions"]:
        path, line, column = places["positions"][alone[1]] or ("", 0, 0)
        finding = finding._replace(path=path, line=line, column=column)
    path = filled(finding.path).rstrip("/")
    return finding._replace(path=path, message=filled(finding.message), hint=filled(finding.hint))
