"""Actions: one hashed step each. Plain data, so that a plan can be kept between runs.

What the code-edit path imports has no dataclasses: importing them takes 8 ms of the 100 that an edit may cost.

An action names its inputs; what it does is decided by its `kind`, a class registered in
`actions.registry`. The engine computes keys, looks records up and calls `Kind.run`.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from buildrules.net.session import Session
from buildrules.oci.descriptor import Layer, is_digest
from buildrules.oci.supply import NOWHERE, Origin, Places
from buildrules.store.blobs import Blobs
from buildrules.store.statindex import Stat

NOTHING: Mapping[str, Any] = MappingProxyType({})


class SourceSet(NamedTuple):
    """Files of the workspace an action reads, as globs that are expanded anew at every build.

    `directory` is workspace-relative ("" is the root); `include` and `exclude` are globs below it.
    With `layer_prefix` set, a file of `oci.recipe.LARGE_FILE` bytes or more is identified by the
    digest of the layer it makes at `<layer_prefix>/<path below directory>`, and the smaller ones, if they
    are more than `oci.recipe.SMALL_LAYER` bytes, by that of the layer they make together: one pass over a
    large model gives its key and its layers at once.
    """

    directory: str
    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    layer_prefix: str | None = None
    allow_empty: bool = False


class SourceFile(NamedTuple):
    """One expanded file. `path` is workspace-relative, `name` is relative to the set's directory.

    `digest` is `sha256:<hex>` of the content. Where that is not known (`as_layer`) it is the digest of the uncompressed
    layer that the file makes alone; or it has `layer`, that of the layer which all smaller files of the set make, and
    `digest` follows from that and the name.
    """

    path: str
    name: str
    size: int
    mode: int  # 0o644 or 0o755
    digest: str
    as_layer: bool = False
    stat: Stat | None = None  # what it was hashed with, to see after the action whether it still is that
    layer: str = ""


def digest_in(layer: str, name: str) -> str:
    """What the file `name` goes by that is known as part of a layer only: `sha256:<hex>`, another for each file."""
    return "sha256:" + hashlib.sha256(f"{name} in {layer}".encode()).hexdigest()


def paths_of(root: str, files: Iterable[SourceFile]) -> dict[str, str]:
    """digest -> absolute path of a file of the workspace `root` that has it, for `oci.local`."""
    base = root.rstrip("/") + "/"
    return {file.digest: base + file.path for file in files if file.path}


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
    places: Places = NOWHERE  # where content may be fetched from: urls, mirrors; plain data, never hashed


class Outputs:
    """What an action made. `values` are plain JSON types; `blobs` are digests in the store."""

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
                raise ValueError(f"a blob of outputs is no digest: {digest!r}")
        return cls(layers=layers, values=values, blobs=blobs)


Progress = Callable[[str, int, int | None], None]
"""Called with (what, bytes done so far, bytes in all or None). Cheap; may be called often, from any thread."""


class Context(Protocol):
    """What an action may use besides its inputs."""

    workspace: str  # absolute path of the workspace root
    jobs: int
    session: Session

    @property
    def blobs(self) -> Blobs:
        """The store's blobs."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report progress of long work."""

    def count(self, *, read: int = 0, fetched: int = 0) -> None:
        """Add to the bytes read from the workspace and fetched from elsewhere."""

    def warn(self, message: str) -> None:
        """Tell the user something that is not an error."""

    @property
    def cancelled(self) -> bool:
        """True after Ctrl-C; long loops look at it now and then."""


class BuildContext(Context, Protocol):
    """What an action that starts programs, or moves layers, may use as well."""

    def origin_of(self, digest: str) -> Origin:
        """What the plan knows of the layer `digest`: where what it is made of is, or can be fetched from."""

    def at_cancel(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """While inside, Ctrl-C calls `stop`, from another thread: it ends what the action has started and waits for."""


class Kind(Protocol):
    """What a kind of action does. Stateless. `version` enters the key: raise it when outputs change."""

    name: str
    version: int

    def run(
        self,
        action: Action,
        sources: list[list[SourceFile]],
        deps: list[Outputs],
        context: BuildContext,
    ) -> Outputs:
        """Do the step: `sources` and `deps` are in the action's order. Raises BuildrulesError."""
