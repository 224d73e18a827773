"""What a conda file asks for, for the solver that knows conda's packages.

Format: docs.conda.io, "Managing environments", "Creating an environment file manually". Specs are left as they are
(MatchSpec): only the solver knows what they mean. The pip list goes to the requirements of the environment.
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from buildrules.credentials.redact import redact
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, Position
from buildrules.locking.python.collector import Collector
from buildrules.locking.python.formats import CONDA
from buildrules.workspace.suggest import nearest

DEFAULT_CHANNEL = "conda-forge"
ANACONDA = "https://conda.anaconda.org/"
PYTHON_HINT = "add a Python to its dependencies, such as python=3.12"
_MOST = 20_000  # values of a file
_NAME = re.compile(r"(?:[^\s\[]*::)?([A-Za-z0-9_.-]+)")
_CHANNEL = re.compile(  # CHANNEL::name, CHANNEL/SUBDIR::name and name[channel=CHANNEL]
    r"^(?P<before>[^\s\[]+?)(?:/(?:noarch|(?:linux|osx|win)-[a-z0-9]+))?::"
    r"|(?<=[\[,\s])channel\s*=\s*(?P<quote>['\"]?)(?P<inside>[^'\"\s,\]]+)(?P=quote)"
)
_ALIKE = 0.75  # of two keys, one of which is a slip of the other


class Asked(NamedTuple):
    """One text of a conda file, and where it stands."""

    text: str
    position: Position

    @property
    def name(self) -> str:
        """The name of the package, in lower case, of a text that is a spec."""
        match = _NAME.match(self.text)
        return match[1].lower() if match else self.text

    @property
    def channel(self) -> "Asked | None":
        """The channel that a spec wants its package from."""
        match = _CHANNEL.search(self.text)
        return Asked(match["before"] or match["inside"], self.position) if match else None

    def taken_from(self, url: str) -> str:
        """The text of a spec that names a channel, with the address of it."""
        match = _CHANNEL.search(self.text)
        assert match is not None
        group = "before" if match["before"] else "inside"
        return self.text[: match.start(group)] + url + self.text[match.end(group) :]


class CondaAsked(NamedTuple):
    """The specs and the channels of a file; its pip list went to the collector."""

    specs: Sequence[Asked]
    channels: Sequence[Asked]


def read_file(collector: Collector, path: str, position: Position | None) -> CondaAsked:
    """Read the conda file `path` (workspace-relative), named at `position`. Raises LoadError for what is wrong."""
    text = collector.open(path, position)
    if text is None or collector.is_mistaken(path, text, "conda_file", position):
        raise collector.errors[-1]
    problems = Problems()
    root = parse(path, text.encode(), problems, aliases=True, most=_MOST)
    problems.raise_all()
    for key, node in root.keys.items() if root is not None else ():
        meant = nearest(key, CONDA, cutoff=_ALIKE)
        if root is not None and key not in CONDA and meant is not None and meant not in root.entries:
            raise node.error(f"{key!r} is not a key of a conda file", hint=f"did you mean '{meant}'?")
    if root is None or root.kind != "map" or "dependencies" not in root.entries:
        raise LoadError(f"{path!r} is not a conda file: it has no 'dependencies'", position=Position(path, 1))
    for key, node in root.keys.items():
        if key not in CONDA:
            collector.found.notes.append(f"{node.position}: {key!r} is not a key of a conda file, and not read")
        elif key == "variables":
            way = "packages set them, by `environment`"
            collector.found.notes.append(f"{node.position}: variables are no part of an environment: {way}")
    specs: list[Asked] = []
    for node in _items(root.entries["dependencies"], "dependencies"):
        if node.kind == "map" and node.entries.keys() == {"pip"}:
            for line in _items(node.entries["pip"], "pip"):
                collector.line(line.string(), os.path.dirname(path), line.position)
        else:
            specs.append(Asked(node.string("a package").strip(), node.position))
    if not specs:
        raise root.keys["dependencies"].error("the conda file asks for no conda package", hint=PYTHON_HINT)
    channels = root.entries.get("channels")
    listed = _items(channels, "channels") if channels is not None else []
    return CondaAsked(specs, [Asked(node.string("a channel").strip(), node.position) for node in listed])


def channel_url(asked: Asked, root: str, folder: str, connections: dict[str, str]) -> str | None:
    """The address of a channel; None for one that means nothing. `connections` are those to channels: name -> address.

    A name is that of a connection, or of a channel at anaconda.org; a path starts at `folder` and stays in the
    workspace `root`. Raises LoadError.
    """
    from pathlib import Path

    from buildrules.locking.python.requirement import inside_workspace

    text = asked.text.rstrip("/")
    if text in connections:
        return connections[text].rstrip("/")
    if text == "nodefaults":
        return None
    if text == "defaults":
        raise LoadError(
            "the channel 'defaults' stands for Anaconda's own, which not everybody may use",
            hint="name them by address where you may, https://repo.anaconda.com/pkgs/main; or others in `channels` of"
            " the target, such as conda-forge",
            position=asked.position,
        )
    if text.startswith(("https://", "http://", "file://")):
        if redact(text) != text or "/t/" in text:
            raise LoadError(
                "the address of a channel holds a credential",
                hint="take it out, and give it by a connection of type conda_channel",
                position=Position(asked.position.path, asked.position.line, asked.position.column),  # without the line
            )
        return text
    if text.startswith((".", "/")):
        found = inside_workspace(root, os.path.join(root, folder, text))
        if found is None:
            raise LoadError(
                f"the channel {text!r} lies outside of the workspace",
                hint="name it as file://",
                position=asked.position,
            )
        return Path(root, found).as_uri()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./-]*", text):
        raise LoadError(f"{text!r} is not a channel", position=asked.position)
    return ANACONDA + text


def _items(node: Node, key: str) -> Sequence[Node]:
    if node.is_null:
        return []
    if node.kind != "list":
        raise node.error(f"'{key}' of a conda file must be a list")
    return node.items
