"""The model of a package: the one the user names, the one a file names, or the one that lies there."""

import os

from buildrules.azureml.assets import InlineModel, ModelFile, read_asset
from buildrules.azureml.document import Document, Kind, display, read_document
from buildrules.azureml.models import SAY, Model, absolute, checked, listed, of_asset
from buildrules.azureml.neighbourhood import text_of
from buildrules.azureml.references import Place, Reference, parse_reference
from buildrules.azureml.specification import Specification
from buildrules.azureml.work import Work, either
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.errors import UsageError
from buildrules.workspace.suggest import did_you_mean

__all__ = ["find_models", "models_of_document"]

_USUAL = ("model", "models", "outputs/model")
_TAKES = "get it with `az ml model download`, and name the folder: --model PATH"


def find_models(work: Work, spec: Specification) -> list[Model]:
    """The models of a package, mostly one. Errors are noted; then the list may be empty."""
    named = spec.model
    if work.options.models:
        found = [
            model
            for path in work.options.models
            for model in _given(work, path, spec.document.directory, code=bool(spec.code))
        ]
        if len(found) == 1 and named is not None and found[0].name is None:
            found[0].name, found[0].version = _called(named.reference, named.inline)
        return found
    if named is None:
        return [] if spec.deployment else _unnamed(work, spec)
    if named.inline is not None:
        asset = read_asset(InlineModel, named.inline, spec.document.directory, work.problems)
        return of_asset(work, asset)
    assert named.reference is not None
    return _referred(work, named.node, named.reference, spec.document.directory)


def _referred(work: Work, node: Node, reference: Reference, directory: str) -> list[Model]:
    """A model that is named by a path, an address or its registered name."""
    if reference.place is Place.LOCAL or os.path.lexists(os.path.join(directory, reference.text)):
        return checked(work, Model(None, None, absolute(directory, reference.text), node=node))
    if reference.place is Place.URI:
        return [Model(None, None, "", uri=reference.text, node=node)]
    if reference.place is Place.STORE:
        work.fail(node, f"'{reference.text}' is a store of Azure, which is not read here", SAY)
        return []
    documents = work.near(directory).documents(Kind.MODEL)
    document = work.match(documents, reference.name, reference.version)
    if document is not None:
        return of_asset(work, _read(work, document))
    folder = _usual(directory)
    if folder is not None:
        work.note(f"model '{reference.asked}': no file describes it; took the folder {display(folder)}")
        return [Model(reference.name, reference.version, folder, node=node)]
    names = list(dict.fromkeys(name for item in documents if (name := text_of(item.node, "name"))))
    hint = did_you_mean(reference.name, names, what="models nearby")
    work.fail(
        node,
        f"there is no model '{reference.asked}' in the files nearby",
        either(hint, SAY),
    )
    return []


def _called(reference: Reference | None, inline: Node | None) -> tuple[str | None, str | None]:
    if inline is not None:
        return text_of(inline, "name"), text_of(inline, "version")
    if reference is not None and reference.place is Place.ASSET:
        return reference.name, reference.version
    return None, None


def _read(work: Work, document: Document) -> ModelFile | None:
    work.files.add(document.path)
    return read_asset(ModelFile, document.node, document.directory, work.problems)


def models_of_document(work: Work, document: Document) -> list[Model]:
    """The model a file describes. Errors are noted.

    One that lies in a store of Azure is where `--model` says, if this file is the only one that may be meant.
    """
    asset = _read(work, document)
    if asset is None or asset.path is None or asset.path.place not in (Place.STORE, Place.ASSET):
        return of_asset(work, asset)
    only = len(work.given(Kind.MODEL)) == 1
    if len(work.options.models) != 1 or not only:
        return of_asset(work, asset, SAY if only else "import this file by itself, with --model PATH")
    found = _given(work, work.options.models[0], document.directory, code=True)
    for one in found:
        one.name, one.version, one.flavour = asset.name, asset.version, one.flavour or asset.type
        one.node, one.description, one.comments = asset.at("path"), asset.description, tuple(asset.comments)
    return [model for one in found for model in checked(work, one)]


