"""Models and data assets: a name, a version, and where the files are."""

from typing import TypeVar

from buildrules.azureml.references import address
from buildrules.azureml.specification import READ_ONLY
from buildrules.azureml.table import Key, LeftOut, Map, Value
from buildrules.azureml.values import asset_name, choice, text, texts
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems

__all__ = ["Asset", "DataFile", "InlineModel", "ModelFile", "read_asset"]

A = TypeVar("A", bound="Asset")
_FILES = "the file or folder"
_FLAVOURS = {"custom_model": "custom", "mlflow_model": "mlflow", "triton_model": "triton"}


def _flavour(value: Value) -> str:
    return _FLAVOURS[choice(*_FLAVOURS)(value)]


class Asset(Map):
    """What both have; paths start at `directory`."""

    schema = LeftOut("", "$schema")
    name = Key(asset_name)
    version = Key(asset_name)
    description = Key(text)
    tags = Key(texts)
    datastore = LeftOut("")
    read_only = READ_ONLY

    directory = ""
    path = Key(address, needs=_FILES)


class InlineModel(Asset):
    """A model, written in place. `type` is its flavour: custom, mlflow or triton."""

    what = "a model"
    path = Key(address, "model_uri", needs=_FILES)
    type = Key(_flavour, "model_type")
    flavors = LeftOut("")
    notes = LeftOut("notes of Azure's own", "properties", "stage", "job_name", "default_deployment_template")

    @property
    def comments(self) -> list[str]:
        """What the file says and a target does not."""
        found = []
        if self.tags:
            found.append(
                "tags of the model: " + ", ".join(f"{name}={said}" for name, said in sorted(self.tags.items()))
            )
        if left := dict(self.left_out()):
            names = [name for name in self.rows if name in left]
            found.append(f"{', '.join(names)} left out: {left[names[0]]}")
        return found


class ModelFile(InlineModel):
    """A model of its own file."""

    name = Key(asset_name, needs="")


class DataFile(Asset):
    """A data asset."""

    what = "a data asset"
    name = Key(asset_name, needs="")
    path = Key(address, "data_uri", needs=_FILES)
    type = Key(choice("uri_file", "uri_folder", "mltable"), "data_type")
    notes = LeftOut("", "properties", "auto_delete_setting", "job_name")


def read_asset(rows: type[A], node: Node, directory: str, problems: Problems) -> A | None:
    """What the table `rows` reads in a map; None where something is wrong. Paths start at `directory`."""
    found = rows(node, problems)
    found.directory = directory
    return found if found.sound and found.path is not None else None
