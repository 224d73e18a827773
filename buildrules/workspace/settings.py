"""The `workspace:` section of the root BUILD.yaml.

Imports pydantic; only imported when a BUILD.yaml is read.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from buildrules.credentials.connections import variable_name
from buildrules.errors import UsageError
from buildrules.executors.opening import scheme_of
from buildrules.remote.keys import MAIN, is_namespace
from buildrules.workspace.connection import Address, Connection, Name, Secret
from buildrules.workspace.validation import Strict, fitting

Platform = Literal["linux/amd64", "linux/arm64"]

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


_CONFIGURATION = re.compile(r"(?!default$)[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_NO_CONFIGURATION = "{} is not the name of a configuration: use letters, digits and `_`, and not `default`"


def _lies_inside(path: str) -> bool:
    return path[:1] not in ("/", "~") and "\\" not in path and not {"", ".", ".."} & {*path.split("/")}


InnerPath = Annotated[str, fitting(_lies_inside, "{} is not a path inside the workspace")]


class Cache(Strict):
    """The shared cache: a place to borrow results from. It can only save time."""

    remote: Address | list[Address] | None = None
    """Address of the cache; its scheme chooses the protocol. Of several the nearest is the first."""
    upload: Literal["never", "ci", "always"] = "ci"
    """Who writes: nobody, builds whose variable `CI` says true, everybody."""
    connection: str | None = None
    """Name of the connection whose credentials are used."""
    public_keys: list[InnerPath] = Field(default_factory=list)
    """Files with the public keys of builds that are trusted."""
    signing_key: Secret | None = None
    """The key that signs what this build writes."""
    signatures: Literal["off", "warn", "require"] | None = None
    """What to do about records without a trusted signature; to warn where a key is named, and nothing where none is."""
    namespace: Annotated[str, fitting(is_namespace, "{} is not the name of a namespace: main, pull-request/7")] = MAIN
    """Where this workspace's builds write; they read there, and in `main`."""


class WorkerClass(Strict):
    """A size of workers. A test is run by the first class that has what `resources` of its package asks for."""

    cpu: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Processors of such a worker; enough for all if left out."""
    memory: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}[MG]i$")] | None = None
    """Memory of such a worker, as 512Mi or 4Gi; enough for all if left out."""
    gpu: Annotated[int, Field(ge=0)] = 0
    """GPUs of such a worker."""
    properties: dict[str, str] = Field(default_factory=dict)
    """What such a worker has, as the engine names it."""


def _executor(value: str) -> str:
    try:
        if value != "local":
            scheme_of(value)
    except UsageError as error:
        raise PydanticCustomError("executor", "{said}", {"said": error.message, "hint": error.hint}) from None
    return value


ExecutorAddress = Annotated[Address, AfterValidator(_executor)]


class ExecutorTls(Strict):
    """Files (PEM) that a Dask cluster knows this client by; what Dask's own configuration names if left out. Relative
    paths start at the workspace."""

    authority: str | None = None
    """File with the certificate of the cluster's authority."""
    certificate: str | None = None
    """File with the certificate of this client."""
    key: str | None = None
    """File with the key of that certificate."""


class Executor(Strict):
    """Where steps are run: an execution engine that exists. What belongs to this host is run here in any case."""

    url: ExecutorAddress
    """Its address: grpc://HOST:PORT/INSTANCE or grpcs:// (Remote Execution API), dask+tls://HOST:PORT (Dask)."""
    connection: str | None = None
    """Name of the connection whose credentials are used, for the Remote Execution API."""
    shortest: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Steps shorter than so many seconds are run here; a round trip if left out. 0 sends all that may be sent."""
    runners: list[Literal["docker", "podman", "rootfs"]] = Field(default_factory=list)
    """Runners of package tests that its workers have, the most wanted first: with one of them tests are run there."""
    properties: dict[str, str] = Field(default_factory=dict)
    """What a worker must have, as the engine names it: platform properties, or resources of Dask."""
    classes: list[WorkerClass] = Field(default_factory=list)
    """Sizes of workers, the smallest first."""
    queued: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds that a step waits for a worker while no other step of the build gets one: 300 if left out."""
    trusted: bool = False
    """Whether its answers are believed unsigned where the workspace requires signatures."""
    tls: ExecutorTls = ExecutorTls()
    """Certificates of a Dask cluster."""


