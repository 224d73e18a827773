"""Models: where their files are, and the targets they become."""

import os
import re
from dataclasses import dataclass
from typing import Any

from buildrules.azureml.assets import InlineModel
from buildrules.azureml.document import display
from buildrules.azureml.references import Place
from buildrules.azureml.targets import Local, Target, plain_name
from buildrules.azureml.work import Work, either
from buildrules.document.nodes import Node
from buildrules.errors import UsageError
from buildrules.workspace.suggest import did_you_mean

__all__ = ["SAY", "Model", "absolute", "already_packed", "checked", "listed", "model_target", "of_asset"]

SAY = "name it: --model PATH"


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


def listed(folder: str) -> list[str]:
    """The names in a folder, sorted. Raises UsageError where it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot read the folder '{display(folder)}': {reason}", hint="give yourself the right to read it"
        ) from error


def of_asset(work: Work, asset: InlineModel | None, hint: str = SAY) -> list[Model]:
    """The model of a model file. Errors are noted; `hint` is the way out where a store of Azure has the files."""
    if asset is None or asset.path is None:
        return []
    reference, node = asset.path, asset.at("path")
    if reference.place not in (Place.URI, Place.LOCAL):
        work.fail(node, f"'{reference.text}' is a store of Azure, which is not read here", hint)
        return []
    here = absolute(asset.directory, reference.text) if reference.place is Place.LOCAL else ""
    model = Model(asset.name, asset.version, here, None if here else reference.text, asset.type, node)
    model.description, model.comments = asset.description, tuple(asset.comments)
    return checked(work, model) if here else [model]


def checked(work: Work, model: Model) -> list[Model]:
    """The model, if its files are there and are what is said of them; errors are noted."""
    if os.path.lexists(model.path):
        if model.flavour == "mlflow" and not os.path.isfile(os.path.join(model.path, "MLmodel")) and model.node:
            work.fail(
                model.node, f"'{model.node.text}' is no MLflow model: it has no MLmodel", "or is it a custom_model?"
            )
        return [model]
    directory, name = os.path.split(model.path.rstrip("/"))
    there = listed(directory) if os.path.isdir(directory) else []
    hint = did_you_mean(name, there, what=f"what is in '{display(directory)}'", limit=8)
    assert model.node is not None
    work.fail(model.node, f"there is no '{display(model.path)}'", either(hint, SAY))
    return []


def absolute(directory: str, path: str) -> str:
    """A path that a file of `directory` names."""
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
    made = work.targets.add(name, "model", attributes, comments=comments, kind="model", node=model.node)
    if model.name is None and made not in work.nameless:
        work.nameless.append(made)
    return made


def already_packed(work: Work, model: Model) -> bool:
    """Whether a package took the very files of a model file, without its name, or with it and said less of them.

    A second target of the same files would be in nobody's use.
    """
    place = (Local(model.path) if model.path else None, model.uri)
    for target in work.targets.all:
        said = target.attributes
        if target.rule != "model" or (said.get("path"), said.get("uri")) != place:
            continue
        named = (said["name"], said.get("version")) == (model.name, model.version)
        if named or target in work.nameless:
            version = f":{model.version}" if model.version else ""
            target.comments += [] if named else [f"the same files are {model.name}{version}"]
            target.comments += [line for line in model.comments if line not in target.comments]
            return True
    return False


def _last(uri: str) -> str:
    """The last telling part of an address: the name of models:/NAME/VERSION, the file of a url."""
    found = re.match(r"models:/+([^/@]+)", uri)
    if found:
        return found[1]
    return os.path.splitext(re.split(r"[?#]", uri)[0].rstrip("/").rpartition("/")[2])[0] or "model"
