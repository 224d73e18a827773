"""Files of Azure ML: which kind one is, and its content with the place of everything."""

import os
import posixpath
import re
from dataclasses import dataclass
from enum import Enum

from buildrules.azureml.references import parse_reference
from buildrules.azureml.table import camel
from buildrules.document.nodes import Node, parse
from buildrules.document.problems import Problems
from buildrules.document.source import Source
from buildrules.errors import LoadError, UsageError
from buildrules.workspace.root import read_file

__all__ = ["Document", "Kind", "display", "kind_of", "read_document"]


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


_SCHEMAS = {
    "modelversionpackage": Kind.PACKAGE,
    "environment": Kind.ENVIRONMENT,
    "environmentversion": Kind.ENVIRONMENT,
    "model": Kind.MODEL,
    "data": Kind.DATA,
    "dataset": Kind.DATA,
    "managedonlinedeployment": Kind.ONLINE,
    "kubernetesonlinedeployment": Kind.ONLINE,
    "onlinedeployment": Kind.ONLINE,
    "batchdeployment": Kind.BATCH,
    "modelbatchdeployment": Kind.BATCH,
    "pipelinecomponentbatchdeployment": Kind.PIPELINE,
    "managedonlineendpoint": Kind.ENDPOINT,
    "kubernetesonlineendpoint": Kind.ENDPOINT,
    "onlineendpoint": Kind.ENDPOINT,
    "batchendpoint": Kind.ENDPOINT,
    "workspaceconnection": Kind.CONNECTION,
    "connection": Kind.CONNECTION,
}
_BATCH_KEYS = {"compute", "settings", "mini_batch_size", "max_concurrency_per_instance", "output_action"}
_ARM_KEYS = {"id", "name", "type", "location", "systemData", "kind", "sku", "identity", "tags", "etag", "properties"}
_JSON_INDENT = re.compile(rb"\t")
_COMMENT = re.compile(r"^[^\"\n]*?(?:\"(?:[^\"\\\n]|\\.)*\"[^\"\n]*?)*?(?P<mark>//|/\*)", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}")


@dataclass(slots=True)
class Document:
    """A file that was read: its absolute path, its directory, its kind, and the map it holds."""

    path: str
    kind: Kind
    node: Node

    @property
    def directory(self) -> str:
        """Where its relative paths start."""
        return os.path.dirname(self.path)

    @property
    def shown(self) -> str:
        """The path as people see it."""
        return display(self.path)


def display(path: str) -> str:
    """A path for people: relative to the current directory where that is shorter."""
    try:
        short = os.path.relpath(path)
    except (ValueError, OSError):
        return path
    return short if not short.startswith("../../..") and len(short) <= len(path) else path


def read_document(path: str, problems: Problems) -> Document | None:
    """Read the file at the absolute `path`.

    None where it is empty, or no YAML or JSON or a template yet to be filled in (noted in `problems`), or no file of
    Azure ML. Raises UsageError where the file cannot be read.
    """
    try:
        data = read_file(path)
    except FileNotFoundError:
        raise UsageError(f"there is no file '{display(path)}'") from None
    except IsADirectoryError:
        raise UsageError(f"'{display(path)}' is a directory, not a file") from None
    except OSError as error:
        raise UsageError(f"cannot read '{display(path)}': {error.strerror}") from error
    if data.lstrip()[:1] == b"{":
        data = _JSON_INDENT.sub(b" ", data)  # JSON may be indented with tabs, YAML not
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
    kind = kind_of(node)
    return None if kind is None else Document(path, kind, node)


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


def _text(node: Node, name: str) -> str:
    value = node.entries.get(name) or node.entries.get(camel(name))
    return value.text if value is not None and value.kind == "scalar" else ""


def kind_of(node: Node) -> Kind | None:
    """By `$schema`, else by the attributes; None for what is no file of Azure ML."""
    schema = _text(node, "$schema")
    if schema:
        name = posixpath.basename(schema).split(".")[0].lower()
        if name in _SCHEMAS:
            return _SCHEMAS[name]
        if "azureml" in schema.lower():
            return Kind.OTHER
    keys = {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower() for key in node.entries}
    kind = _text(node, "type").lower()
    found: Kind | None = None
    if keys & {"inferencing_server", "base_environment_source"} or any(
        k.startswith("target_environment") for k in keys
    ):
        found = Kind.PACKAGE
    elif "endpoint_name" in keys or (keys & {"model", "model_id"} and "code_configuration" in keys):
        found = Kind.BATCH if keys & _BATCH_KEYS else Kind.ONLINE
    elif "credentials" in keys and "target" in keys:
        found = Kind.CONNECTION
    elif keys & {"auth_mode", "traffic"}:
        found = Kind.ENDPOINT
    elif keys & {"conda_file", "build", "inference_config"} or ("image" in keys and not keys & {"command", "jobs"}):
        found = Kind.ENVIRONMENT
    elif kind in ("uri_file", "uri_folder", "mltable"):
        found = Kind.DATA
    elif kind in ("custom_model", "mlflow_model", "triton_model") or {"path", "name"} <= keys or "model_uri" in keys:
        found = Kind.MODEL
    return found


def _unwrapped(node: Node) -> Node:
    """A resource as Azure's resource manager prints it, without its wrapping: `{"id": ..., "properties": {...}}`."""
    inner = node.entries.get("properties")
    if inner is None or inner.kind != "map" or not set(node.entries) <= _ARM_KEYS:
        return node
    merged, keys = dict(inner.entries), dict(inner.keys)
    found = parse_reference(_text(node, "id")) if "id" in node.entries else None
    for name in ("name", "tags"):
        if name in node.entries and name not in merged:
            merged[name], keys[name] = node.entries[name], node.keys[name]
    if found is not None and found.kind is not None:  # `name` of such a resource is its version
        for name, text in (("name", found.name), ("version", found.version)):
            if text:
                value = _copy(node.entries["id"])
                value.text, value.plain = text, False
                merged[name], keys[name] = value, node.keys["id"]
    whole = _copy(node)
    whole.entries, whole.keys = merged, keys
    return whole


def _copy(node: Node) -> Node:
    copy = Node()
    for name in Node.__slots__:
        setattr(copy, name, getattr(node, name))
    return copy
