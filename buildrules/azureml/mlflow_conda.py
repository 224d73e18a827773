"""The conda file of an MLflow model: Azure ML makes the model's environment from it, MLflow from requirements.txt.

Source: learn.microsoft.com, "Deploy MLflow models to online endpoints": the environment is built "from the conda
dependencies" of the model.
"""

import os
import re

from buildrules.azureml.condafile import conda_requirements, read_conda_node
from buildrules.azureml.document import display
from buildrules.document.problems import Problems
from buildrules.workspace.root import read_file

__all__ = ["conda_that_counts"]

_LONGEST = 4000  # characters of a line: what is longer is no requirement


def conda_that_counts(folder: str) -> str | None:
    """The absolute path of a model's conda file, where it and requirements.txt ask for different versions of a package
    and it holds MLflow; None where the model's files may say what it needs in any order.
    """
    mark = read_conda_node(os.path.join(folder, "MLmodel"), "MLmodel")
    for name in ("flavors", "python_function", "env"):
        mark = mark.entries.get(name) if mark is not None and mark.kind == "map" else None
    if mark is not None and mark.kind == "map":
        mark = mark.entries.get("conda")
    name = mark.text if mark is not None and mark.kind == "scalar" else "conda.yaml"
    path = os.path.join(folder, name)
    node = read_conda_node(path, display(path)) if "/" not in name else None
    try:
        others = _versions(read_file(os.path.join(folder, "requirements.txt")).decode(errors="replace").splitlines())
    except OSError:
        return None
    problems = Problems()
    ours = _versions(conda_requirements(node, problems)[0]) if node is not None else {}
    differ = any(ours[name] != others[name] for name in ours.keys() & others.keys())
    return path if differ and not len(problems) and ours.keys() & {"mlflow", "mlflow-skinny"} else None


def _versions(lines: list[str]) -> dict[str, str]:
    """The specifier each requirement gives, by normalised name; other lines are left out."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    for line in lines:
        if len(line) > _LONGEST:
            continue
        try:
            item = Requirement(re.split(r"\s+#|\s+--hash|\s*\\$", line.strip())[0])
        except InvalidRequirement:
            continue
        found[str(canonicalize_name(item.name))] = str(item.specifier)
    return found
