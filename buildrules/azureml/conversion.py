"""One conversion under way: what was asked for, what was found, what came out."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from buildrules.authoring.paths import display
from buildrules.authoring.target import NewTarget, NewTargets
from buildrules.authoring.text import NewConnection
from buildrules.azureml.document import Document, Kind, read_document, text_of
from buildrules.azureml.nearby import Nearby, matching
from buildrules.azureml.references import Reference
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, UsageError
from buildrules.workspace.disk import Disk
from buildrules.workspace.root import BUILD_FILE
from buildrules.workspace.suggest import did_you_mean

T = TypeVar("T")
_PYTHON = re.compile(r"3\.\d{1,3}(\.\d{1,3})?", re.ASCII)
_ADDRESS = re.compile(r"://|^(models:/|runs:/|azureml:)")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says beside the files. Paths are absolute, or addresses.

    `models` stand in for the model that a file names, `environment` is an environment, conda, requirements or
    pyproject file, `base` a label or an image, `inputs` map asset names to paths, `output` is where BUILD.yaml goes.
    """

    models: tuple[str, ...] = ()
    environment: str | None = None
    code: str | None = None
    python: str | None = None
    solver: str | None = None
    base: str | None = None
    mode: str | None = None
    download_uri: str | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    output: str | None = None

    @property
    def conda(self) -> bool:
        """Whether conda's solver is to take the packages of conda files, and a Python among them."""
        return self.solver == "conda"

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Options":
        """The options of a command line, paths made absolute. Raises UsageError for what means nothing."""
        python = given.get("python")
        if python is not None and not _PYTHON.fullmatch(python):
            raise UsageError(f"--python '{python}' is not a version of Python", hint="write it like --python 3.11")
        inputs = []
        for text in given.get("inputs") or ():
            name, equals, path = str(text).rpartition("=")
            if not equals or not name:
                raise UsageError(f"--input '{text}' is not NAME=PATH", hint="such as --input labels:1=data/labels.json")
            inputs.append((name, path if "://" in path else os.path.abspath(path)))
        models = [str(text) for text in given.get("models") or ()]
        paths = {name: os.path.abspath(given[name]) for name in ("environment", "code", "output") if given.get(name)}
        plain = {name: given.get(name) for name in ("python", "solver", "base", "mode", "download_uri")}
        return cls(
            models=tuple(text if _ADDRESS.search(text) else os.path.abspath(text) for text in models),
            inputs=tuple(inputs),
            **paths,
            **plain,
        )


@dataclass(slots=True)
class Conversion:
    """`named` are the paths the user gave (absolute), `documents` what is in them; `top` is the workspace's root, if
    there is one. What the outcome depends on is recorded by `disk`.

    `packages` are the images to be, `notes` go to the user, `later` as well where no lock is made, which says so too.
    `failed` are the errors of files that were found in a directory and could not be converted, `left` files that were
    taken for ones of Azure ML there, and are none.
    `nameless` are targets of models that no file gives a name.
    """

    options: Options
    named: frozenset[str]
    top: str | None
    disk: Disk
    documents: list[Document] = field(default_factory=list)
    targets: NewTargets = field(default_factory=NewTargets)
    packages: list[NewTarget] = field(default_factory=list)
    connections: list[NewConnection] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)
    failed: dict[str, list[LoadError]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    nameless: list[NewTarget] = field(default_factory=list)
    _near: dict[str, Nearby] = field(default_factory=dict)

    def near(self, directory: str) -> Nearby:
        """What lies around a directory."""
        if directory not in self._near:
            self._near[directory] = Nearby(self.disk, directory, self.top, self.documents)
        return self._near[directory]

    def read(self, path: str) -> Document | None:
        """One more file."""
        return read_document(self.disk, path, self.problems)

    @property
    def around(self) -> str:
        """The absolute directory that holds what the user named: the workspace, where there is one."""
        if self.top is not None:
            return self.top
        return os.path.commonpath([path if os.path.isdir(path) else os.path.dirname(path) for path in self.named])

    @property
    def workspace(self) -> Node | None:
        """The settings of the workspace around the files."""
        if self.top is None:
            return None
        path = os.path.join(self.top, BUILD_FILE)
        node = parse(display(path), self.disk.read(path), Problems())  # whoever loads it says what is wrong
        return node.entries.get("workspace") if node is not None else None

    def has_registry(self, name: str) -> bool:
        """Whether a connection of that name, of the workspace around the files or one beside them, is for images."""
        found: list[tuple[str | None, str | None]] = [(one.name, one.type) for one in self.connections]
        for document in self.documents:
            if document.kind is Kind.CONNECTION:
                found.append((text_of(document.node, "name"), text_of(document.node, "type", "category")))
        workspace = self.workspace
        there = workspace.entries.get("connections") if workspace is not None else None
        for key, node in (there.entries if there is not None and there.kind == "map" else {}).items():
            found.append((key, text_of(node, "type")))
        return any(one == name and kind in ("container_registry", "ContainerRegistry") for one, kind in found)

    def asset(self, directory: str, reference: Reference, *kinds: Kind) -> Document | None:
        """The document near `directory` as `matching` finds it; others that say something else are noted."""
        name = reference.name
        documents = [one for kind in kinds for one in self.near(directory).documents(kind)]
        found = matching(documents, name, reference.version)
        if found is None:
            return None
        said = text_of(found.node, "version")
        for other in documents:
            same = text_of(other.node, "name") == name and text_of(other.node, "version") == said
            if same and other.path != found.path and self.disk.read(other.path) != self.disk.read(found.path):
                asked = f"{name}:{said}" if said else name
                self.note(f"{asked}: took {found.display}; {other.display} has that name too, and says something else")
        return found

    def missing(self, directory: str, reference: Reference, way: str, *kinds: Kind) -> tuple[str, str]:
        """Message and hint where `asset` found none: what may have been meant, or `way`."""
        documents = [one for kind in kinds for one in self.near(directory).documents(kind)]
        names = {said for document in documents if (said := text_of(document.node, "name"))}
        what = kinds[0].value.partition(" ")[2]
        message = f"there is no {what} '{reference.asked}' in the files nearby"
        hint = either(did_you_mean(reference.name, names, what=f"{what}s nearby"), way)
        if broken := self.near(directory).broken(reference.name):
            hint += f"; not read, since it is no YAML: {', '.join(broken[:3])}"
        return message, hint

    def note(self, text: str) -> None:
        """Something to tell the user, once."""
        if text not in self.notes:
            self.notes.append(text)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note a LoadError, and go on behind the block."""
        try:
            yield
        except LoadError as error:
            self.problems.add_error(error)

    def attempt(self, make: Callable[[], T]) -> T | None:
        """What `make` gives; None where it raises a LoadError, which is noted."""
        with self.noting():
            return make()
        return None

    def fail(self, node: Node, message: str, hint: str | None = None) -> None:
        """Note an error at a place of a file."""
        self.problems.add_error(node.error(message, hint))


def either(first: str | None, second: str) -> str:
    """Two ways out in one hint."""
    if not first:
        return second
    return f"{first} or {second}" if first.endswith("?") else f"{first}; or {second}"
