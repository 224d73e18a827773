"""What the target of an environment is called: its own name, and more where another nearby has the same.

A lock is called after the environment. Two of one name, in files that are built one by one, would take turns in one.
"""

import os

from buildrules.azureml.condafile import conda_name, read_conda_node
from buildrules.azureml.document import Kind, display
from buildrules.azureml.environment import Environment
from buildrules.azureml.neighbourhood import text_of
from buildrules.azureml.work import Work
from buildrules.document.nodes import Node

__all__ = ["environment_name"]

_MOST = 32  # files of a folder that are looked into


def environment_name(work: Work, environment: Environment, conda: Node | None, fallback: str) -> str:
    """The name of an environment with the conda file `conda`; `fallback` is the package's, where it has none."""
    if environment.name is not None:
        version = environment.version
        return f"{environment.name}-{version}" if version and _other_versions(work, environment) else environment.name
    name = conda_name(conda)
    if name is None:
        return f"{fallback}-env"
    path = environment.conda_path
    if path is not None and any(conda_name(read_conda_node(one, display(one))) == name for one in _beside(work, path)):
        return f"{name}-{os.path.splitext(os.path.basename(path))[0]}"
    return name


def _other_versions(work: Work, environment: Environment) -> bool:
    """Whether a file nearby describes another version of the environment."""
    directory = os.path.dirname(environment.node.source.path) or "."
    found = work.near(os.path.abspath(directory)).documents(Kind.ENVIRONMENT)
    versions = {text_of(document.node, "version") for document in found if _named(document.node) == environment.name}
    return bool(versions - {environment.version, None})


def _named(node: Node) -> str | None:
    return text_of(node, "name")


def _beside(work: Work, path: str) -> list[str]:
    """The other YAML files in the folder of a conda file."""
    folder = os.path.dirname(path)
    work.directories.add(folder)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".yml", ".yaml")))
    except OSError:
        return []
    found = [os.path.join(folder, name) for name in names[:_MOST] if name != os.path.basename(path)]
    work.files |= {one for one in found if os.path.isfile(one)}
    return [one for one in found if os.path.isfile(one)]
