"""What conda files and the files of MLflow models say that decides about an environment and its base."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from buildrules.actions.models.mlflow_files import ModelFiles, read_model_files
from buildrules.authoring.paths import display
from buildrules.azureml.document import text_of
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, Position
from buildrules.locking.python.conda import SETUPTOOLS, conda_spec, is_ignored, wheel_name
from buildrules.locking.python.mlflow import conda_differs, python_of
from buildrules.locking.python.requirement import repair
from buildrules.workspace.disk import Disk

__all__ = [
    "Pin", "conda_files", "conda_requirements", "conda_that_counts", "conda_variables", "foreign_packages",
    "mlflow_python", "pinned_python", "pinned_server", "read_conda",
]  # fmt: skip

_SERVER = re.compile(r"azureml[-_]inference[-_]server[-_]http\s*([=<>~!][^;#]*)", re.IGNORECASE)
_FILES = ("-r", "--requirement", "-e", "--editable", "-c", "--constraint")


@dataclass(frozen=True, slots=True)
class Pin:
    """The Python that is asked for: a specifier (PEP 440), the text that asks for it, and where it stands."""

    specifier: str
    text: str
    position: Position


def read_conda(disk: Disk, path: str) -> Node | None:
    """The map of the conda file at an absolute path; None where it cannot be read: whoever resolves it says so."""
    try:
        node = parse(display(path), disk.read(path), Problems(), aliases=True)
    except (OSError, LoadError):
        return None
    return node if node is not None and node.kind == "map" else None


def conda_files(directory: str) -> list[str]:
    """Conda files in a directory and the folders of it, by their usual names: up to four, relative to it."""
    names = ("conda.yaml", "conda.yml", "environment.yaml", "environment.yml")
    places = [directory]
    try:
        places += [entry.path for entry in os.scandir(directory) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []
    found = [os.path.join(place, name) for place in sorted(places) for name in names]
    return [os.path.relpath(path, directory) for path in found if os.path.isfile(path)][:4]


def _dependencies(node: Node | None) -> Sequence[Node]:
    found = node.entries.get("dependencies") if node is not None else None
    return found.items if found is not None and found.kind == "list" else []


def _package(item: Node) -> tuple[str, str]:
    """Name and specifier of a conda package; empty where it is none, which whoever resolves it says."""
    try:
        return (conda_spec(item.text.strip()) if item.kind == "scalar" else None) or ("", "")
    except ValueError:
        return "", ""


def pinned_python(node: Node | None) -> Pin | None:
    """The Python among a conda file's dependencies."""
    found = next(((item, said[1]) for item in _dependencies(node) if (said := _package(item))[0] == "python"), None)
    return Pin(found[1], found[0].text.strip(), found[0].position) if found is not None and found[1] else None


def pinned_server(node: Node | None) -> str | None:
    """The version of the inference server that the environment pins by itself, as a specifier."""
    for item in _dependencies(node):
        inner = item.entries.get("pip") if item.kind == "map" else None
        for line in inner.items if inner is not None else [item]:
            match = _SERVER.match(line.text.strip()) if line.kind == "scalar" else None
            if match:
                return re.sub(r"^=(?!=)", "==", match[1].strip())
    return None


def conda_variables(node: Node | None) -> dict[str, str]:
    """The variables that a conda file sets where its environment is active."""
    found = node.entries.get("variables") if node is not None else None
    if found is None:
        return {}
    sound = {name: said for name in found.entries if name and (said := text_of(found, name)) is not None}
    return {name: said for name, said in sound.items() if "\0" not in name + said}


def foreign_packages(node: Node | None) -> list[str]:
    """Names of the conda packages of a file that are no Python packages, as `exclude` wants them."""
    names = {_package(item)[0] for item in _dependencies(node)} - {"", "python"}
    return sorted(name for name in names if not is_ignored(name) and wheel_name(name) is None)


def conda_requirements(node: Node, problems: Problems) -> tuple[list[str], list[str]]:
    """A conda file written in place as requirements of wheels, and comments on what was left out."""
    found: list[str] = []
    comments: list[str] = []
    if not _dependencies(node):
        problems.add_error(node.error("'dependencies' of a conda file must be a list"))
    for item in _dependencies(node):
        lines = item.entries["pip"].items if item.kind == "map" and set(item.entries) == {"pip"} else None
        for one in [item] if lines is None else lines:
            try:
                said = _wheel(one, comments) if lines is None else _line(one, comments)
            except LoadError as error:
                problems.add_error(error)
            else:
                found += said
    pip = any(_package(item)[0] == "pip" for item in _dependencies(node))
    return found + ([SETUPTOOLS] if pip and "setuptools" not in map(_name, found) else []), comments


def _name(requirement: str) -> str:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return canonicalize_name(Requirement(requirement).name)


def _wheel(item: Node, comments: list[str]) -> list[str]:
    """The requirement for a conda package, if there is one."""
    if item.kind != "scalar":
        raise item.error("a dependency must be a package or a list under 'pip'")
    try:
        spec = conda_spec(item.text.strip())
    except ValueError as error:
        raise item.error(f"conda package '{item.text}' {error}") from None
    if spec is None:
        raise item.error(f"'{item.text}' is not a conda package")
    name, specifier = spec
    if name == "python" or is_ignored(name):
        return []
    wheel = wheel_name(name)
    if wheel is None:
        comments.append(f"conda package '{name}' left out: it is no Python package")
        return []
    return [wheel + specifier]


def _line(item: Node, comments: list[str]) -> list[str]:
    """The requirement of a line for pip, if it is one."""
    from packaging.requirements import InvalidRequirement, Requirement

    if item.kind != "scalar":
        raise item.error("'pip' must hold a list of requirements")
    text = re.split(r"\s+#", item.text.strip())[0]
    if text.startswith("-"):
        option = text.split()[0].split("=")[0]
        if option in _FILES:
            raise item.error(f"'{option}' names a file, and a conda file in place has none beside it")
        comments.append(f"pip option {option} left out: declare the feed under workspace.connections")
        return []
    try:
        return [str(Requirement(text))]
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0].lower()
        raise item.error(f"'{text}' is not a requirement: {reason}", repair(text)) from None


def conda_that_counts(disk: Disk, folder: str) -> str | None:
    """The absolute path of a model's conda file, where it and requirements.txt ask for different versions of a package
    and it holds MLflow: Azure ML makes the environment from it, MLflow from requirements.txt. Else None.

    Source: learn.microsoft.com, "Deploy MLflow models to online endpoints".
    """
    files = _model_files(disk, folder)
    name = conda_differs(files) if files is not None else None
    return os.path.join(folder, name) if name is not None else None


def mlflow_python(disk: Disk, folder: str) -> Pin | None:
    """The Python an MLflow model was saved with."""
    files = _model_files(disk, folder)
    said = python_of(files) if files is not None else None
    if said is None:
        return None
    return Pin(f"=={said.text}" if said.text.count(".") > 1 else f"=={said.text}.*", said.text, said.position)


def _model_files(disk: Disk, folder: str) -> ModelFiles | None:
    def read(name: str) -> bytes | None:
        try:
            return disk.read(os.path.join(folder, name))
        except OSError:
            return None

    try:
        return read_model_files(display(folder), read)
    except LoadError:  # which whoever locks the model says
        return None
