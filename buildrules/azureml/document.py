"""Files of Azure ML: which kind one is, and its content with the place of everything."""

import copy
import os
import posixpath
import re
from dataclasses import dataclass
from enum import Enum

from buildrules.authoring.paths import display
from buildrules.azureml.references import parse_reference
from buildrules.azureml.table import camel
from buildrules.azureml.values import word
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.document.source import Source
from buildrules.errors import LoadError, UsageError
from buildrules.workspace.disk import Disk


class Kind(Enum):
    """What a file describes."""

    PACKAGE = "a model package"
    ENVIRONMENT = "an environment"
    MODEL = "a model"
    DATA = "a data asset"
    ONLINE = "an online deployment"
    BATCH = "a batch deployment"
    ENDPOINT = "an endpoint"
    CONNECTION = "a connection"
    PIPELINE = "a pipeline deployment"
    OTHER = "another kind of Azure ML file"


_SCHEMAS = (
    (Kind.PACKAGE, "modelversionpackage"),
    (Kind.ENVIRONMENT, "environment environmentversion"),
    (Kind.MODEL, "model"),
    (Kind.DATA, "data dataset"),
    (Kind.ONLINE, "managedonlinedeployment kubernetesonlinedeployment onlinedeployment"),
    (Kind.BATCH, "batchdeployment modelbatchdeployment"),
    (Kind.PIPELINE, "pipelinecomponentbatchdeployment"),
    (Kind.ENDPOINT, "managedonlineendpoint kubernetesonlineendpoint onlineendpoint batchendpoint"),
    (Kind.CONNECTION, "workspaceconnection connection"),
)
_TELLING = (
    (Kind.PACKAGE, "inferencing_server", "base_environment_source", "target_environment", "target_environment_id",
     "target_environment_name", "target_environment_version"),
    (Kind.ONLINE, "endpoint_name", "model code_configuration", "model_id code_configuration"),
    (Kind.CONNECTION, "?credentials target"),
    (Kind.ENDPOINT, "?auth_mode", "?traffic"),
    (Kind.ENVIRONMENT, "conda_file", "inference_config", "?build", "?image"),
    (Kind.DATA, "type=urifile", "type=urifolder", "type=mltable"),
    (Kind.MODEL, "type=custommodel", "type=mlflowmodel", "type=tritonmodel", "model_uri", "?path name"),
)  # fmt: skip
"""Without a schema: keys, or several at once, that tell the kind; the first that fits counts. What begins with a
question mark leaves a doubt: other files have an `image`, or `name` and `path`.
"""
_VERSIONED = (Kind.ENVIRONMENT, Kind.MODEL, Kind.DATA)
_BATCH_KEYS = {"compute", "settings", "mini_batch_size", "max_concurrency_per_instance", "output_action"}
_ARM_KEYS = {"id", "name", "type", "location", "systemData", "kind", "sku", "identity", "tags", "etag", "properties"}
_COMMENT = re.compile(r"^[^\"\n]*?(?:\"(?:[^\"\\\n]|\\.)*\"[^\"\n]*?)*?(?P<mark>//|/\*)", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}")


@dataclass(slots=True)
class Document:
    """A file that was read: its absolute path, its kind, the map it holds, and whether the kind leaves no doubt."""

    path: str
    kind: Kind
    node: Node
    sure: bool

    @property
    def directory(self) -> str:
        """Where its relative paths start."""
        return os.path.dirname(self.path)

    @property
    def display(self) -> str:
        """The path as people see it."""
        return display(self.path)


