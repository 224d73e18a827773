"""Models and data assets: a name, a version, and where the files are."""

from typing import TypeVar

from buildrules.azureml.references import Reference, address
from buildrules.azureml.table import READ_ONLY, Key, LeftOut, Map
from buildrules.azureml.values import asset_name, choice, text, texts
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems

A = TypeVar("A", bound="Asset")
_FILES = "the file or folder"
_FLAVOURS = {"custom_model": "custom", "mlflow_model": "mlflow", "triton_model": "triton"}


class Asset(Map):
    """What both have."""

    schema = LeftOut("", "$schema")
    name = Key(asset_name)
    version = Key(asset_name)
    description = Key(text)
    tags = Key(texts)
    datastore = LeftOut("", "datastore", "auto_delete_setting")
    read_only = READ_ONLY

    path = Key(address, needs=_FILES)

    @property
    def place(self) -> Reference:
        """Where the files are."""
        assert self.path is not None
        return self.path


class InlineModel(Asset):
    """A model, written in place. `type` is its flavour: custom, mlflow or triton."""

    what = "a model"
    path = Key(address, "model_uri", needs=_FILES)
    type = Key(lambda value: _FLAVOURS[choice(*_FLAVOURS)(value)], "model_type")
    flavors = LeftOut("")
    notes = LeftOut(
        "notes of Azure's own", "properties", "stage", "job_name", "default_deployment_template",
        "allowed_deployment_templates",
    )  # fmt: skip

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
    notes = LeftOut("", "properties", "stage", "job_name")


def read_asset(rows: type[A], node: Node) -> A:
    """What the table `rows` reads in a map. Raises LoadError with all that is wrong."""
    found = rows(node, Problems())
    found.problems.raise_all()
    return found
