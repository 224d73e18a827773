"""Inputs of a package besides the model: files and folders, by id, by address, by name and version."""

import os
from typing import NamedTuple

from buildrules.authoring.paths import display
from buildrules.authoring.target import Local, NewTarget, plain_name
from buildrules.azureml.assets import DataFile, ModelFile, read_asset
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.document import Kind
from buildrules.azureml.models import last_of
from buildrules.azureml.references import Named, Place, Reference, parse_reference
from buildrules.azureml.table import Key, Map, Nested, Value
from buildrules.azureml.values import choice, image_path, text
from buildrules.document.nodes import Node
from buildrules.errors import UsageError

_PATHS = {"path_id": "resource_id", "url": "url", "path_version": "resource_name"}
how = choice("copy", "download", "read_only_mount")
"""The mode of a model or an input."""


class _Path(Map):
    """`path` of an input."""

    input_path_type = Key(choice(*_PATHS))
    resource_id = Key(text)
    url = Key(text)
    resource_name = Key(text)
    resource_version = Key(text)


def _path(value: Value) -> Named | None:
    """Where an input lies."""
    node = value.node
    if node.kind == "scalar":
        return Named(node, parse_reference(node.text))
    inner = Nested(_Path)(value)
    given = [name for name in _PATHS.values() if name in inner]
    wanted = _PATHS.get(inner.input_path_type or "")
    if len(given) != 1 or wanted not in (None, given[0]):
        hint = f"it needs {wanted or 'one of resource_id, url, and resource_name with its version'}"
        raise node.error(f"'path' names {' and '.join(given) or 'no place'}", hint)
    said = inner.values.get(given[0])
    if said is None:
        return None
    if given[0] == "resource_name":
        version = inner.resource_version
        asked = Reference(f"{said}:{version}" if version else said, Place.ASSET, said, version, kind="data")
        return Named(inner.at("resource_name"), asked)
    return Named(inner.at(given[0]), parse_reference(said, short=given[0] == "resource_id"))


class Input(Map):
    """One of `inputs`."""

    what = "an input"
    type = Key(choice("uri_file", "uri_folder"), "input_type", needs="")
    mode = Key(how)
    path = Key(_path, needs="write {url: ...}, {resource_id: ...} or {resource_name: ..., resource_version: ...}")
    mount_path = Key(image_path)


class _Files(NamedTuple):
    """Where the files of an input are: an absolute path, or an address; and what they are called."""

    path: str
    uri: str | None
    name: str
    version: str | None


def input_target(conversion: Conversion, directory: str, given: Input) -> NewTarget | None:
    """The target of one input, whose paths start at `directory`; None where one was said to be wrong already.

    Raises LoadError.
    """
    if given.path is None:
        return None
    found, node = _source(conversion, directory, given.path), given.path.node
    path, plain = found.path, plain_name(found.name, "input")
    mode = "download" if given.mode == "read_only_mount" else given.mode
    if path and os.path.isdir(path) != (given.type != "uri_file"):
        what = "folder" if os.path.isdir(path) else "file"
        raise node.error(f"'{display(path)}' is a {what}", f"type: uri_{what}")
    comments = []
    if mode == "download" and path:
        mode = "copy"
        comments.append(f"mode {given.mode}: it is here, so it is copied")
    attributes = {
        "path": Local(path) if path else None,
        "uri": found.uri,
        "name": plain,
        "version": found.version,
        "mount_path": given.mount_path or f"inputs/{plain}",
        "mode": mode,
    }
    remarks = {"mount_path": "nothing was said" if given.mount_path is None else None}
    return conversion.targets.add(found.name, "input", attributes, comments=comments, remarks=remarks, node=node)


def _source(conversion: Conversion, directory: str, named: Named) -> _Files:
    """Where an input is, as the command line, the file, or a data asset or a model nearby says."""
    reference = named.reference
    said = dict(conversion.options.inputs)
    last = last_of(reference.text, "input")
    for key in (reference.text, reference.asked, reference.name, last):
        if key and key in said:
            text, name = said[key], reference.name or os.path.basename(said[key])
            if parse_reference(text).place is Place.URI:
                return _Files("", text, name, reference.version)
            if not os.path.lexists(text):
                raise UsageError(f"there is no '{display(text)}'", hint="--input takes NAME=PATH")
            return _Files(os.path.abspath(text), None, name, reference.version)
    if reference.place is not Place.ASSET:
        return _where(named.node, reference, directory, last, None)
    kinds = (Kind.DATA, Kind.MODEL)
    document = conversion.asset(directory, reference, *kinds)
    if document is None:
        way = f"name where the files are: --input {reference.asked}=PATH"
        raise named.node.error(*conversion.missing(directory, reference, way, *kinds))
    asset = read_asset(DataFile if document.kind is Kind.DATA else ModelFile, document.node)
    version = asset.version or reference.version
    return _where(asset.at("path"), asset.place, asset.directory, reference.name, version)


def _where(node: Node, reference: Reference, directory: str, name: str, version: str | None) -> _Files:
    """An address, or a path that starts at `directory`, under a name."""
    hint = f"name where the files are: --input {name}=PATH"
    path, uri = reference.files(directory, node, hint)
    if path and not os.path.lexists(path):
        raise node.error(f"'{reference.text}' is not there", hint)
    return _Files(path, uri, name, version)