def read_document(disk: Disk, path: str, problems: Problems) -> Document | None:
    """Read the file at the absolute `path`.

    None where it is empty, or no YAML or JSON or a template yet to be filled in (noted in `problems`), or no file of
    Azure ML. Raises UsageError where the file cannot be read.
    """
    try:
        data = disk.read(path)
    except FileNotFoundError:
        raise UsageError(f"there is no file '{display(path)}'") from None
    except OSError as error:
        raise UsageError(f"cannot read '{display(path)}': {error.strerror}") from error
    if data.lstrip()[:1] == b"{":
        data = data.replace(b"\t", b" ")  # JSON may be indented with tabs, YAML not
    found = Problems()
    node = parse(display(path), data, found, aliases=True)
    unfilled = [said for one in found.errors if (said := _unfilled(one)) is not None]
    if path.endswith(".json"):
        unfilled = unfilled or _commented(display(path), data)
    for one in unfilled[:1] or found.errors:
        problems.add_error(one)
    if unfilled or node is None or node.kind != "map":
        return None
    node = _unwrapped(node)
    kind, sure = _kind_of(node)
    return None if kind is None else Document(path, kind, node, sure)


def _unfilled(error: LoadError) -> LoadError | None:
    """What a template's `{{NAME}}` does to the YAML, said by its name; None for any other error."""
    place = error.position
    found = _PLACEHOLDER.search(place.excerpt) if place is not None else None
    if place is None or found is None:
        return None
    message = f"the placeholder '{found[0]}' is not filled in"
    return LoadError(message, hint="put its value there first, such as with sed", position=place)


def _commented(path: str, data: bytes) -> list[LoadError]:
    """What is wrong with JSON that has comments."""
    text = data.decode("utf-8-sig", errors="replace")
    found = _COMMENT.search(text)
    if found is None:
        return []
    start = found.start("mark")
    line = text.count("\n", 0, start) + 1
    position = Source(path, text).position(line, start - text.rfind("\n", 0, start), 2)
    return [
        LoadError("JSON has no comments", hint="take them out, or name the file .yml and write #", position=position)
    ]


def text_of(node: Node | None, *names: str) -> str | None:
    """The text of the first of these keys that is there, in either spelling."""
    entries = node.entries if node is not None else {}
    for name in names:
        value = entries.get(name) or entries.get(camel(name))
        if value is not None and value.kind == "scalar" and not value.is_null:
            return value.text
    return None


def _kind_of(node: Node) -> tuple[Kind | None, bool]:
    """By `$schema`, else by the keys; None for what is no file of Azure ML. And whether there is no doubt."""
    schema = text_of(node, "$schema") or ""
    name = posixpath.basename(schema).split(".")[0].lower()
    found = next((kind for kind, names in _SCHEMAS if name in names.split()), None)
    if found is not None or "azureml" in schema.lower():
        return found or Kind.OTHER, True
    keys = {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower() for key in node.entries}
    keys.add(f"type={word(text_of(node, 'type', 'model_type', 'data_type') or '')}")
    if keys & {"command", "jobs"}:  # a job has an image as well
        keys.discard("image")
    for kind, *groups in _TELLING:
        for group in groups:
            if keys.issuperset(group.removeprefix("?").split()):
                sure = not group.startswith("?") or (kind in _VERSIONED and keys >= {"name", "version"})
                return Kind.BATCH if kind is Kind.ONLINE and keys & _BATCH_KEYS else kind, sure
    return None, False


def _unwrapped(node: Node) -> Node:
    """A resource as Azure's resource manager prints it, without its wrapping: `{"id": ..., "properties": {...}}`."""
    inner = node.entries.get("properties")
    if inner is None or inner.kind != "map" or not set(node.entries) <= _ARM_KEYS:
        return node
    whole = copy.copy(node)
    whole.entries, whole.keys = dict(inner.entries), dict(inner.keys)
    for name in ("name", "tags"):
        if name in node.entries and name not in whole.entries:
            whole.entries[name], whole.keys[name] = node.entries[name], node.keys[name]
    found = parse_reference(text_of(node, "id") or "")
    if found.kind is not None:  # `name` of such a resource is its version
        for name, said in (("name", found.name), ("version", found.version)):
            if said:
                whole.entries[name], whole.keys[name] = copy.copy(node.entries["id"]), node.keys["id"]
                whole.entries[name].text, whole.entries[name].plain = said, False
    return whole
