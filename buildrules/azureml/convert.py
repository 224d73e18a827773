"""From files of Azure ML to targets."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from buildrules.authoring.target import NewTarget, clean_name
from buildrules.azureml.choice import models_of_document
from buildrules.azureml.connection import read_connection
from buildrules.azureml.conversion import Conversion, Options
from buildrules.azureml.deployment import read_deployment
from buildrules.azureml.document import Document, Kind, text_of
from buildrules.azureml.environment import EnvironmentFile, read_environment
from buildrules.azureml.foundation import from_environment
from buildrules.azureml.given import WANTED, failed, left_out, read_given
from buildrules.azureml.join import package_target
from buildrules.azureml.models import already_packed, model_target
from buildrules.azureml.package import read_package
from buildrules.azureml.places import settle_places
from buildrules.azureml.references import parse_reference
from buildrules.azureml.specification import Specification
from buildrules.document.problems import Problems
from buildrules.workspace.disk import Disk

_PACKAGES = (Kind.PACKAGE, Kind.ONLINE, Kind.BATCH)
_NOTED = {Kind.ENDPOINT: "there is nothing to build", Kind.DATA: "used where a package names it as input"}
_ORDER = (
    *("debian_base", "oci_base", "python_standalone", "python_env", "model", "input", "scoring_code"),
    *("", "model_package"),
)
"""Of targets by their rule: what others stand on comes first; servers stand at ""."""


def convert(paths: list[str], options: Options, top: str | None, disk: Disk) -> Conversion:
    """Convert files (absolute paths); `top` is the root of the workspace around them, if there is one.

    Raises LoadError with all errors at once, UsageError for what the command line asks.
    """
    conversion = Conversion(options, frozenset(paths), top, disk)
    read_given(paths, conversion)
    documents, targets = conversion.documents, conversion.targets
    packages = [document for document in documents if document.kind in _PACKAGES]
    targets.reserved = {clean_name(name) for document in packages if (name := _name(document)) is not None}
    for document in packages:
        with _attempt(conversion, document):
            target = _package(conversion, document)
            if target is not None and target not in conversion.packages:
                conversion.packages.append(target)
    for document in documents:
        if document not in packages:
            with _attempt(conversion, document):
                _other(conversion, document)
    conversion.problems.raise_all()
    conversion.packages = [target for target in conversion.packages if target in targets.all]
    conversion.documents = [one for one in documents if one.path not in conversion.failed.keys() | conversion.left]
    if not targets.all and not conversion.connections:
        failed(conversion).raise_all()
    targets.all.sort(key=lambda target: _ORDER.index(target.rule if target.rule in _ORDER else ""))
    return conversion


@contextmanager
def _attempt(conversion: Conversion, document: Document) -> Iterator[None]:
    """Convert one file. Where a directory was named, what is wrong with one file does not stop the others: its errors
    are kept in `conversion.failed`, and its targets are dropped.
    """
    there, kept = list(conversion.targets.all), conversion.problems
    named = document.path in conversion.named
    conversion.problems = kept if named else Problems()
    try:
        with conversion.noting():
            yield
            settle_places(conversion, len(there))
        if not named and len(conversion.problems):
            if document.sure:
                conversion.failed[document.path] = conversion.problems.errors
            else:
                conversion.note(left_out(document.path, conversion.problems))
                conversion.left.add(document.path)
            conversion.targets.all = there
    finally:
        conversion.problems = kept


def _name(document: Document) -> str | None:
    """The name of a package that a document describes, before it is read properly."""
    if document.kind is not Kind.PACKAGE:
        return text_of(document.node, "name", "endpoint_name") or "deployment"
    inner = document.node.entries.get("target_environment")
    said = text_of(document.node, "target_environment", "target_environment_id") or text_of(inner, "name")
    return parse_reference(said, short=True).name if said else None


def _package(conversion: Conversion, document: Document) -> NewTarget | None:
    """The target of a package or a deployment; None for one that deploys a package of here."""
    if document.kind is Kind.PACKAGE:
        spec = read_package(document, conversion.problems)
        return _joined(conversion, spec) if spec is not None else None
    spec = read_deployment(document, conversion.problems)
    if spec.environment is not None and spec.model is None and spec.code is None:
        name = spec.environment.reference.name
        near = conversion.near(document.directory).documents(Kind.PACKAGE)
        if name in {_name(one) for one in near}:
            conversion.note(f"{document.display}: deploys the package '{name}'; there is nothing more to build")
            return None
    return _joined(conversion, spec)


def _joined(conversion: Conversion, spec: Specification) -> NewTarget | None:
    """The target of a package; what it is made of is called after the file, where others nearby have its name."""
    document = spec.document
    near = conversion.near(document.directory)
    others = {one.path for kind in _PACKAGES for one in near.documents(kind) if _name(one) == _name(document)}
    stem = os.path.splitext(os.path.basename(document.path))[0]
    spec.own_name = f"{spec.name}-{stem}" if others - {document.path} else spec.name
    return package_target(conversion, spec)


def _other(conversion: Conversion, document: Document) -> None:
    """Environments, models and connections, and what nothing is made of: an error only where it was named.

    Raises LoadError.
    """
    kind = document.kind
    if kind is Kind.ENVIRONMENT:
        environment = read_environment(document.node, conversion.problems, EnvironmentFile)
        from_environment(conversion, environment, environment.name or "environment")
    elif kind is Kind.MODEL:
        for model in models_of_document(conversion, document):
            if not already_packed(conversion, model):
                model_target(conversion, model)
    elif kind is Kind.CONNECTION:
        connection = read_connection(document, conversion.problems)
        if isinstance(connection, str):
            conversion.note(connection)
        elif connection is not None:
            conversion.connections.append(connection)
    elif kind in _NOTED or document.path not in conversion.named:
        conversion.note(f"{document.display}: {kind.value}; {_NOTED.get(kind, 'left out')}")
    elif kind is Kind.PIPELINE:
        message = "a pipeline deployment runs components and holds no model"
        raise document.node.error(message, "name a model deployment")
    else:
        schema = text_of(document.node, "$schema")
        raise document.node.error(f"'{schema}': nothing can be made of this kind of file", WANTED)
