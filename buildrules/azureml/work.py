"""What every step of a conversion shares: what was asked for, what was found, what came out."""

import os
from dataclasses import dataclass, field

from buildrules.azureml.document import Document, Kind, display, read_document
from buildrules.azureml.neighbourhood import Neighbourhood, matching, text_of
from buildrules.azureml.targets import Target, Targets
from buildrules.document.nodes import Node, parse
from buildrules.document.problems import Problems
from buildrules.errors import LoadError
from buildrules.workspace.root import BUILD_FILE, read_file

__all__ = ["Options", "Work", "either"]


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
    base: str | None = None
    mode: str | None = None
    download_uri: str | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    output: str | None = None


@dataclass(slots=True)
class Work:
    """One conversion under way. `documents` are those the user gave, `named` the absolute paths of those among them
    that were not just in a directory; `top` is the workspace's root, if there is one.

    `notes` go to the user, `files` and `directories` (absolute) are what the outcome depends on, `looked_at` absolute
    paths of which only matters whether a file, a folder or nothing is there. `nameless` are targets of models that no
    file gives a name, `failed` the errors of files that were found in a directory, `left` files that were taken for
    ones of Azure ML there, and are none.
    """

    options: Options
    documents: list[Document]
    top: str | None
    named: frozenset[str] = frozenset()
    problems: Problems = field(default_factory=Problems)
    targets: Targets = field(default_factory=Targets)
    notes: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)
    looked_at: set[str] = field(default_factory=set)
    failed: dict[str, list[LoadError]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    nameless: list[Target] = field(default_factory=list)
    _near: dict[str, Neighbourhood] = field(default_factory=dict)

    def given(self, kind: Kind) -> list[Document]:
        """The named documents of a kind."""
        return [document for document in self.documents if document.kind is kind]

    def near(self, directory: str) -> Neighbourhood:
        """What lies around a directory."""
        found = self._near.get(directory)
        if found is None:
            found = self._near[directory] = Neighbourhood(directory, self.top, self.documents)
        return found

    def read(self, path: str) -> Document | None:
        """One more file."""
        self.files.add(path)
        return read_document(path, self.problems)

    @property
    def around(self) -> str:
        """The absolute directory that holds what the user named: the workspace, where there is one."""
        if self.top is not None:
            return self.top
        places = [path if os.path.isdir(path) else os.path.dirname(path) for path in self.named]
        return os.path.commonpath(places)

    def default_registry(self) -> str | None:
        """The registry that the workspace around the files sets for images that name none."""
        if self.top is None:
            return None
        path = os.path.join(self.top, BUILD_FILE)
        self.files.add(path)
        node = parse(display(path), read_file(path), Problems())  # whoever loads the workspace says what is wrong
        for name in ("workspace", "default_registry"):
            node = node.entries.get(name) if node is not None else None
        return node.text if node is not None and node.text else None

    def match(self, documents: list[Document], name: str, version: str | None) -> Document | None:
        """The document of this name and version, as `matching` finds it; others that say something else are noted."""
        found = matching(documents, name, version)
        if found is None:
            return None
        said = text_of(found.node, "version")
        for other in documents:
            same = text_of(other.node, "name") == name and text_of(other.node, "version") == said
            if same and other.path != found.path and read_file(other.path) != read_file(found.path):
                asked = f"{name}:{said}" if said else name
                self.note(f"{asked}: took {found.shown}; {other.shown} has that name too, and says something else")
        return found

    def is_file(self, path: str) -> bool:
        """Whether a file is at an absolute path, where its coming or going changes the outcome."""
        self.looked_at.add(path)
        return os.path.isfile(path)

    def note(self, text: str) -> None:
        """Something to tell the user, once."""
        if text not in self.notes:
            self.notes.append(text)

    def fail(self, node: Node, message: str, hint: str | None = None) -> None:
        """Note an error at a place of a file."""
        self.problems.add_error(node.error(message, hint))

    def watched(self) -> set[str]:
        """Absolute paths of all files and directories the outcome depends on."""
        found = self.files | self.directories | {document.path for document in self.documents}
        for near in self._near.values():
            found |= near.directories | near.files
        return {path for path in found if os.path.lexists(path)}


def either(first: str | None, second: str) -> str:
    """Two ways out in one hint."""
    if not first:
        return second
    return f"{first} or {second}" if first.endswith("?") else f"{first}; or {second}"