def _unnamed(work: Work, spec: Specification) -> list[Model]:
    """A package names no model: Azure takes it from the command line.

    Else a model file that the user named, or that stands beside the package or below, else the folder `model`, else
    a model file nearby.
    """
    near = work.near(spec.document.directory)
    every = near.documents(Kind.MODEL)
    documents = [document for document in every if document.path in work.named]
    documents = documents or [document for document in every if near.inside(document)]
    if not documents and _usual(spec.document.directory) is None:
        documents = [document for document in every if near.reaches(document)]
    if len(documents) == 1:
        work.note(f"model: from {documents[0].shown}")
        return of_asset(work, _read(work, documents[0]))
    if documents:
        found = ", ".join(document.shown for document in documents[:4])
        work.fail(spec.document.node, f"which model? there are {len(documents)} nearby: {found}", SAY)
        return []
    folder = _usual(spec.document.directory)
    if folder is not None:
        work.note(f"model: took the folder {display(folder)}; --model names another")
        return [Model(None, None, folder)]
    if spec.server == "custom":
        return []
    work.fail(spec.document.node, "nothing says which model is packed", SAY)
    return []


def _usual(directory: str) -> str | None:
    for name in _USUAL:
        path = os.path.join(directory, name)
        if os.path.isdir(path) and listed(path):
            return path
    return None


def _given(work: Work, text: str, directory: str, *, code: bool) -> list[Model]:
    """What `--model` names: a path, an address, a model by its name in the files near `directory`, or a model file of
    Azure ML. A folder of models gives them all, unless `code` says how they are loaded. Raises UsageError.
    """
    reference = parse_reference(text)
    if reference.place is Place.URI:
        return [Model(None, None, "", uri=text)]
    if reference.place is Place.STORE:
        raise UsageError(f"--model '{text}' is a store of Azure, which is not read here", hint=_TAKES)
    if reference.place is Place.ASSET:
        return _registered(work, reference, directory)
    if os.path.basename(text) == "MLmodel" and os.path.isfile(text):
        text = os.path.dirname(text)  # the mark of an MLflow model stands for its folder
    if not os.path.lexists(text):
        raise UsageError(f"there is no model '{display(text)}'", hint="--model takes a file, a folder or an address")
    if os.path.isfile(text) and text.endswith((".yml", ".yaml", ".json")):
        document = read_document(text, Problems())
        if document is not None and document.kind is Kind.MODEL:
            return of_asset(work, _read(work, document))
    work.directories.add(text if os.path.isdir(text) else os.path.dirname(text))
    if os.path.isdir(text) and not code and not os.path.isfile(os.path.join(text, "MLmodel")):
        several = [name for name in listed(text) if os.path.isfile(os.path.join(text, name, "MLmodel"))]
        if len(several) > 1:
            work.note(f"{display(text)} holds {len(several)} MLflow models: {', '.join(several)}")
            return [Model(name, None, os.path.join(text, name)) for name in several]
    return [Model(None, None, text)]


def _registered(work: Work, reference: Reference, directory: str) -> list[Model]:
    """A model that `--model` names as Azure ML does."""
    documents = work.near(directory).documents(Kind.MODEL)
    document = work.match(documents, reference.name, reference.version)
    if document is not None:
        return of_asset(work, _read(work, document))
    message = f"--model '{reference.text}': there is no model '{reference.asked}' in the files nearby"
    if "://" in reference.text:
        message += ", and a store of Azure is not read here"
    names = list(dict.fromkeys(name for item in documents if (name := text_of(item.node, "name"))))
    raise UsageError(message, hint=either(did_you_mean(reference.name, names, what="models nearby"), _TAKES))
