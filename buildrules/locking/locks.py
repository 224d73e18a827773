"""What settling found out about the world: everything that a plan needs to know besides the loaded workspace.

Plain values. Nothing here looks at the disk or the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from buildrules.engine.action import SourceSet
from buildrules.rules.contribution import VENV
from buildrules.rules.package import PackageParts, Placed
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.labels import Label

if TYPE_CHECKING:
    from buildrules.actions.models.lock import ModelLock
    from buildrules.actions.python.feeds import Feeds
    from buildrules.locking.conda.lock import CondaLock
    from buildrules.locking.debian.lock import Lock as DebianLock
    from buildrules.locking.python.lock import Lock as PythonLock
    from buildrules.locking.python.locked import LockedPackage
    from buildrules.locking.standalone.lock import InterpreterLock
    from buildrules.oci.descriptor import Layer


@dataclass(frozen=True, slots=True)
class Bytecode:
    """How sources are compiled for the Python of a base: what parameters and places of "bytecode_layer" are made of.

    `interpreter` names it by version; `library` is the folder in the image that holds its standard library, and
    `sources` are the recipe parts that bring it, "" where that has bytecode. `wheels` is the folder that holds those of
    environments. `places` say how it runs here, and where it and the sources are.
    """

    interpreter: str
    library: str
    sources: Sequence[Mapping[str, Any]]
    places: Mapping[str, Any]
    wheels: str = f"{VENV.strip('/')}/lib"


@dataclass(frozen=True, slots=True)
class LockedBase:
    """A base on a platform, and what an environment on it has to know.

    `python` is like "3.11.2", or "3.11" where no more is known; `interpreter` an absolute path in the image, "" without
    one; `glibc` like "2.36". `locks` maps workspace-relative paths of lock files to their digests. `variables` are
    those of the image it is, if it is one; `reference` names that image, `digest` is that of its manifest, or the ID it
    has in a Docker Engine, and it has `layers`. Otherwise `lock` says which Debian packages it has, or `standalone`
    which CPython is laid on the base `below`, whose locks and variables are here as well. Without `bytecode` nothing is
    compiled for it, and `uncompiled` may say why.
    """

    target: ResolvedTarget
    platform: str
    python: str | None
    interpreter: str
    glibc: str
    pins: str  # digest of what its lock pins it to, wherever the lock lies
    locks: Mapping[str, str]
    lock: "DebianLock | None" = None
    digest: str = ""
    reference: str = ""
    layers: "Sequence[Layer]" = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    bytecode: Bytecode | None = None
    uncompiled: str = ""
    standalone: "InterpreterLock | None" = None
    below: "LockedBase | None" = None
    free_threaded: bool = False

    @property
    def lowest(self) -> "LockedBase":
        """What everything stands on: the Debian root or the image of others, itself where there is nothing below."""
        return self.below.lowest if self.below is not None else self

    @property
    def own_locks(self) -> dict[str, str]:
        """`locks` without those of the base below."""
        below = self.below.locks if self.below is not None else {}
        return {path: digest for path, digest in self.locks.items() if path not in below}


@dataclass(frozen=True, slots=True)
class LockedConda:
    """The conda packages of an environment. `path` and `digest` are those of the lock's file."""

    lock: "CondaLock"
    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class LockedEnvironment:
    """An environment on a base, or what a server adds to one.

    `target` asked for it, `name` is the environment's, with a server's behind a plus sign. `added` are the packages
    to lay: all of the lock, or those that are not in the environment below. With `frame` what they lie in is to be laid
    as well: the virtual environment, or the packages `conda`, whose Python is then that of its `base`.
    `builder` runs build back ends for its Python, "" where nothing is known of it.
    `chosen` says why it has its Python, where that chose the base.
    """

    target: ResolvedTarget
    base: LockedBase
    name: str
    lock: "PythonLock"
    path: str  # of the lock, workspace-relative
    digest: str  # of the lock's file
    added: "Sequence[LockedPackage]"
    frame: bool
    feeds: "Feeds | None" = None  # where it was looked for; a server on top of it is looked for there too
    pins: str = ""  # digest of what the lock pins, wherever it lies
    exclude: tuple[str, ...] = ()  # distributions it goes without; so does a server on top of it
    prefer: tuple[str, ...] = ()  # distributions whose files are used where another brings the same
    builder: str = ""
    chosen: str = ""
    sources: Mapping[str, SourceSet] = field(default_factory=dict)  # of the projects in `added`, by folder
    conda: LockedConda | None = None

    @property
    def locks(self) -> dict[str, str]:
        """Workspace-relative path of the lock -> the digest of its file."""
        conda = {self.conda.path: self.conda.digest} if self.conda is not None else {}
        return {**conda, self.path: self.digest}


