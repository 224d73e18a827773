"""What the built-in kinds make besides layers: the values of their outputs.

Kinds make them with these constructors, and a record whose values have another form is none: whoever reads values by
name finds them there, of the right type.
"""

from collections.abc import Mapping, Sequence

from buildrules.engine.action import Outputs
from buildrules.engine.form import misfit
from buildrules.errors import IntegrityError
from buildrules.oci.config import checked_config
from buildrules.oci.recipe import check
from buildrules.typed import Any, NamedTuple


class NothingMade(NamedTuple):
    """Of kinds that make layers only, or nothing."""


class ModelMade(NamedTuple):
    """Of "model_layers" and "fetched_model": see `actions.models.layers`."""

    bytes: int
    files: int
    layers: Sequence[str]
    models: Mapping[str, str]


class StartMade(NamedTuple):
    """Of "start_layers": see `actions.models.start`."""

    layers: Sequence[str]
    models: Mapping[str, str]


class WheelMade(NamedTuple):
    """Of "wheel_layer": what can be imported."""

    modules: Sequence[str]


class BytecodeMade(NamedTuple):
    """Of "bytecode_layer": how many sources were compiled, and how many could not be."""

    files: int
    skipped: int


class CondaMade(NamedTuple):
    """Of "conda_layer": what can be imported, rows of name and version of Python's distributions, and the file names of
    packages by their modules, below what many may share."""

    modules: Sequence[str]
    distributions: Sequence[tuple[str, str]]
    owners: Mapping[str, str]


class BuiltWheelMade(NamedTuple):
    """Of "build_wheel": `size` in bytes; the wheel is the blob "wheel"."""

    filename: str
    name: str
    version: str
    size: int


class DebianMade(NamedTuple):
    """Of "debian_layers": like "3.11", like "3.11.2" (None without Python), and what each layer holds."""

    python: str | None
    python_version: str | None
    layers: Sequence[str]


class BaseMade(NamedTuple):
    """Of "oci_base": see `actions.oci_base`."""

    config: Mapping[str, Any]
    python: str | None
    python_version: str | None
    platform: str


class FindingsMade(NamedTuple):
    """Of "lint": rows as of `lints.finding.Finding`."""

    findings: Sequence[tuple[str, str, str, str, int, int, str]]


class PackageTestMade(NamedTuple):
    """Of "package_test": see `actions.testing`."""

    requests: int
    seconds: float
    ready_seconds: float
    runner: str
    flaky: str


class ImageMade(NamedTuple):
    """Of "image": `size` in bytes, of manifest, config and layers."""

    digest: str
    config_digest: str
    size: int
    platform: str


class IndexMade(NamedTuple):
    """Of "index": `size` in bytes, of it, its images and their layers, each once; digests of manifests by platform."""

    digest: str
    size: int
    platforms: Mapping[str, str]


_MADE: dict[str, tuple[type[tuple[Any, ...]], tuple[str, ...]]] = {
    **dict.fromkeys(
        ("entry_script", "files_layer", "group", "inline_layer", "installed", "python_layer"), (NothingMade, ())
    ),
    **dict.fromkeys(("model_layers", "fetched_model"), (ModelMade, ())),
    "start_layers": (StartMade, ()),
    "wheel_layer": (WheelMade, ()),
    "bytecode_layer": (BytecodeMade, ()),
    "conda_layer": (CondaMade, ()),
    "build_wheel": (BuiltWheelMade, ("wheel",)),
    "debian_layers": (DebianMade, ()),
    "oci_base": (BaseMade, ("manifest", "config")),
    "lint": (FindingsMade, ()),
    "package_test": (PackageTestMade, ()),
    "image": (ImageMade, ("manifest", "config")),
    "index": (IndexMade, ("index",)),
}
"""Kind -> the form of its values, and the blobs it makes in any case."""


def fits(kind: str, outputs: Outputs) -> bool:
    """Whether outputs from elsewhere are such as the kind makes. Of a kind from a plugin nobody knows."""
    values, blobs = outputs.values, outputs.blobs
    if kind in _MADE:
        form, named = _MADE[kind]
        fields = form.__annotations__
        if values.keys() != fields.keys() or misfit(form, tuple(values[name] for name in fields)) is not None:
            return False
        if not blobs.keys() >= {*named} or len(values.get("layers", outputs.layers)) != len(outputs.layers):
            return False
    try:
        checked_config(values.get("config") or {})
        for layer in outputs.layers:
            if layer.recipe is not None:
                check(layer.recipe)
    except (ValueError, IntegrityError):
        return False
    return True
