"""What conda files and the files of MLflow models say that decides about an environment and its base."""

import os
import re
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

__all__ = ["CondaFile", "Pin", "conda_files", "conda_that_counts", "mlflow_python", "read_conda"]

_SERVER = re.compile(r"azureml[-_]inference[-_]server[-_]http\s*([=<>~!][^;#]*)", re.IGNORECASE)
_FILES = ("-r", "--requirement", "-e", "--editable", "-c", "--constraint")


@dataclass(frozen=True, slots=True)
class Pin:
    """The Python that is asked for: a specifier (PEP 440), the text that asks for it, and where it stands."""

    specifier: str
    text: str
    position: Position


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


class CondaFile:
    """What a conda file says. `root` is its map; None where it cannot be read, which whoever resolves it says."""

    def __init__(self, root: Node | None) -> None:
        self.root = root if root is not None and root.kind == "map" else None
        found = self.root.entries.get("dependencies") if self.root is not None else None
        self._items = found.items if found is not None and found.kind == "list" else []
        self._packages = [(item, *said) for item in self._items if (said := _package(item)) is not None]

    def has(self, *keys: str) -> bool:
        """Whether one of the keys is there."""
        return self.root is not None and not self.root.entries.keys().isdisjoint(keys)

    def text(self, key: str) -> str | None:
        """The text of a key."""
        return text_of(self.root, key) if self.root is not None else None

    @property
    def python(self) -> Pin | None:
        """The Python among the dependencies."""
        pins = (Pin(said, item.text.strip(), item.position) for item, name, said in self._packages if name == "python")
        return next((pin for pin in pins if pin.specifier), None)

    @property
    def server(self) -> str | None:
        """The version of the inference server that the environment pins by itself, as a specifier."""
        lines = [
            line for item in self._items for line in (item.entries["pip"].items if "pip" in item.entries else [item])
        ]
        found = next((match for line in lines if (match := _SERVER.match(line.text.strip()))), None)
        return re.sub(r"^=(?!=)", "==", found[1].strip()) if found is not None else None

    @property
    def variables(self) -> dict[str, str]:
        """The variables that are set where the environment is active."""
        found = self.root.entries.get("variables") if self.root is not None else None
        given = {name: text_of(found, name) for name in found.entries} if found is not None else {}
        return {name: said for name, said in given.items() if name and said is not None and "\0" not in name + said}

    @property
    def foreign(self) -> list[str]:
        """Names of the conda packages that are no Python packages, as `exclude` wants them."""
        names = {name for _, name, _ in self._packages} - {"python"}
        return sorted(name for name in names if not is_ignored(name) and wheel_name(name) is None)

    def requirements(self, problems: Problems) -> tuple[list[str], list[str]]:
        """The dependencies as requirements of wheels, and comments on what was left out."""
        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name

        found: list[str] = []
        comments: list[str] = []
        if not self._items and self.root is not None:
            problems.add_error(self.root.error("'dependencies' of a conda file must be a list"))
        for item in self._items:
            pip = item.kind == "map" and set(item.entries) == {"pip"}
            for one in item.entries["pip"].items if pip else [item]:
                try:
                    found += _line(one, comments) if pip else _wheel(one, comments)
                except LoadError as error:
                    problems.add_error(error)
        names = {canonicalize_name(Requirement(text).name) for text in found}
        if any(name == "pip" for _, name, _ in self._packages) and "setuptools" not in names:
            found.append(SETUPTOOLS)
        return found, comments


def read_conda(disk: Disk, path: str) -> CondaFile:
    """The conda file at an absolute path."""
    try:
        node = parse(display(path), disk.read(path), Problems(), aliases=True)
    except (OSError, LoadError):
        node = None
    return CondaFile(node)


def _package(item: Node) -> tuple[str, str] | None:
    """Name and specifier of a conda package; None where it is none, which whoever resolves it says."""
    try:
        return conda_spec(item.text.strip()) if item.kind == "scalar" else None
    except ValueError:
        return None


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