@dataclass(frozen=True, slots=True)
class LockedParts:
    """A package's parts, complete, and what they are locked to."""

    parts: PackageParts
    base: LockedBase
    env: LockedEnvironment | None
    server: LockedEnvironment | None  # None where the server brings no packages of its own

    @property
    def installed(self) -> list[LockedEnvironment]:
        """Environment and server, in the order of the image."""
        return [one for one in (self.env, self.server) if one is not None]

    @property
    def pins(self) -> dict[str, str]:
        """What base, environment and server are pinned to, as digests: the same wherever the locks lie."""
        found = {"base": self.base.pins}
        if self.env is not None:
            found["environment"] = self.env.pins
        if self.server is not None:
            found["server"] = self.server.pins
        return found


@dataclass(frozen=True, slots=True)
class LockedModel:
    """A model or input that is not in the workspace. `path` and `digest` are those of the lock's file."""

    target: ResolvedTarget
    lock: "ModelLock"
    path: str
    digest: str

    @property
    def places(self) -> dict[str, Any]:
        """Where its files come from, as actions take it (kind "fetched_model")."""
        return {
            "name": self.target.name,
            "source": dict(self.lock.source),
            "connection": self.target.values["connection"],
            "files": [file.to_dict() for file in self.lock.files],
            "archives": [archive.to_dict() for archive in self.lock.archives],
        }


@dataclass(slots=True)
class Locks:
    """What settling found out. By label and platform, but for models, which are the same on all.

    `sources` are the places that models and inputs are fetched from when a container starts (see `start.sources`).
    `folders` are those of the workspace's paths that targets name which are folders. `examples` are the requests that
    MLflow kept with models, as far as tests may send them. `unstartable` says of platforms why their images cannot be
    started here. `fetcher` is the digest of the program that fetches models at start.
    `differences` are lines about what is not equal in locks that were to be synced.
    """

    bases: dict[tuple[Label, str], LockedBase] = field(default_factory=dict)
    environments: dict[tuple[Label, str], LockedEnvironment] = field(default_factory=dict)
    packages: dict[tuple[Label, str], LockedParts] = field(default_factory=dict)
    models: dict[Label, LockedModel] = field(default_factory=dict)
    sources: dict[Label, dict[str, Any]] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    examples: dict[Label, bytes | None] = field(default_factory=dict)
    unstartable: dict[str, str] = field(default_factory=dict)
    fetcher: str = ""
    differences: list[str] = field(default_factory=list)

    def of_models(self, placed: Sequence[Placed]) -> dict[str, str]:
        """The locks of models and inputs: workspace-relative path -> `sha256:<hex>` of the file."""
        found = (self.models.get(one.target.label) for one in placed)
        return {one.path: one.digest for one in found if one is not None}

    def origins(self, placed: Sequence[Placed]) -> "dict[Label, ModelLock]":
        """The locks of those models and inputs that are not in the workspace."""
        found = {one.target.label: self.models.get(one.target.label) for one in placed}
        return {label: model.lock for label, model in found.items() if model is not None}