class Debian(Strict):
    """Where `debian_base` gets packages from; apt's usual places if left out."""

    mirror: Address | None = None
    """Address of the package mirror."""
    security_mirror: Address | None = None
    """Address of the mirror of security updates."""
    keyring: InnerPath | None = None
    """File with the keys that sign the mirror's index."""
    snapshot: Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z$")] | None = None
    """Time of the archive to resolve against, as 20250131T000000Z."""
    suite: str | None = None
    """Release for bases that name none, such as bookworm."""

    def mirrors(self) -> dict[str, Any]:
        """Where archives are, as plain values."""
        return self.model_dump(include={"mirror", "security_mirror", "keyring", "snapshot"})


class Python(Strict):
    """The Python in images."""

    bytecode: bool = True
    """Put bytecode beside what can be imported, so that containers start faster."""
    mirror: Address | None = None
    """Where `python_standalone` gets interpreters from: an address, or a folder of the workspace, that has the files of
    python-build-standalone side by side; its releases on GitHub if left out."""


class Tls(Strict):
    """Whom to trust at the other end of a connection."""

    certificates: InnerPath | None = None
    """File with the certificates to trust (PEM), for all traffic; what SSL_CERT_FILE names if left out."""


class Locks(Strict):
    """How locks are written."""

    portable: bool = False
    """Leave the addresses of files out of locks, so that they work with every mirror."""


def _default_platforms() -> list[Platform]:
    return ["linux/amd64"]


class Settings(Strict):
    """The `workspace:` section."""

    name: Name
    """Name of the workspace; the default prefix of image names."""
    platforms: list[Platform] = Field(default_factory=_default_platforms, min_length=1)
    """Platforms to build images for."""
    configurations: list[Annotated[str, fitting(_CONFIGURATION.fullmatch, _NO_CONFIGURATION)]] = Field(
        default_factory=list
    )
    """Names that `--config` may say, and that `select` in attributes decides by."""
    plugins: list[Annotated[str, fitting(_MODULE.fullmatch, "{} is not the name of a Python module")]] = Field(
        default_factory=list
    )
    """Python modules that register kinds of actions."""
    ignore: list[InnerPath] = Field(default_factory=list)
    """Directories that hold no packages."""
    default_registry: Address | None = None
    """Registry and repository prefix for images that name none."""
    debian: Debian = Debian()
    python: Python = Python()
    locks: Locks = Locks()
    tls: Tls = Tls()
    cache: Cache = Cache()
    executor: (
        Annotated[
            Annotated[ExecutorAddress, Tag("text")] | Annotated[Executor, Tag("map")],
            Discriminator(lambda value: "text" if isinstance(value, str) else "map"),
        ]
        | None
    ) = None
    connections: dict[Name, Connection] = Field(default_factory=dict)
    """Connections by name."""

    def rows(self) -> list[dict[str, Any]]:
        """What plans keep of connections and certificates, as `credentials.connections.Connections` takes them."""
        tls = [{"certificates": self.tls.certificates}] if self.tls.certificates else []
        return [*(connection.row(name) for name, connection in self.connections.items()), *tls]

    def shared_cache(self) -> dict[str, Any]:
        """What plans keep of `cache`: plain values, with `remote` as a list, and the workspace's name."""
        found = self.cache.model_dump(exclude_none=True)
        remote = found.pop("remote", [])
        keys = self.cache.public_keys or self.cache.signing_key
        return {
            "signatures": "warn" if keys else "off",
            **found,
            "remote": [remote] if isinstance(remote, str) else remote,
            "workspace": self.name,
        }

    def executor_row(self) -> dict[str, Any]:
        """What plans keep of `executor`: plain values; empty where steps are run here."""
        found = Executor(url=self.executor) if isinstance(self.executor, str) else self.executor
        return {} if found is None else found.model_dump(exclude_none=True)

    @model_validator(mode="after")
    def _connection_exists(self) -> "Settings":
        executor = self.executor.connection if isinstance(self.executor, Executor) else None
        for place, name in (("cache", self.cache.connection), ("executor", executor)):
            if name is not None and name not in self.connections:
                raise ValueError(f"{place}.connection: there is no connection '{name}'")
        return self

    @model_validator(mode="after")
    def _connections_differ(self) -> "Settings":
        seen: dict[str, str] = {}
        for name in self.connections:
            other = seen.setdefault(variable_name(name), name)
            if other != name:
                raise ValueError(
                    f"connections '{other}' and '{name}' are one name in environment variables: rename one"
                )
        return self
