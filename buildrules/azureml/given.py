"""The files of Azure ML among those the user names; what a directory holds besides is left out, and said."""

import os
import re

from buildrules.authoring.paths import display
from buildrules.azureml.conda import read_conda
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.document import Document, read_document
from buildrules.azureml.nearby import LARGEST, yaml_files
from buildrules.document.problems import Problems
from buildrules.errors import UsageError

WANTED = "a model package, environment, model, data asset, deployment, endpoint or connection, in YAML or JSON"
_SCHEMA = re.compile(rb"\$schema[\"']?\s*:.*azureml")
_MOST = 12


def read_given(paths: list[str], conversion: Conversion) -> None:
    """Put the files of Azure ML among `paths` (absolute) into `conversion.documents`; of a directory those in it.

    In a directory a file that cannot be read as one is left out; if it surely was meant to be one, its errors are kept
    in `conversion.failed`. Raises UsageError.
    """
    found: dict[str, Document] = {}
    for path in paths:
        if os.path.isdir(path):
            found |= {document.path: document for document in _inside(conversion, path, found)}
            continue
        document = conversion.read(path)
        if document is not None:
            found[path] = document
        elif not len(conversion.problems):
            conda = f"it is a conda file: --environment {display(path)}, beside a package or a deployment"
            root = read_conda(conversion.disk, path).root
            hint = conda if root is not None and "dependencies" in root.entries else WANTED
            raise UsageError(f"'{display(path)}' is not a file of Azure ML", hint=hint)
    conversion.documents += found.values()


def _inside(conversion: Conversion, directory: str, found: dict[str, Document]) -> list[Document]:
    left: list[str] = []
    before = len(conversion.failed)
    paths = sorted(path for path in yaml_files(conversion.disk, directory) if path not in found)
    some = [document for path in paths if (document := _one_of_many(conversion, path, left)) is not None]
    if not some and len(conversion.failed) == before:
        hint = "; ".join([WANTED, *left[:1]])
        raise UsageError(f"there is no file of Azure ML in '{display(directory)}'", hint=hint)
    for said in left[:_MOST]:
        conversion.note(said)
    if len(left) > _MOST:
        conversion.note(f"left out: {len(left) - _MOST} more files like these")
    return some


def _one_of_many(conversion: Conversion, path: str, left: list[str]) -> Document | None:
    """A file of a directory, where nobody said that it is one of Azure ML."""
    problems = Problems()
    try:
        if os.path.getsize(path) > LARGEST:
            return None
        document = read_document(conversion.disk, path, problems)
        data = conversion.disk.read(path) if len(problems) else b""
    except (OSError, UsageError) as error:
        left.append(f"left out: {error.message if isinstance(error, UsageError) else display(path)}")
        return None
    if not len(problems):
        return document
    if _SCHEMA.search(data) or (document is not None and document.sure):
        conversion.failed[path] = problems.errors
    else:
        left.append(left_out(path, problems))
    return None


def left_out(path: str, problems: Problems) -> str:
    """That a file of a directory is left out, and what is the first thing wrong with it."""
    first = problems.errors[0]
    return f"left out: {first.position or display(path)}: {first.message}"


def failed(conversion: Conversion) -> Problems:
    """What is wrong with the files of a directory that could not be converted."""
    problems = Problems()
    for error in (error for some in conversion.failed.values() for error in some):
        problems.add_error(error)
    return problems
