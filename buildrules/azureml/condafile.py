"""What a conda file says that decides about the base; and one written in place, as requirements."""

import os
import re
from dataclasses import dataclass

from buildrules.document.nodes import Node, parse
from buildrules.document.problems import Problems
from buildrules.errors import LoadError
from buildrules.locking.python.conda import SETUPTOOLS, conda_spec, is_ignored, wheel_name
from buildrules.locking.python.requirement import repair
from buildrules.workspace.root import read_file

__all__ = [
    "Pin",
    "conda_name",
    "conda_requirements",
    "conda_variables",
    "foreign_packages",
    "nearest_conda",
    "python_pin",
    "read_conda_node",
    "server_pin",
]

_SERVER = re.compile(r"azureml[-_]inference[-_]server[-_]http\s*([=<>~!][^;#]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pin:
    """The Python that is asked for: a specifier (PEP 440) and where it stands."""

    specifier: str
    node: Node


def read_conda_node(path: str, shown: str) -> Node | None:
    """The map of a conda file; None where it cannot be read: whoever resolves it says so."""
    try:
        node = parse(shown, read_file(path), Problems(), aliases=True)
    except (OSError, LoadError):
        return None
    return node if node is not None and node.kind == "map" else None


def conda_name(node: Node | None) -> str | None:
    """The environment's own name."""
    name = node.entries.get("name") if node is not None else None
    return name.text if name is not None and name.kind == "scalar" and name.text else None


def _dependencies(node: Node | None) -> list[Node]:
    found = node.entries.get("dependencies") if node is not None else None
    return found.items if found is not None and found.kind == "list" else []


def python_pin(node: Node | None) -> Pin | None:
    """The Python among a conda file's dependencies, or in an MLflow python_env.yaml (`python: 3.11.9`)."""
    for item in _dependencies(node):
        name, specifier = _sound(item)
        if name == "python":
            return Pin(specifier, item) if specifier else None
    said = node.entries.get("python") if node is not None else None
    if said is not None and said.kind == "scalar" and re.fullmatch(r"3(\.\d+)+", said.text):
        return Pin(f"=={said.text}" if said.text.count(".") > 1 else f"=={said.text}.*", said)
    return None


def server_pin(node: Node | None) -> str | None:
    """The version of the inference server that the environment pins by itself, as a specifier."""
    for item in _dependencies(node):
        inner = item.entries.get("pip") if item.kind == "map" else None
        for line in inner.items if inner is not None and inner.kind == "list" else [item]:
            match = _SERVER.match(line.text.strip()) if line.kind == "scalar" else None
            if match:
                text = match[1].strip()
                return re.sub(r"^=(?!=)", "==", text)
    return None


def conda_requirements(node: Node, problems: Problems) -> tuple[list[str], list[str]]:
    """A conda file written in place as requirements of wheels, and comments on what was left out."""
    requirements: list[str] = []
    comments: list[str] = []
    if not _dependencies(node):
        problems.add_error(node.error("'dependencies' of a conda file must be a list"))
    for item in _dependencies(node):
        if item.kind == "scalar":
            _package(item, requirements, comments, problems)
        elif item.kind == "map" and set(item.entries) == {"pip"}:
            for line in item.entries["pip"].items:
                _pip(line, requirements, comments, problems)
        else:
            problems.add_error(item.error("a dependency must be a package or a list under 'pip'"))
    if any(_sound(item)[0] == "pip" for item in _dependencies(node)) and "setuptools" not in map(_name, requirements):
        requirements.append(SETUPTOOLS)
    return requirements, comments


def _name(requirement: str) -> str:
    """The normalised name of a requirement of ours."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return canonicalize_name(Requirement(requirement).name)


def conda_variables(node: Node | None) -> dict[str, str]:
    """The variables that a conda file sets where its environment is active."""
    found = node.entries.get("variables") if node is not None else None
    if found is None or found.kind != "map":
        return {}
    sound = {name: value for name, value in found.entries.items() if value.kind == "scalar" and not value.is_null}
    return {name: value.text for name, value in sound.items() if name and "\0" not in name + value.text}


def foreign_packages(node: Node | None) -> list[str]:
    """Names of the conda packages of a file that are no Python packages, as `exclude` wants them."""
    found = []
    for item in _dependencies(node):
        name, _ = _sound(item)
        if name not in ("", "python") and not is_ignored(name) and wheel_name(name) is None:
            found.append(name)
    return sorted(set(found))


def _sound(item: Node) -> tuple[str, str]:
    """Name and specifier of a conda package; empty where it is none, which whoever resolves it says."""
    try:
        return (conda_spec(item.text.strip()) if item.kind == "scalar" else None) or ("", "")
    except ValueError:
        return "", ""


def _package(item: Node, requirements: list[str], comments: list[str], problems: Problems) -> None:
    try:
        spec = conda_spec(item.text.strip())
    except ValueError as error:
        problems.add_error(item.error(f"conda package '{item.text}' {error}"))
        return
    if spec is None:
        problems.add_error(item.error(f"'{item.text}' is not a conda package"))
        return
    name, specifier = spec
    if name == "python" or is_ignored(name):
        return
    wheel = wheel_name(name)
    if wheel is None:
        comments.append(f"conda package '{name}' left out: it is no Python package")
        return
    requirements.append(wheel + specifier)


def _pip(item: Node, requirements: list[str], comments: list[str], problems: Problems) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    if item.kind != "scalar":
        problems.add_error(item.error("'pip' must hold a list of requirements"))
        return
    text = re.split(r"\s+#", item.text.strip())[0]
    if text.startswith("-"):
        option = text.split()[0].split("=")[0]
        if option in ("-r", "--requirement", "-e", "--editable", "-c", "--constraint"):
            problems.add_error(item.error(f"'{option}' names a file, and a conda file in place has none beside it"))
        else:
            comments.append(f"pip option {option} left out: declare the feed under workspace.connections")
        return
    try:
        requirements.append(str(Requirement(text)))
    except InvalidRequirement as error:
        problems.add_error(
            item.error(f"'{text}' is not a requirement: {str(error).splitlines()[0].lower()}", repair(text))
        )


def nearest_conda(directory: str) -> str | None:
    """A conda file in a directory or in a folder named environment or env of it."""
    for folder in ("", "environment", "env", "environments"):
        for name in ("conda.yaml", "conda.yml", "environment.yaml", "environment.yml"):
            path = os.path.join(directory, folder, name)
            if os.path.isfile(path):
                return path
    return None
