"""Inputs of a package besides the model: files and folders, by id, by address, by name and version."""

import os
import re
from dataclasses import dataclass
from typing import Any

from buildrules.azureml.assets import DataFile, ModelFile, read_asset
from buildrules.azureml.document import Kind, display
from buildrules.azureml.neighbourhood import text_of
from buildrules.azureml.references import Place, Reference, parse_reference
from buildrules.azureml.specification import Input, Specification
from buildrules.azureml.targets import Local, Target, plain_name
from buildrules.azureml.work import Work, either
from buildrules.document.nodes import Node
from buildrules.errors import UsageError
from buildrules.workspace.suggest import did_you_mean

__all__ = ["input_target"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files of an input are: an absolute path, or an address."""

    path: str
    uri: str | None
    name: str
    version: str | None


def input_target(work: Work, spec: Specification, given: Input) -> Target | None:
    """The target of one input. Errors are noted."""
    found = _source(work, spec, given)
    if found is None:
        return None
    path, uri, name, version = found.path, found.uri, found.name, found.version
    if path and os.path.isdir(path) != given.folder:
        wanted = "uri_folder" if os.path.isdir(path) else "uri_file"
        work.fail(given.source.node, f"'{display(path)}' is a {wanted.removeprefix('uri_')}", f"type: {wanted}")
        return None
    mode, comments = given.mode, []
    if mode == "download" and path:
        mode = "copy"
        comments.append(f"mode {given.said}: it is here, so it is copied")
    plain = plain_name(name, "input")
    mount_path = given.mount_path
    remarks = {}
    if mount_path is None:
        mount_path = f"inputs/{plain_name(name, 'input')}"
        remarks["mount_path"] = "nothing was said"
    attributes: dict[str, Any] = {
        "path": Local(path) if path else None,
        "uri": uri,
        "name": plain,
        "version": version,
        "mount_path": mount_path,
        "mode": mode,
    }
    return work.targets.add(
        name, "input", attributes, comments=comments, remarks=remarks, kind="input", node=given.source.node
    )


def _source(work: Work, spec: Specification, given: Input) -> Source | None:
    """Where an input is, as the command line, the specification or a data asset nearby says."""
    reference = given.source.reference
    assert reference is not None
    said = dict(work.options.inputs)
    for key in (reference.text, reference.asked, reference.name, _last(reference.text)):
        if key and key in said:
            return _placed(said[key], reference.name or os.path.basename(said[key]), reference.version)
    if reference.place is Place.ASSET:
        return _asset(work, spec, given.source.node, reference)
    name = _last(reference.text)
    return _where(work, given.source.node, reference, spec.document.directory, Source("", None, name, None))


def _where(work: Work, node: Node, reference: Reference, directory: str, named: Source) -> Source | None:
    """An address, or a path that starts at `directory`, under the name of `named`."""
    if reference.place is Place.URI:
        return Source("", reference.text, named.name, named.version)
    path = os.path.normpath(os.path.join(directory, reference.text))
    if reference.place is Place.LOCAL and os.path.lexists(path):
        return Source(path, None, named.name, named.version)
    what = "is not there" if reference.place is Place.LOCAL else "is a store of Azure, which is not read here"
    work.fail(node, f"'{reference.text}' {what}", f"name where the files are: --input {named.name}=PATH")
    return None


def _asset(work: Work, spec: Specification, node: Node, reference: Reference) -> Source | None:
    near = work.near(spec.document.directory)
    documents = near.documents(Kind.DATA) + near.documents(Kind.MODEL)
    document = work.match(documents, reference.name, reference.version)
    if document is None:
        names = [name for item in documents if (name := text_of(item.node, "name"))]
        hint = did_you_mean(reference.name, names, what="data assets nearby")
        say = f"name where the files are: --input {reference.asked}=PATH"
        message = f"there is no data asset '{reference.asked}' in the files nearby"
        work.fail(node, message, either(hint, say))
        return None
    work.files.add(document.path)
    rows = DataFile if document.kind is Kind.DATA else ModelFile
    asset = read_asset(rows, document.node, document.directory, work.problems)
    if asset is None or asset.path is None:
        return None
    named = Source("", None, reference.name, asset.version or reference.version)
    return _where(work, asset.at("path"), asset.path, asset.directory, named)


def _placed(text: str, name: str, version: str | None) -> Source:
    if parse_reference(text).place is Place.URI:
        return Source("", text, name, version)
    if not os.path.lexists(text):
        raise UsageError(f"there is no '{display(text)}'", hint="--input takes NAME=PATH")
    return Source(os.path.abspath(text), None, name, version)


def _last(uri: str) -> str:
    return os.path.splitext(re.split(r"[?#]", uri)[0].rstrip("/").rpartition("/")[2])[0] or "input"
