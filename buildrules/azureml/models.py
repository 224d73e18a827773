"""The model of a package: the one the user names, the one a file names, or the one that lies there."""

import os
import re
from dataclasses import dataclass
from typing import Any

from buildrules.azureml.document import Document, Kind, display, read_document
from buildrules.azureml.model import Asset, read_model
from buildrules.azureml.neighbourhood import matching, text_of
from buildrules.azureml.references import Place, Reference, parse_reference
from buildrules.azureml.specification import Specification
from buildrules.azureml.targets import Local, Target, plain_name
from buildrules.azureml.work import Work, either
from buildrules.errors import UsageError
from buildrules.workspace.nodes import Node
from buildrules.workspace.problems import Problems
from buildrules.workspace.suggest import did_you_mean

__all__ = ["Model", "find_models", "model_target", "models_of_document"]

_USUAL = ("model", "models", "outputs/model")
_SAY = "name it: --model PATH"


@dataclass(slots=True)
class Model:
    """A model to be packed: `path` is absolute, or empty where `uri` says where it is."""

    name: str | None
    version: str | None
    path: str
    uri: str | None = None
    flavour: str | None = None
    node: Node | None = None
    description: str | None = None
    comments: tuple[str, ...] = ()

    @property
    def mlflow(self) -> bool:
        """Whether it is an MLflow model, as said or as the folder shows."""
        if self.flavour is not None:
            return self.flavour == "mlflow"
        return bool(self.path) and os.path.isfile(os.path.join(self.path, "MLmodel"))


def find_models(work: Work, spec: Specification) -> list[Model]:
    """The models of a package, mostly one. Errors are noted; then the list may be empty."""
    named = spec.model
    if work.options.models:
        found = [model for path in work.options.models for model in _given(work, path, bool(spec.code))]
        if len(found) == 1 and named is not None and found[0].name is None:
            found[0].name, found[0].version = _called(named.reference, named.inline)
        return found
    if named is None:
        return [] if spec.deployment else _unnamed(work, spec)
    if named.inline is not None:
        asset = read_model(named.inline, spec.document.directory, work.problems, named=False)
        return _of_asset(work, asset)
    assert named.reference is not None
    return _referred(work, named.node, named.reference, spec.document.directory)


def _referred(work: Work, node: Node, reference: Reference, directory: str) -> list[Model]:
    """A model that is named by a path, an address or its registered name."""
    if reference.place is Place.LOCAL or os.path.lexists(os.path.join(directory, reference.text)):
        return _checked(work, Model(None, None, _absolute(directory, reference.text), node=node))
    if reference.place is Place.URI:
        return [Model(None, None, "", uri=reference.text, node=node)]
    if reference.place is Place.STORE:
        work.fail(node, f"'{reference.text}' is a store of Azure, which is not read here", _SAY)
        return []
    documents = work.near(directory).documents(Kind.MODEL)
    document = matching(documents, reference.name, reference.version)
    if document is not None:
        return _of_asset(work, _read(work, document))
    folder = _usual(directory)
    if folder is not None:
        work.note(f"model '{reference.asked}': no file describes it; took the folder {display(folder)}")
        return [Model(reference.name, reference.version, folder, node=node)]
    names = [name for item in documents if (name := text_of(item.node, "name"))]
    hint = did_you_mean(reference.name, names, what="models nearby")
    work.fail(
        node,
        f"there is no model '{reference.asked}' in the files nearby",
        either(hint, _SAY),
    )
    return []


def _called(reference: Reference | None, inline: Node | None) -> tuple[str | None, str | None]:
    if inline is not None:
        return text_of(inline, "name"), text_of(inline, "version")
    if reference is not None and reference.place is Place.ASSET:
        return reference.name, reference.version
    return None, None


def _read(work: Work, document: Document) -> Asset | None:
    work.files.add(document.path)
    return read_model(document.node, document.directory, work.problems, named=True)


def models_of_document(work: Work, document: Document) -> list[Model]:
    """The model a file describes. Errors are noted."""
    return _of_asset(work, _read(work, document))


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
        return _of_asset(work, _read(work, documents[0]))
    if documents:
        found = ", ".join(document.shown for document in documents[:4])
        work.fail(spec.document.node, f"which model? there are {len(documents)} nearby: {found}", _SAY)
        return []
    folder = _usual(spec.document.directory)
    if folder is not None:
        work.note(f"model: took the folder {display(folder)}; --model names another")
        return [Model(None, None, folder)]
    if spec.server == "custom":
        return []
    work.fail(spec.document.node, "nothing says which model is packed", _SAY)
    return []


