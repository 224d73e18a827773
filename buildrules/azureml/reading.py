"""The files of Azure ML among those the user names; what a directory holds besides is left out, and said."""

import os
import re

from buildrules.azureml.condafile import read_conda_node
from buildrules.azureml.document import Document, Kind, display, read_document
from buildrules.azureml.neighbourhood import Neighbourhood, text_of
from buildrules.azureml.values import word
from buildrules.azureml.work import Work
from buildrules.document.problems import Problems
from buildrules.errors import LoadError, UsageError
from buildrules.workspace.root import read_file

__all__ = ["failures", "is_sure", "left_out", "read_documents", "wanted_kinds"]

_SCHEMA = re.compile(rb"\$schema[\"']?\s*:.*azureml")
_LARGEST = 1 << 20
_SHOWN = 12
_TYPES = frozenset({"custommodel", "mlflowmodel", "tritonmodel", "urifile", "urifolder", "mltable"})
_TELLING = frozenset({"conda_file", "condaFile", "inference_config", "inferenceConfig", "model_uri", "modelUri"})


def read_documents(paths: list[str], work: Work) -> list[Document]:
    """The files of Azure ML among `paths` (absolute); of a directory those in it.

    In a directory a file that cannot be read as one is left out; if it surely was meant to be one, its errors are kept
    in `work.failed`. Raises UsageError.
    """
    found: dict[str, Document] = {}
    for path in paths:
        if not os.path.isdir(path):
            document = work.read(path)
            if document is not None:
                found[document.path] = document
            elif not len(work.problems):
                raise UsageError(f"'{display(path)}' is no file of Azure ML", hint=_conda(path) or wanted_kinds())
            continue
        work.directories.add(path)
        inside = [item for item in sorted(Neighbourhood(path, path, []).below()) if item not in found]
        left: list[str] = []
        before = len(work.failed)
        some = [document for item in inside if (document := _one_of_many(work, item, left)) is not None]
        if not some and len(work.failed) == before:
            hint = "; ".join([wanted_kinds(), *left[:1]])
            raise UsageError(f"there is no file of Azure ML in '{display(path)}'", hint=hint)
        for text in left[:_SHOWN]:
            work.note(text)
        if len(left) > _SHOWN:
            work.note(f"left out: {len(left) - _SHOWN} more files like these")
        found |= {document.path: document for document in some}
    return list(found.values())


def _one_of_many(work: Work, path: str, left: list[str]) -> Document | None:
    """A file of a directory, where nobody said that it is one of Azure ML."""
    problems = Problems()
    try:
        if os.path.getsize(path) > _LARGEST:
            return None
        data = read_file(path)
        document = read_document(path, problems)
    except (OSError, UsageError) as error:
        left.append(f"left out: {error.message if isinstance(error, UsageError) else display(path)}")
        return None
    work.files.add(path)
    if not len(problems):
        return document
    if _SCHEMA.search(data) or (document is not None and is_sure(document)):
        work.failed[path] = list(problems.errors)
        return None
    left.append(left_out(path, problems))
    return None


def left_out(path: str, problems: Problems) -> str:
    """That a file of a directory is left out, and what is the first thing wrong with it."""
    first = problems.errors[0]
    return f"left out: {first.position or display(path)}: {first.message}"


def is_sure(document: Document) -> bool:
    """Whether `$schema` or the attributes leave no doubt: other files have an `image`, or `name` and `path`."""
    if document.kind in (Kind.PACKAGE, Kind.ONLINE, Kind.BATCH):
        return True
    kind, schema = (
        text_of(document.node, "type", "modelType", "dataType") or "",
        text_of(document.node, "$schema") or "",
    )
    if (
        document.kind in (Kind.ENVIRONMENT, Kind.MODEL, Kind.DATA)
        and {"name", "version"} <= document.node.entries.keys()
    ):
        return True
    return word(kind) in _TYPES or "azureml" in schema.lower() or bool(document.node.entries.keys() & _TELLING)


def failures(errors: dict[str, list[LoadError]]) -> LoadError | None:
    """All errors of the files that could not be converted, as one; None where there are none."""
    problems = Problems()
    for some in errors.values():
        for error in some:
            problems.add_error(error)
    try:
        problems.raise_all()
    except LoadError as error:
        return error
    return None


def _conda(path: str) -> str | None:
    """The way out for a conda file, which is taken beside the file that it belongs to."""
    node = read_conda_node(path, display(path))
    if node is None or "dependencies" not in node.entries:
        return None
    return f"it is a conda file: --environment {display(path)}, beside a package or a deployment"


def wanted_kinds() -> str:
    """What can be imported."""
    return "a model package, environment, model, data asset, deployment, endpoint or connection, in YAML or JSON"
