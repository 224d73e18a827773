"""Actions: one hashed step each. Plain data, so that a plan can be kept between runs.

What the code-edit path imports has no dataclasses: importing them takes 8 ms of the 100 that an edit may cost.

An action names its inputs; what it does is decided by its `kind`, a class registered in `actions.registry`. With its
inputs read it becomes a step (`engine.step`), which has a key and can be run.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from buildrules.oci.descriptor import Layer, is_digest
from buildrules.oci.supply import NOWHERE, Places
from buildrules.sha256 import digest_of
from buildrules.store.statindex import Stat
from buildrules.typed import Any, NamedTuple

FOLDER = 0o40755
"""The mode of an empty folder among files."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


class SourceSet(NamedTuple):
    """Files of the workspace an action reads, as globs that are expanded anew at every build.

    `directory` is workspace-relative ("" is the root); `include` and `exclude` are globs below it.
    With `layer_prefix` set, a file of `oci.recipe.LARGE_FILE` bytes or more is identified by the
    digest of the layer it makes at `<layer_prefix>/<path below directory>`, and the smaller ones, if they
    are more than `oci.recipe.SMALL_LAYER` bytes, by that of the layer they make together: one pass over a
    large model gives its key and its layers at once. Of such a set links stay links, where they lead to something else
    in it, and so do empty folders.
    """

    directory: str
    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    layer_prefix: str | None = None
    allow_empty: bool = False


class SourceFile(NamedTuple):
    """One expanded file. `path` is workspace-relative, `name` is relative to the set's directory.

    `digest` is `sha256:<hex>` of the content. Where that is not known, `as_layer` is the file's path in the image: the
    digest is that of the uncompressed layer with this one file there, or follows from the name and from `layer`, the
    digest of the layer that all smaller files of the set make together. What is no file but a link has what it says in
    `link`, an empty folder a `mode` of 0o755 with the bit for folders; the digest of either is that of what it says.
    """

    path: str
    name: str
    size: int
    mode: int  # 0o644 or 0o755
    digest: str
    as_layer: str | None = None
    stat: Stat | None = None  # what it was hashed with, to see after the action whether it still is that
    layer: str = ""
    link: str = ""

    @property
    def plain(self) -> bool:
        """Whether it is a file that has bytes."""
        return not self.link and self.mode != FOLDER


def digest_in(layer: str, name: str) -> str:
    """What the file `name` goes by that is known as part of a layer only: `sha256:<hex>`, another for each file."""
    return digest_of(f"{name} in {layer}".encode())


def paths_of(root: str, files: Iterable[SourceFile]) -> dict[str, str]:
    """digest -> absolute path of a file of the workspace `root` that has it, for `oci.local`."""
    base = root.rstrip("/") + "/"
    return {file.digest: base + file.path for file in files if file.path and file.plain}


class Action(NamedTuple):
    """One step. What enters the key names no place: `kind`, `params`, `roles`, and what `sources` and `deps` hold."""

    id: str  # unique in a plan
    target: str  # label of the target that asked for it
    kind: str  # name in actions.registry
    title: str  # what a person reads: "numpy 2.3.1"
    params: Mapping[str, Any] = NOTHING  # plain JSON types
    sources: tuple[SourceSet, ...] = ()
    deps: tuple[str, ...] = ()  # ids of actions whose outputs are read, in order
    roles: tuple[str, ...] = ()  # what each of them is to this action, by its content; none where order says it
    weight: float = 1.0  # rough seconds, for the critical path
    places: Places = NOWHERE  # plain data, see `oci.supply.Places`; never hashed


def stored_blobs(layers: Iterable[Layer]) -> dict[str, str]:
    """The blobs of layers that were made once and have no recipe: the outputs that bring them must name them."""
    return {f"layer {number}": layer.digest for number, layer in enumerate(layers) if layer.recipe is None}


class Outputs:
    """What an action made. `values` are plain JSON types; `blobs` are digests that must be in the store."""

    __slots__ = ("blobs", "layers", "values")

    def __init__(
        self,
        layers: list[Layer] | None = None,
        values: dict[str, Any] | None = None,
        blobs: dict[str, str] | None = None,
    ) -> None:
        self.layers = layers or []
        self.values = values or {}
        self.blobs = blobs or {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outputs) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Outputs({self.layers!r}, {self.values!r}, {self.blobs!r})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for a record."""
        return {"layers": [layer.to_dict() for layer in self.layers], "values": self.values, "blobs": self.blobs}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Outputs":
        """Read what `to_dict` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        layers = [Layer.from_dict(item) for item in data["layers"]]
        values, blobs = data["values"], data["blobs"]
        if not isinstance(values, dict) or not isinstance(blobs, dict):
            raise TypeError("values and blobs of outputs are objects")
        for digest in blobs.values():
            if not is_digest(digest):
                raise ValueError(f"a blob of outputs is not a digest: {digest!r}")
        return cls(layers=layers, values=values, blobs=blobs)