def _usual(directory: str) -> str | None:
    for name in _USUAL:
        path = os.path.join(directory, name)
        if os.path.isdir(path) and _listed(path):
            return path
    return None


def _listed(folder: str) -> list[str]:
    """The names in a folder, sorted. Raises UsageError where it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot read the folder '{display(folder)}': {reason}", hint="give yourself the right to read it"
        ) from error


def _given(work: Work, text: str, code: bool) -> list[Model]:
    """What `--model` names: a path, an address, or a model file of Azure ML. A folder of models gives them all."""
    reference = parse_reference(text)
    if reference.place is Place.URI:
        return [Model(None, None, "", uri=text)]
    if not os.path.lexists(text):
        raise UsageError(f"there is no model '{display(text)}'", hint="--model takes a file, a folder or an address")
    if os.path.isfile(text) and text.endswith((".yml", ".yaml", ".json")):
        document = read_document(text, Problems())
        if document is not None and document.kind is Kind.MODEL:
            return _of_asset(work, _read(work, document))
    work.directories.add(text if os.path.isdir(text) else os.path.dirname(text))
    if os.path.isdir(text) and not code and not os.path.isfile(os.path.join(text, "MLmodel")):
        several = [name for name in _listed(text) if os.path.isfile(os.path.join(text, name, "MLmodel"))]
        if len(several) > 1:
            work.note(f"{display(text)} holds {len(several)} MLflow models: {', '.join(several)}")
            return [Model(name, None, os.path.join(text, name)) for name in several]
    return [Model(None, None, text)]


def _of_asset(work: Work, asset: Asset | None) -> list[Model]:
    if asset is None:
        return []
    reference = asset.path
    if reference.place is Place.URI:
        model = Model(asset.name, asset.version, "", reference.text, asset.flavour, asset.path_node, asset.description)
        model.comments = _remarks(asset)
        return [model]
    if reference.place is not Place.LOCAL:
        work.fail(asset.path_node, f"'{reference.text}' is a store of Azure, which is not read here", _SAY)
        return []
    path = _absolute(asset.directory, reference.text)
    model = Model(asset.name, asset.version, path, None, asset.flavour, asset.path_node, asset.description)
    model.comments = _remarks(asset)
    return _checked(work, model)


def _remarks(asset: Asset) -> tuple[str, ...]:
    """What a model file says and a target does not."""
    found = []
    if asset.tags:
        found.append("tags of the model: " + ", ".join(f"{name}={text}" for name, text in sorted(asset.tags.items())))
    if asset.left_out:
        found.append(f"{', '.join(asset.left_out)} left out: notes of Azure's own")
    return tuple(found)


def _checked(work: Work, model: Model) -> list[Model]:
    if os.path.lexists(model.path):
        if model.flavour == "mlflow" and not os.path.isfile(os.path.join(model.path, "MLmodel")) and model.node:
            work.fail(
                model.node, f"'{model.node.text}' is no MLflow model: it has no MLmodel", "or is it a custom_model?"
            )
        return [model]
    directory, name = os.path.split(model.path.rstrip("/"))
    there = _listed(directory) if os.path.isdir(directory) else []
    hint = did_you_mean(name, there, what=f"what is in '{display(directory)}'", limit=8)
    assert model.node is not None
    work.fail(model.node, f"there is no '{display(model.path)}'", either(hint, _SAY))
    return []


def _absolute(directory: str, path: str) -> str:
    return os.path.normpath(os.path.join(directory, path))


def model_target(work: Work, model: Model) -> Target:
    """The target of a model."""
    name = model.name or (os.path.basename(model.path.rstrip("/")) if model.path else _last(model.uri or ""))
    if model.name is None and model.path and os.path.isfile(model.path):
        name = os.path.splitext(name)[0]
    attributes: dict[str, Any] = {
        "path": Local(model.path) if model.path else None,
        "uri": model.uri,
        "download_uri": work.options.download_uri if model.path else None,
        "name": model.name,
        "version": model.version,
        "flavour": model.flavour,
    }
    if model.flavour == "custom" and not os.path.isfile(os.path.join(model.path or "/", "MLmodel")):
        attributes["flavour"] = None
    comments = [*([model.description] if model.description else []), *model.comments]
    if model.name is None:
        attributes["name"] = plain_name(name, "model")
    return work.targets.add(name, "model", attributes, comments=comments, kind="model")


def _last(uri: str) -> str:
    """The last telling part of an address: the name of models:/NAME/VERSION, the file of a url."""
    found = re.match(r"models:/+([^/@]+)", uri)
    if found:
        return found[1]
    return os.path.splitext(re.split(r"[?#]", uri)[0].rstrip("/").rpartition("/")[2])[0] or "model"
