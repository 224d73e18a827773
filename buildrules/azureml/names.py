"""Names of targets that locks are called after: two of one name, from files nearby, would take turns in one lock."""

import os
import re
from collections.abc import Iterator
from typing import Any

from buildrules.azureml.conda import read_conda
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.document import Kind, text_of
from buildrules.azureml.environment import Environment
from buildrules.document.problems import Problems
from buildrules.locking.python.conda_file import CondaFile

_MOST = 32  # conda files of a folder whose names are compared


def environment_name(conversion: Conversion, environment: Environment, conda: CondaFile, fallback: str) -> str:
    """What the target of an environment with the conda file `conda` is called: its own name, and its version or its
    file as well where another nearby has the same and says something else.
    """
    name, file = environment.name or text_of(conda.root, "name"), environment.conda_file
    if name is None or file is None:
        return f"{fallback}-env"
    path, said = file.path or os.path.abspath(environment.node.source.path), conda.said
    others = [
        (version, where)
        for other, version, where, says in _environments(conversion, environment.directory, os.path.dirname(path))
        if other == name and says != said
    ]
    versions = {version for version, _ in others}
    if not others or (environment.version and versions == {None}):
        return name
    if environment.version and environment.version not in versions:
        return f"{name}-{environment.version}"
    short = _mark(os.path.basename(path))
    alone = short not in {_mark(os.path.basename(where)) for _, where in others}
    return f"{name}-{short if alone else _mark(os.path.relpath(path, conversion.around))}"


def _mark(path: str) -> str:
    """A path as a part of a name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", re.sub(r"\.ya?ml$", "", path)).strip("-")


def _environments(
    conversion: Conversion, directory: str, folder: str
) -> Iterator[tuple[str | None, str | None, str, Any]]:
    """Environments near `directory` and conda files in `folder`: name, version, the path of the conda file or of the
    file that it is written in, and what it says.
    """
    near = conversion.near(directory)
    for kind in (Kind.ENVIRONMENT, Kind.ONLINE, Kind.BATCH):
        for document in near.documents(kind):
            node = document.node if kind is Kind.ENVIRONMENT else document.node.entries.get("environment")
            given = Environment(node, Problems()) if node is not None and node.kind == "map" else None
            if given is not None and (file := given.conda_file) is not None:
                conda = CondaFile(file.content) if file.path is None else read_conda(conversion.disk, file.path)
                yield given.name or text_of(conda.root, "name"), given.version, file.path or document.path, conda.said
    for name in [one for one in conversion.disk.names(folder) if one.endswith((".yml", ".yaml"))][:_MOST]:
        conda = read_conda(conversion.disk, os.path.join(folder, name))
        if conda.root is not None and "dependencies" in conda.root.entries:
            yield text_of(conda.root, "name"), None, os.path.join(folder, name), conda.said
