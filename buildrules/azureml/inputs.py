"""Inputs of a package besides the model: files and folders, by id, by address, by name and version."""

import os
from dataclasses import dataclass

from buildrules.authoring.paths import display
from buildrules.authoring.target import Local, NewTarget, plain_name
from buildrules.azureml.assets import DataFile, ModelFile, read_asset
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.document import Kind
from buildrules.azureml.models import last_of
from buildrules.azureml.references import Place, Reference, parse_reference
from buildrules.azureml.specification import Input, Specification
from buildrules.document.nodes import Node
from buildrules.errors import UsageError

__all__ = ["input_target"]


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the files of an input are: an absolute path, or an address; and what they are called."""

    path: str
    uri: str | None
    name: str
    version: str | None


def input_target(conversion: Conversion, spec: Specification, given: Input) -> NewTarget:
    """The target of one input. Raises LoadError."""
    found, node = _source(conversion, spec, given), given.source.node
    path, mode, plain = found.path, given.mode, plain_name(found.name, "input")
    if path and os.path.isdir(path) != given.folder:
        what = "folder" if os.path.isdir(path) else "file"
        raise node.error(f"'{display(path)}' is a {what}", f"type: uri_{what}")
    comments = []
    if mode == "download" and path:
        mode = "copy"
        comments.append(f"mode {given.said}: it is here, so it is copied")
    attributes = {
        "path": Local(path) if path else None,
        "uri": found.uri,
        "name": plain,
        "version": found.version,
        "mount_path": given.mount_path or f"inputs/{plain}",
        "mode": mode,
    }
    remarks = {} if given.mount_path is not None else {"mount_path": "nothing was said"}
    return conversion.targets.add(
        found.name, "input", attributes, comments=comments, remarks=remarks, kind="input", node=node
    )


def _source(conversion: Conversion, spec: Specification, given: Input) -> _Files:
    """Where an input is, as the command line, the specification or a data asset nearby says."""
    reference = given.source.reference
    assert reference is not None
    said = dict(conversion.options.inputs)
    last = last_of(reference.text, "input")
    for key in (reference.text, reference.asked, reference.name, last):
        if key and key in said:
            return _placed(said[key], reference.name or os.path.basename(said[key]), reference.version)
    if reference.place is Place.ASSET:
        return _asset(conversion, spec.document.directory, given.source.node, reference)
    return _where(given.source.node, reference, spec.document.directory, last, None)


def _where(node: Node, reference: Reference, directory: str, name: str, version: str | None) -> _Files:
    """An address, or a path that starts at `directory`, under a name."""
    if reference.place is Place.URI:
        return _Files("", reference.text, name, version)
    path = os.path.normpath(os.path.join(directory, reference.text))
    if reference.place is Place.LOCAL and os.path.lexists(path):
        return _Files(path, None, name, version)
    what = "is not there" if reference.place is Place.LOCAL else "is a store of Azure, which is not read here"
    raise node.error(f"'{reference.text}' {what}", f"name where the files are: --input {name}=PATH")


def _asset(conversion: Conversion, directory: str, node: Node, reference: Reference) -> _Files:
    """What a data asset or a model nearby says."""
    kinds = (Kind.DATA, Kind.MODEL)
    document = conversion.asset(directory, reference.name, reference.version, *kinds)
    if document is None:
        way = f"name where the files are: --input {reference.asked}=PATH"
        hint = conversion.hint(directory, reference.name, "data assets nearby", way, *kinds)
        raise node.error(f"there is no data asset '{reference.asked}' in the files nearby", hint)
    rows = DataFile if document.kind is Kind.DATA else ModelFile
    asset = read_asset(rows, document.node)
    version = asset.version or reference.version
    return _where(asset.at("path"), asset.place, asset.directory, reference.name, version)


def _placed(text: str, name: str, version: str | None) -> _Files:
    """What `--input` names. Raises UsageError."""
    if parse_reference(text).place is Place.URI:
        return _Files("", text, name, version)
    if not os.path.lexists(text):
        raise UsageError(f"there is no '{display(text)}'", hint="--input takes NAME=PATH")
    return _Files(os.path.abspath(text), None, name, version)
