"""Environments: an image, and a conda file on top of it, or a Dockerfile."""

import os
import re
from dataclasses import dataclass, field

from buildrules.azureml.fields import READ_ONLY, Section
from buildrules.azureml.specification import ROUTES, Routes, read_routes
from buildrules.document.nodes import Node, parse
from buildrules.document.problems import Problems

__all__ = ["Environment", "read_environment"]

_NAMES = (
    "$schema", "name", "version", "image", "build", "conda_file", "inference_config", "os_type", "tags", "datastore",
    "description", "properties", "auto_rebuild", "environment_type", "stage",
)  # fmt: skip


@dataclass(slots=True)
class Environment:
    """`conda_path` is the absolute path of a conda file, `conda` the content of one written in place."""

    node: Node
    name: str | None
    version: str | None
    image: str | None = None
    image_node: Node | None = None
    build_node: Node | None = None
    conda_path: str | None = None
    conda_node: Node | None = None
    conda: Node | None = None
    routes: Routes | None = None
    tags: dict[str, str] = field(default_factory=dict)
    description: str | None = None


def read_environment(node: Node, directory: str, problems: Problems, *, named: bool) -> Environment | None:
    """An environment, of its own file (`named`: it needs a name) or written in place. Paths start at `directory`."""
    for key in ("channels", "dependencies"):
        if key in node.entries:
            problems.add_error(
                node.keys[key].error(
                    f"an environment has no '{key}'", f"'{key}' stands in a conda file; name that as conda_file"
                )
            )
            return None
    aliases = {"inferenceConfig": "inference_config", "dockerfile": "build"}
    section = Section(node, "an environment", _NAMES, problems, aliases, READ_ONLY)
    found = Environment(node, section.text("name", required=named), section.text("version"))
    found.image, found.image_node = section.text("image"), section.node("image")
    found.description = section.text("description")
    found.tags = section.texts("tags")
    build = section.section("build", ("path", "dockerfile_path", "context_uri", "target"), {"contextUri": "path"})
    if build is not None:
        found.build_node = section.key("build")
        if found.image is not None:
            problems.add_error(section.key("build").error("an environment has an image or a build, not both"))
    if (os_type := section.choice("os_type", ("linux", "windows"))) == "windows":
        problems.add_error((section.node("os_type") or node).error(f"os_type '{os_type}': images here are for Linux"))
    _conda(found, section, directory)
    inner = section.section("inference_config", ROUTES)
    if inner is not None:
        routes = read_routes(inner)
        for name in ROUTES:
            if name not in inner:
                inner.missing(name, "all three: liveness_route, readiness_route, scoring_route")
        found.routes = Routes(section.key("inference_config"), routes)
    if found.image is None and build is None and found.conda_node is None:
        problems.add_error(node.error("the environment has neither image nor build nor conda_file", "name one of them"))
        return None
    return found


def _conda(found: Environment, section: Section, directory: str) -> None:
    node = section.node("conda_file")
    if node is None:
        return
    found.conda_node = node
    if node.kind == "map":
        found.conda = node
        return
    text = section.text("conda_file")
    if text is None:
        return
    if "\n" in text or re.match(r"\{|.*\bdependencies\b[\"']?\s*:", text):  # REST carries the content as one text
        found.conda = _embedded(node, text, section.problems)
        return
    path = text.removeprefix("file:")
    found.conda_path = os.path.normpath(os.path.join(directory, path))
    if not os.path.isfile(found.conda_path):
        there = _conda_files(directory)
        hint = f"there is {', '.join(there)}" if there else "the path starts at the directory of this file"
        section.problems.add_error(node.error(f"there is no conda file '{text}'", hint))


def _embedded(node: Node, text: str, problems: Problems) -> Node | None:
    """The map of a conda file that is the text of `node`, with everything at its place."""
    inside = Problems()
    content = parse(node.source.path, text.encode(), inside, aliases=True)
    for error in inside.errors:
        line = f"line {error.position.line} of " if error.position is not None else ""
        problems.add_error(node.error(f"{line}the conda file in this text: {error.message}", error.hint))
    if content is None or content.kind != "map":
        if not len(inside):
            problems.add_error(node.error("the conda file in this text holds no map", "write dependencies: [...]"))
        return None
    below = [content]
    for one in below:
        one.source, one.line, one.column, one.width = node.source, node.line, node.column, node.width
        below += [*one.items, *one.keys.values(), *one.entries.values()]
    return content


def _conda_files(directory: str) -> list[str]:
    names = ("conda.yaml", "conda.yml", "environment.yaml", "environment.yml")
    places = [directory]
    try:
        places += [entry.path for entry in os.scandir(directory) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []
    found = [os.path.join(place, name) for place in sorted(places) for name in names]
    return [os.path.relpath(path, directory) for path in found if os.path.isfile(path)][:4]
