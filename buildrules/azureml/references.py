"""How Azure ML names a thing that is elsewhere: assets of a workspace or registry, data stores, ARM ids, addresses."""

import os
import re
from dataclasses import dataclass
from enum import Enum

from buildrules.azureml.table import Value, camel
from buildrules.azureml.values import text
from buildrules.document.nodes import Node


class Place(Enum):
    """Where a reference leads."""

    LOCAL = "a path"
    ASSET = "an asset of Azure ML"
    STORE = "a data store of Azure"
    URI = "an address"
    INLINE = "nowhere else: it is written in place"


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference. `kind` is an asset's ("environments", "models", "data", ...) where the text says it."""

    text: str
    place: Place
    name: str = ""
    version: str | None = None
    label: str | None = None
    kind: str | None = None

    @property
    def asked(self) -> str:
        """Name and version as people write them."""
        version = f":{self.version}" if self.version else f"@{self.label}" if self.label else ""
        return f"{self.name}{version}"

    def files(self, directory: str, node: Node, hint: str) -> tuple[str, str | None]:
        """Where the files of a path or an address are: an absolute path, which starts at `directory`; or "" and a uri.

        Raises LoadError, at `node`, for what only Azure can read.
        """
        if self.place is Place.URI:
            return "", self.text
        if self.place is Place.LOCAL:
            return os.path.normpath(os.path.join(directory, self.text)), None
        raise node.error(f"'{self.text}' is a store of Azure, which is not read here", self.way_out(hint))

    def way_out(self, hint: str) -> str:
        """`hint`, or where the model is that Azure's registry has a copy of."""
        if re.search(r"registries/huggingface/models/", self.text, re.IGNORECASE):
            return f"it is a model of Hugging Face, which joins ORG and NAME by - here: --model hf://ORG/{self.name}"
        return hint


_ASSET = re.compile(
    r"(?:^|/)(?P<kind>environments|models|data|codes|code|components|datasets)/(?P<name>[^/]+)"
    r"(?:/(?P<what>versions|labels)/(?P<which>[^/]+))?/?$"
)
_SHORT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)(?:(?P<mark>[:@])(?P<which>[A-Za-z0-9_.-]+))?$")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?![0-9]|\\)")
_AZURE_STORES = ("wasb", "wasbs", "abfs", "abfss", "adl")


def parse_reference(text: str, *, short: bool = False) -> Reference:
    """Read one of: azureml:N:V, azureml:N@LABEL, azureml://registries|locations|subscriptions|models/..., an ARM id
    (/subscriptions/...), azureml://datastores/..., azureml://jobs/..., wasbs://..., runs:/..., http(s)://..., a path.

    With `short` also `N:V` and `N@LABEL` without the scheme. (SDK: azure.ai.ml._utils._arm_id_utils)
    """
    text = text.strip()
    body = text.removeprefix("azureml:") if text.startswith("azureml:") else None
    if text.lower().startswith("/subscriptions/"):
        body = text
    if body is None:
        return _other(text, short=short)
    if re.search(r"(^|/)(datastores|jobs)/[^/]+/", body):
        return Reference(text, Place.STORE)
    found = _ASSET.search(body)
    if found:
        label = found["which"] if found["what"] == "labels" else None
        version = found["which"] if found["what"] == "versions" else None
        kind = {"code": "codes", "datasets": "data"}.get(found["kind"], found["kind"])
        return Reference(text, Place.ASSET, found["name"], version, label, kind)
    return _short(text, body) or Reference(text, Place.ASSET, body.rstrip("/").rpartition("/")[2])


def _other(text: str, *, short: bool) -> Reference:
    if text.startswith("file:"):
        return Reference(re.sub(r"^file:(//)?", "", text), Place.LOCAL)
    scheme = _SCHEME.match(text)
    if scheme and (f"{scheme[1]}://" in text or scheme[1] in ("runs", "models")):
        store = scheme[1].lower() in _AZURE_STORES
        return Reference(text, Place.STORE if store else Place.URI)
    if short and (found := _short(text, text)):
        return found
    return Reference(text, Place.LOCAL)


def _short(text: str, body: str) -> Reference | None:
    found = _SHORT.fullmatch(body)
    if found is None:
        return None
    version = found["which"] if found["mark"] == ":" else None
    label = found["which"] if found["mark"] == "@" else None
    return Reference(text, Place.ASSET, found["name"], version, label)


@dataclass(slots=True)
class Named:
    """What a key names: a reference to something that has a file of its own, or that thing, written in place."""

    node: Node
    reference: Reference
    inline: Node | None = None


def address(value: Value) -> Reference:
    """A reference, or a path."""
    return parse_reference(text(value))


def named(value: Value) -> Named:
    """A reference, with or without `azureml:`; or a map."""
    node = value.node
    if node.kind != "map":
        return Named(node, parse_reference(text(value), short=True))
    # What REST writes (AssetReferenceBase): {referenceType: Id, assetId}, {referenceType: DataPath, datastoreId, path},
    # {referenceType: OutputPath, jobId, path}
    said = {camel(key): one.text for key, one in node.entries.items() if one.kind == "scalar"}
    if "assetId" in said:
        return Named(node, parse_reference(said["assetId"], short=True))
    if "referenceType" in said and ("datastoreId" in said or "jobId" in said):
        return Named(node, Reference(said.get("path") or said["referenceType"], Place.STORE))
    return Named(node, Reference("", Place.INLINE), node)
