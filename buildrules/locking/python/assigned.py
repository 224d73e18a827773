"""Packages that come from one index only, whoever asks for them, told to a resolver.

uv takes an index for what it is asked for directly. What only others ask for is found out first: an empty wheel stands
in for such a package, so that no other index is asked for its name. Where that wheel turns up in an answer, the package
is asked for from its index, and uv once more. One that nobody asks for is never asked for.
"""

import base64
import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from buildrules.actions.python.sources import PROJECT, write_sources
from buildrules.actions.python.uvtool import write_lines
from buildrules.locking.python.request import EnvironmentRequest

Line = tuple[str, str]
"""The name that a line of a requirements file is about, "" where it has none, and the line."""


class Assigned:
    """The assigned packages of one `request`; `folder` takes files for uv. What is given by path or url is not among
    them.
    """

    def __init__(self, request: EnvironmentRequest, folder: str) -> None:
        given = {item.name for item in request.asked.all() if item.local or " @ " in item.text}
        self._folder = folder
        self._sources = {name: source for name, source in request.assigned.items() if name not in given}
        self._asked = self._sources.keys() & {item.name for item in request.asked.items}

    def arguments(self, constraints: Iterable[Line]) -> list[str]:
        """More arguments of `uv pip compile`, with `constraints` for all that is no stand-in."""
        waiting = sorted(self._sources.keys() - self._asked)
        lines = [line for name, line in constraints if name not in waiting]
        found = ["--constraints", write_lines(self._folder, "constraints.txt", lines)] if lines else []
        if self._asked:
            found.insert(0, write_sources(self._folder, {name: self._sources[name] for name in self._asked}))
        if waiting:
            stand_ins = [f"{name} @ {empty_wheel(self._folder, name)}" for name in waiting]
            found += ["--overrides", write_lines(self._folder, "overrides.txt", stand_ins)]
        return found

    def turned_up(self, data: dict[str, Any]) -> bool:
        """Whether stand-ins are in the answer `data` (PEP 751); from then on the packages themselves are asked for."""
        found = (self._sources.keys() - self._asked) & {table["name"] for table in data.get("packages", [])}
        self._asked |= found
        return bool(found)

    @staticmethod
    def told(errors: str, *folders: str) -> str:
        """What uv said, in words of somebody who knows of no such project, and of no such folders."""
        for folder in folders:
            errors = errors.replace(folder + "/", "")
        return errors.replace(f"{PROJECT} depends on", "you require")


def empty_wheel(folder: str, name: str, version: str = "0") -> str:
    """The address of a wheel of that name without content or requirements (binary distribution format)."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    path = Path(folder, f"{info.removesuffix('.dist-info')}-py3-none-any.whl")
    content = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{member},sha256={_digest(text)},{len(text)}\n" for member, text in content.items()]
    content[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in content.items():
            archive.writestr(member, text)
    return path.as_uri()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
