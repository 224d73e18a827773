"""What conda files and the files of MLflow models say that decides about an environment and its base."""

import os
import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from buildrules.actions.models.mlflow_files import ModelFiles, read_model_files
from buildrules.authoring.paths import display
from buildrules.azureml.document import text_of
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError
from buildrules.locking.python.collector import PythonPin
from buildrules.locking.python.conda import wheel_name
from buildrules.locking.python.conda_file import SETUPTOOLS, CondaFile
from buildrules.locking.python.mlflow import python_of
from buildrules.rules.repair import repair
from buildrules.rules.repository import repository_error
from buildrules.workspace.disk import Disk

_SERVER = re.compile(r"azureml[-_]inference[-_]server[-_]http\s*([=<>~!][^;#]*)", re.IGNORECASE)
_FILES = ("-r", "--requirement", "-e", "--editable", "-c", "--constraint")


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


def read_conda(disk: Disk, path: str) -> CondaFile:
    """The conda file at an absolute path. What is wrong with it is said by whoever resolves it."""
    try:
        node = parse(display(path), disk.read(path), Problems(), aliases=True)
    except (OSError, LoadError):
        node = None
    return CondaFile(node)


def server_pin(conda: CondaFile) -> str | None:
    """The version of the inference server that the environment pins by itself, as a specifier."""
    found = next((match for one in conda.packages if (match := _SERVER.match(one.node.text.strip()))), None)
    return re.sub(r"^=(?!=)", "==", found[1].strip()) if found is not None else None


def variables_of(conda: CondaFile) -> dict[str, str]:
    """The variables that are set where the environment is active."""
    found = conda.root.entries.get("variables") if conda.root is not None else None
    given = {name: text_of(found, name) for name in found.entries} if found is not None else {}
    return {name: said for name, said in given.items() if name and said is not None and "\0" not in name + said}


def requirements_of(conda: CondaFile, problems: Problems) -> tuple[list[str], list[str]]:
    """The dependencies as requirements of wheels, and comments on what was left out."""
    for error in conda.errors:
        problems.add_error(error)
    found: list[str] = []
    comments: list[str] = []
    for node, name, specifier in conda.packages:
        if not name:
            try:
                found += _line(node, comments)
            except LoadError as error:
                problems.add_error(error)
        elif (wheel := wheel_name(name)) is not None:
            found.append(wheel + specifier)
        else:
            comments.append(f"conda package '{name}' left out: it is not a Python package")
    if conda.pip is not None and "setuptools" not in {canonicalize_name(Requirement(text).name) for text in found}:
        found.append(SETUPTOOLS)
    return found, comments


def _line(line: Node, comments: list[str]) -> list[str]:
    """The requirement of a line for pip, if it is one."""
    text = re.split(r"\s+#", line.text.strip())[0]
    if text.startswith("-"):
        option = text.split()[0].split("=")[0]
        if option in _FILES:
            raise line.error(f"'{option}' names a file, and a conda file in place has none beside it")
        comments.append(f"pip option {option} left out: declare the feed under workspace.connections")
        return []
    if (refused := repository_error(text, None)) is not None:
        raise line.error(refused.message, refused.hint)
    try:
        return [str(Requirement(text))]
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0].lower()
        raise line.error(f"'{text}' is not a requirement: {reason}", repair(text)) from None


def mlflow_python(files: ModelFiles) -> PythonPin | None:
    """The Python an MLflow model was saved with."""
    said = python_of(files)
    if said is None:
        return None
    return PythonPin(f"=={said.text}" if said.text.count(".") > 1 else f"=={said.text}.*", said.text, said.position)


def model_files(disk: Disk, folder: str) -> ModelFiles | None:
    """The files of the MLflow model in a folder that say what it needs; None where one cannot be read, which whoever
    locks the model says.
    """

    def read(name: str) -> bytes | None:
        try:
            return disk.read(os.path.join(folder, name))
        except OSError:
            return None

    try:
        return read_model_files(display(folder), read)
    except LoadError:
        return None
