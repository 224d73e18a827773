"""Environments: an image, and a conda file on top of it, or a Dockerfile."""

import copy
import os
import re

from buildrules.azureml.conda import conda_files
from buildrules.azureml.specification import READ_ONLY, Route, Routes
from buildrules.azureml.table import Key, LeftOut, Map, Table, Value, anything
from buildrules.azureml.values import choice, text, texts
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError

__all__ = ["Environment", "read_environment"]

_ALL = "all three: liveness_route, readiness_route, scoring_route"


class _Build(Map):
    """`build`."""

    path = Key(text, "context_uri")
    others = LeftOut("", "dockerfile_path", "target")


class _Inference(Routes):
    """`inference_config`."""

    liveness_route = Key(Table(Route), needs=_ALL)
    readiness_route = Key(Table(Route), needs=_ALL)
    scoring_route = Key(Table(Route), needs=_ALL)


def _linux(value: Value) -> str:
    found = choice("linux", "windows")(value)
    if found == "windows":
        raise value.node.error(f"os_type '{found}': images here are for Linux")
    return found


class Environment(Map):
    """An environment, written in place or in a file of its own.

    `conda_path` is the absolute path of a conda file, `conda` the content of one written in place.
    """

    what = "an environment"
    schema = LeftOut("", "$schema")
    name = Key(text)
    version = Key(text)
    image = Key(text)
    build = Key(Table(_Build), "dockerfile")
    conda_file = Key(anything)
    inference_config = Key(Table(_Inference))
    os_type = Key(_linux)
    tags = Key(texts)
    description = Key(text)
    notes = LeftOut("", "datastore", "properties", "auto_rebuild", "environment_type", "stage")
    read_only = READ_ONLY

    conda_path: str | None = None
    conda: Node | None = None

    @classmethod
    def of_conda_file(cls, path: str, node: Node) -> "Environment":
        """An environment that is the conda file at an absolute path, read as `node`, and nothing else."""
        bare = copy.copy(node)
        bare.entries, bare.keys = {}, {}
        found = cls(bare, Problems())
        found.values["conda_file"], found.conda_path = node, path
        return found


class EnvironmentFile(Environment):
    """An environment of its own file."""

    name = Key(text, needs="")


def read_environment(node: Node, directory: str, problems: Problems, *, named: bool) -> Environment | None:
    """An environment, of its own file (`named`: it needs a name) or written in place. Paths start at `directory`."""
    for key in ("channels", "dependencies"):
        if key in node.entries:
            hint = f"'{key}' stands in a conda file; name that as conda_file"
            problems.add_error(node.keys[key].error(f"an environment has no '{key}'", hint))
            return None
    found = (EnvironmentFile if named else Environment)(node, problems)
    if "build" in found and found.image is not None:
        problems.add_error(found.key_at("build").error("an environment has an image or a build, not both"))
    if found.conda_file is not None:
        try:
            _conda(found, found.conda_file, directory)
        except LoadError as error:
            problems.add_error(error)
    if found.image is None and found.build is None and found.conda_file is None:
        problems.add_error(node.error("the environment has neither image nor build nor conda_file", "name one of them"))
        return None
    return found


def _conda(found: Environment, node: Node, directory: str) -> None:
    if node.kind == "map":
        found.conda = node
        return
    said = text(Value(node, "conda_file", found.problems))
    if "\n" in said or re.match(r"\{|.*\bdependencies\b[\"']?\s*:", said):  # REST carries the content as one text
        found.conda = _embedded(node, said, found.problems)
        return
    found.conda_path = os.path.normpath(os.path.join(directory, said.removeprefix("file:")))
    if not os.path.isfile(found.conda_path):
        there = conda_files(directory)
        hint = f"there is {', '.join(there)}" if there else "the path starts at the directory of this file"
        raise node.error(f"there is no conda file '{said}'", hint)


def _embedded(node: Node, said: str, problems: Problems) -> Node | None:
    """The map of a conda file that is the text of `node`, with everything at its place."""
    inside = Problems()
    content = parse(node.source.path, said.encode(), inside, aliases=True)
    for error in inside.errors:
        line = f"line {error.position.line} of " if error.position is not None else ""
        problems.add_error(node.error(f"{line}the conda file in this text: {error.message}", error.hint))
    if content is None or content.kind != "map":
        if not len(inside):
            raise node.error("the conda file in this text holds no map", "write dependencies: [...]")
        return None
    below = [content]
    for one in below:
        one.source, one.line, one.column, one.width = node.source, node.line, node.column, node.width
        below += [*one.items, *one.keys.values(), *one.entries.values()]
    return content
