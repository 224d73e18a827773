"""The model of a package: the one the user names, the one a file names, or the one that lies there."""

import os

from buildrules.authoring.paths import display
from buildrules.azureml.assets import InlineModel, ModelFile, read_asset
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.document import Document, Kind, read_document, text_of
from buildrules.azureml.models import SAY, Model, checked, listed, of_asset
from buildrules.azureml.references import Named, Place, Reference, parse_reference
from buildrules.azureml.specification import Specification
from buildrules.document.problems import Problems
from buildrules.errors import UsageError
from buildrules.workspace.disk import NAMES

_USUAL = ("model", "models", "outputs/model")
_TAKES = "get it with `az ml model download`, and name the folder: --model PATH"


def find_models(conversion: Conversion, spec: Specification) -> list[Model]:
    """The models of a package, mostly one. Raises LoadError."""
    named, directory = spec.model, spec.document.directory
    if conversion.options.models:
        code = spec.code is not None
        found = [one for path in conversion.options.models for one in _given(conversion, path, directory, code=code)]
        if len(found) == 1 and named is not None and found[0].name is None:
            found[0].name, found[0].version = _called(named)
        return found
    if named is None:
        return [] if spec.deployment else _unnamed(conversion, spec)
    if named.inline is not None:
        return [of_asset(conversion, read_asset(InlineModel, named.inline))]
    return [_referred(conversion, named, directory)]


def _called(named: Named) -> tuple[str | None, str | None]:
    """The name and version of a model that a file names."""
    if named.reference.place is Place.ASSET:
        return named.reference.name, named.reference.version
    return text_of(named.inline, "name"), text_of(named.inline, "version")


def _referred(conversion: Conversion, named: Named, directory: str) -> Model:
    """A model that is named by a path, an address or its registered name."""
    reference = named.reference
    path = os.path.normpath(os.path.join(directory, reference.text))
    if os.path.lexists(path):
        return checked(conversion, Model(path, node=named.node))
    if reference.place is not Place.ASSET:
        return checked(conversion, Model(*reference.files(directory, named.node, SAY), node=named.node))
    document = conversion.asset(directory, reference, Kind.MODEL)
    if document is not None:
        return of_asset(conversion, read_asset(ModelFile, document.node))
    folder = _usual(directory)
    if folder is not None:
        conversion.note(f"model '{reference.asked}': no file describes it; took the folder {display(folder)}")
        return Model(folder, None, reference.name, reference.version, node=named.node)
    raise named.node.error(*conversion.missing(directory, reference, reference.way_out(SAY), Kind.MODEL))


def models_of_document(conversion: Conversion, document: Document) -> list[Model]:
    """The model a file describes. Raises LoadError.

    One that lies in a store of Azure is where `--model` says, if this file is the only one that may be meant.
    """
    asset, models = read_asset(ModelFile, document.node), conversion.options.models
    if asset.place.place not in (Place.STORE, Place.ASSET):
        return [of_asset(conversion, asset)]
    only = sum(one.kind is Kind.MODEL for one in conversion.documents) == 1
    if len(models) != 1 or not only:
        hint = SAY if only else "import this file by itself, with --model PATH"
        return [of_asset(conversion, asset, hint)]
    found = _given(conversion, models[0], document.directory, code=True)
    return [of_asset(conversion, asset, instead=one) for one in found]


def _unnamed(conversion: Conversion, spec: Specification) -> list[Model]:
    """A package names no model: Azure takes it from the command line.

    Else a model file that the user named, or that stands beside the package or below, else the folder `model`, else
    a model file nearby.
    """
    near, folder = conversion.near(spec.document.directory), _usual(spec.document.directory)
    every = near.documents(Kind.MODEL)
    documents = [document for document in every if document.path in conversion.named]
    documents = documents or [document for document in every if near.inside(document)]
    if not documents and folder is None:
        documents = [document for document in every if near.reaches(document)]
    if len(documents) == 1:
        conversion.note(f"model: from {documents[0].display}")
        return [of_asset(conversion, read_asset(ModelFile, documents[0].node))]
    if documents:
        found = ", ".join(document.display for document in documents[:4])
        raise spec.document.node.error(f"which model? there are {len(documents)} nearby: {found}", SAY)
    if folder is not None:
        conversion.note(f"model: took the folder {display(folder)}; --model names another")
        return [Model(folder)]
    if spec.server != "custom":
        raise spec.document.node.error("nothing says which model is packed", SAY)
    return []


def _usual(directory: str) -> str | None:
    folders = [os.path.join(directory, name) for name in _USUAL]
    return next((folder for folder in folders if os.path.isdir(folder) and listed(folder)), None)


def _given(conversion: Conversion, text: str, directory: str, *, code: bool) -> list[Model]:
    """What `--model` names: a path, an address, a model by its name in the files near `directory`, or a model file of
    Azure ML. A folder of models gives them all, unless `code` says how they are loaded. Raises UsageError.
    """
    reference = parse_reference(text)
    if reference.place is Place.URI:
        return [Model("", text)]
    if reference.place is Place.STORE:
        raise UsageError(f"--model '{text}' is a store of Azure, which is not read here", hint=_TAKES)
    if reference.place is Place.ASSET:
        return [_registered(conversion, reference, directory)]
    if os.path.basename(text) == "MLmodel" and os.path.isfile(text):
        text = os.path.dirname(text)  # the mark of an MLflow model stands for its folder
    if not os.path.lexists(text):
        raise UsageError(f"there is no model '{display(text)}'", hint="--model takes a file, a folder or an address")
    if os.path.isfile(text) and text.endswith((".yml", ".yaml", ".json")):
        document = read_document(conversion.disk, text, Problems())
        if document is not None and document.kind is Kind.MODEL:
            return [of_asset(conversion, read_asset(ModelFile, document.node))]
    found = Model(text)
    if not os.path.isdir(text):
        conversion.disk.note(NAMES, os.path.dirname(text))
        return [found]
    conversion.disk.note(NAMES, text)
    if not code and not found.marked:
        inside = [Model(os.path.join(text, name), name=name) for name in listed(text)]
        several = [model for model in inside if model.marked]
        if len(several) > 1:
            names = ", ".join(model.name or "" for model in several)
            conversion.note(f"{display(text)} holds {len(several)} MLflow models: {names}")
            return several
    return [found]


def _registered(conversion: Conversion, reference: Reference, directory: str) -> Model:
    """A model that `--model` names as Azure ML does."""
    document = conversion.asset(directory, reference, Kind.MODEL)
    if document is not None:
        return of_asset(conversion, read_asset(ModelFile, document.node))
    message, hint = conversion.missing(directory, reference, reference.way_out(_TAKES), Kind.MODEL)
    store = ", and a store of Azure is not read here" if "://" in reference.text else ""
    raise UsageError(f"--model '{reference.text}': {message}{store}", hint=hint)
