"""Environments: an image, and a conda file on top of it, or a Dockerfile."""

import copy
import os
import re
from dataclasses import dataclass

from buildrules.azureml.conda import conda_files
from buildrules.azureml.specification import RouteKeys, RoutesKeys
from buildrules.azureml.table import READ_ONLY, Key, LeftOut, Map, Nested, Value, anything
from buildrules.azureml.values import choice, text, texts
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse

_ALL = "all three: liveness_route, readiness_route, scoring_route"


class _Inference(RoutesKeys):
    """`inference_config`."""

    liveness_route = Key(Nested(RouteKeys), needs=_ALL)
    readiness_route = Key(Nested(RouteKeys), needs=_ALL)
    scoring_route = Key(Nested(RouteKeys), needs=_ALL)


def _linux(value: Value) -> str:
    found = choice("linux", "windows")(value)
    if found == "windows":
        raise value.node.error(f"os_type '{found}': images here are for Linux")
    return found


@dataclass(frozen=True, slots=True)
class Conda:
    """A conda file: its absolute path, or its content where that is written in place; and where the file names it."""

    path: str | None
    content: Node | None
    node: Node


def _conda(value: Value) -> Conda:
    node = value.node
    if node.kind == "map":
        return Conda(None, node, node)
    said = text(value)
    if "\n" in said or re.match(r"\{|.*\bdependencies\b[\"']?\s*:", said):  # REST carries the content as one text
        return Conda(None, _embedded(node, said, value.problems), node)
    path = os.path.normpath(os.path.join(value.directory, said.removeprefix("file:")))
    if not os.path.isfile(path):
        there = conda_files(value.directory)
        hint = f"there is {', '.join(there)}" if there else "the path starts at the directory of this file"
        raise node.error(f"there is no conda file '{said}'", hint)
    return Conda(path, None, node)


class Environment(Map):
    """An environment, written in place."""

    what = "an environment"
    schema = LeftOut("", "$schema")
    name = Key(text)
    version = Key(text)
    image = Key(text)
    build = Key(anything, "dockerfile")
    conda_file = Key(_conda)
    inference_config = Key(Nested(_Inference))
    os_type = Key(_linux)
    tags = Key(texts)
    description = Key(text)
    notes = LeftOut("", "datastore", "properties", "auto_rebuild", "auto_delete_setting", "environment_type", "stage")
    read_only = READ_ONLY

    @classmethod
    def of_conda_file(cls, path: str, node: Node) -> "Environment":
        """An environment that is the conda file at an absolute path, read as `node`, and nothing else."""
        bare = copy.copy(node)
        bare.entries, bare.keys = {}, {}
        found = cls(bare, Problems())
        found.values["conda_file"] = Conda(path, None, node)
        return found


class EnvironmentFile(Environment):
    """An environment of its own file."""

    name = Key(text, needs="")


def read_environment(node: Node, problems: Problems, rows: type[Environment] = Environment) -> Environment:
    """An environment written in place, or with `rows` in a file of its own.

    What is wrong is noted in `problems`. Raises LoadError where nothing can be made of it.
    """
    for key in ("channels", "dependencies"):
        if key in node.entries:
            hint = f"'{key}' stands in a conda file; name that as conda_file"
            raise node.keys[key].error(f"an environment has no '{key}'", hint)
    found = rows(node, problems)
    if "build" in found and found.image is not None:
        problems.add_error(found.key_at("build").error("an environment has an image or a build, not both"))
    if not any(name in found for name in ("image", "build", "conda_file")):
        raise node.error("the environment has neither image nor build nor conda_file", "name one of them")
    return found


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
