"""Models and data assets: a name, a version, and where the files are."""

import re
from dataclasses import dataclass, field

from buildrules.azureml.fields import READ_ONLY, Section
from buildrules.azureml.references import Reference, parse_reference
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems

__all__ = ["Asset", "read_data", "read_model"]

_MODEL = (
    "$schema", "name", "version", "description", "path", "type", "flavors", "tags", "properties", "stage",
    "datastore", "job_name", "default_deployment_template",
)  # fmt: skip
_DATA = (
    "$schema", "name", "version", "description", "path", "type", "tags", "properties", "datastore",
    "auto_delete_setting", "job_name",
)  # fmt: skip
_UNSAID = ("properties", "stage", "job_name", "default_deployment_template")
_FLAVOURS = {"custom_model": "custom", "mlflow_model": "mlflow", "triton_model": "triton"}


@dataclass(slots=True)
class Asset:
    """A model or a data asset. `flavour` is custom, mlflow or triton where the file says it."""

    node: Node
    name: str | None
    version: str | None
    path: Reference
    path_node: Node
    directory: str
    flavour: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    left_out: tuple[str, ...] = ()


def read_model(node: Node, directory: str, problems: Problems, *, named: bool) -> Asset | None:
    """A model, of its own file (`named`: it needs a name) or written in place. Paths start at `directory`."""
    section = Section(node, "a model", _MODEL, problems, {"modelUri": "path", "modelType": "type"}, READ_ONLY)
    flavour = section.choice("type", tuple(_FLAVOURS))
    found = _asset(section, directory, named=named)
    if found is not None and flavour is not None:
        found.flavour = _FLAVOURS[flavour]
    if found is not None:
        found.left_out = tuple(name for name in _UNSAID if name in section)
    return found


def read_data(node: Node, directory: str, problems: Problems, *, named: bool = True) -> Asset | None:
    """A data asset of its own file."""
    section = Section(node, "a data asset", _DATA, problems, {"dataUri": "path", "dataType": "type"}, READ_ONLY)
    section.choice("type", ("uri_file", "uri_folder", "mltable"))
    return _asset(section, directory, named=named)


def _asset(section: Section, directory: str, *, named: bool) -> Asset | None:
    name, version = section.text("name", required=named), section.text("version")
    for what, said in (("name", name), ("version", version)):
        if said is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}", said):
            node = section.node(what) or section.given
            section.problems.add_error(node.error(f"'{said}' is no {what}", "letters, digits and `_ . -`"))
            return None
    text = section.text("path", required=True, hint="the file or folder")
    if text is None:
        return None
    return Asset(
        section.given,
        name,
        version,
        parse_reference(text),
        section.node("path") or section.given,
        directory,
        tags=section.texts("tags"),
        description=section.text("description"),
    )
