"""Models: where their files are, and the targets they become."""

import os
import re
from dataclasses import dataclass, field

from buildrules.authoring.paths import display
from buildrules.authoring.target import Local, NewTarget, plain_name
from buildrules.azureml.assets import InlineModel
from buildrules.azureml.conversion import Conversion, either
from buildrules.azureml.document import Kind, text_of
from buildrules.document.nodes import Node
from buildrules.errors import UsageError
from buildrules.workspace.suggest import did_you_mean

SAY = "name it: --model PATH"


@dataclass(slots=True)
class Model:
    """A model to be packed: `path` is absolute, or empty where `uri` says where it is."""

    path: str
    uri: str | None = None
    name: str | None = None
    version: str | None = None
    flavour: str | None = None
    node: Node | None = None
    description: str | None = None
    comments: list[str] = field(default_factory=list)

    @property
    def mlflow(self) -> bool:
        """Whether it is an MLflow model, as said or as the folder shows."""
        return self.flavour == "mlflow" if self.flavour is not None else self.marked

    @property
    def marked(self) -> bool:
        """Whether the folder has the mark of an MLflow model."""
        return bool(self.path) and os.path.isfile(os.path.join(self.path, "MLmodel"))


def listed(folder: str) -> list[str]:
    """The names in a folder, sorted. Raises UsageError where it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = "give yourself the right to read it"
        raise UsageError(f"cannot read the folder '{display(folder)}': {reason}", hint=hint) from error


def of_asset(conversion: Conversion, asset: InlineModel, hint: str = SAY, instead: Model | None = None) -> Model:
    """The model that a file or a map describes; `instead` says where it is, if not there.

    Raises LoadError; `hint` is the way out where a store of Azure has the files.
    """
    node = asset.at("path")
    model = instead or Model(*asset.place.files(asset.directory, node, hint))
    model.name, model.version, model.node = asset.name, asset.version, node
    model.flavour = model.flavour or asset.type
    model.description, model.comments = asset.description, asset.comments
    return checked(conversion, model)


def checked(conversion: Conversion, model: Model) -> Model:
    """The model. Raises LoadError where its files are not there; notes that they are not what is said of them."""
    if model.uri is not None:
        return model
    if os.path.lexists(model.path):
        if model.flavour == "mlflow" and not model.marked and model.node is not None:
            message = f"'{model.node.text}' is not an MLflow model: it has no MLmodel"
            conversion.fail(model.node, message, "or is it a custom_model?")
        return model
    directory, name = os.path.split(model.path.rstrip("/"))
    there = listed(directory) if os.path.isdir(directory) else []
    hint = did_you_mean(name, there, what=f"what is in '{display(directory)}'", limit=8)
    assert model.node is not None
    raise model.node.error(f"there is no '{display(model.path)}'", either(hint, SAY))


def model_target(conversion: Conversion, model: Model) -> NewTarget:
    """The target of a model."""
    name = model.name or ""
    if not name and model.path:
        name = os.path.basename(model.path.rstrip("/"))
        name = os.path.splitext(name)[0] if os.path.isfile(model.path) else name
    elif not name:  # of an address its last telling part
        found = re.match(r"(?:models:/+|hf://[^/]+/)([^/@]+)", model.uri or "")
        name = found[1] if found else last_of(model.uri or "", "model")
    attributes = {
        "path": Local(model.path) if model.path else None,
        "uri": model.uri,
        "download_uri": conversion.options.download_uri if model.path else None,
        "name": model.name or plain_name(name, "model"),
        "version": model.version,
        "flavour": model.flavour if model.flavour != "custom" or model.marked else None,
    }
    comments = [model.description, *model.comments]
    if model.uri and model.name and model.version and model.node is not None and _several(conversion, model.node, name):
        name = f"{name}-{model.version}"  # a lock is called after it
    made = conversion.targets.add(name, "model", attributes, comments=comments, node=model.node)
    if model.name is None and made not in conversion.nameless:
        conversion.nameless.append(made)
    return made


def _several(conversion: Conversion, node: Node, name: str) -> bool:
    """Whether the files near that of `node` have several versions of the model `name`."""
    near = conversion.near(os.path.dirname(os.path.abspath(node.source.path)))
    found = [document.node for document in near.documents(Kind.MODEL)]
    found += [document.node.entries.get("model") or document.node for document in near.documents(Kind.ONLINE)]
    return len({text_of(one, "version") for one in found if text_of(one, "name") == name}) > 1


def already_packed(conversion: Conversion, model: Model) -> bool:
    """Whether a package took the very files of a model file, without its name, or with it and said less of them.

    A second target of the same files would be in nobody's use.
    """
    place = (Local(model.path) if model.path else None, model.uri)
    for target in conversion.targets.all:
        said = target.attributes
        if target.rule != "model" or (said.get("path"), said.get("uri")) != place:
            continue
        named = (said["name"], said.get("version")) == (model.name, model.version)
        if named or target in conversion.nameless:
            version = f":{model.version}" if model.version else ""
            target.comments += [] if named else [f"the same files are {model.name}{version}"]
            target.comments += [line for line in model.comments if line not in target.comments]
            return True
    return False


def last_of(uri: str, otherwise: str) -> str:
    """The file that an address or a path names, without its ending."""
    return os.path.splitext(re.split(r"[?#]", uri)[0].rstrip("/").rpartition("/")[2])[0] or otherwise
