"""What a container is given besides its image, ports and variables; as `docker run` takes it (docker-run(1))."""

import os
import posixpath
import re
from dataclasses import dataclass
from typing import Any

from buildrules.errors import DockerError, ServingError, UsageError
from buildrules.oci.docker_http import Engine
from buildrules.serving.podman import is_podman

LABEL = "buildrules.run"
"""Marks the containers started here, so that one left behind by a power cut can be found."""
HOST = "host"
"""The network that is this machine's own."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)
_MODES = (
    *("ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated"),
    *("shared", "rshared", "slave", "rslave", "private", "rprivate", "U"),
)
"""What a volume may say of itself (docker-run(1), --volume; U is Podman's)."""
_NONE = "none"
"""The network without any; one like `container:NAME` is another container's."""
_DRIVERLESS = ("could not select device driver", "unknown or invalid runtime name: nvidia")


@dataclass(frozen=True, slots=True)
class Gpus:
    """GPUs by number, -1 for all, or by `ids`: their indexes or UUIDs."""

    count: int = -1
    ids: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Gpus":
        """Read `all`, a number, or `device=ID,ID`, as `docker run --gpus`. Raises UsageError."""
        plain = text.strip('"')
        if plain == "all":
            return cls()
        if plain.isdecimal() and int(plain):
            return cls(int(plain))
        ids = tuple(filter(None, plain.removeprefix("device=").split(",")))
        if plain.startswith("device=") and ids:
            return cls(0, ids)
        raise UsageError(f"'{text}' names no GPUs", hint="write all, a number, or device=0,1 with indexes or UUIDs")

    def requests(self) -> list[dict[str, Any]]:
        """As the engine is asked for them (Docker Engine API, "DeviceRequest")."""
        asked: dict[str, Any] = {"DeviceIDs": list(self.ids)} if self.ids else {"Count": self.count}
        return [{"Driver": "", "Capabilities": [["gpu"]], **asked}]


@dataclass(frozen=True, slots=True)
class Given:
    """`volumes` are SOURCE:PLACE[:MODES] as `volume` makes them, `network` the name of one of the engine's."""

    name: str | None = None
    volumes: tuple[str, ...] = ()
    network: str | None = None
    gpus: Gpus | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for what no engine takes, and for a network in which nobody can ask the package."""
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise UsageError(
                f"'{self.name}' cannot be the name of a container",
                hint="begin with a letter or digit, and go on with letters, digits and `_ . -`",
            )
        places: dict[str, str] = {}
        for text in self.volumes:
            place = posixpath.normpath(text.split(":")[1])
            if (other := places.setdefault(place, text)) is not text:
                raise UsageError(f"'{other}' and '{text}' both lie in {place}", hint="leave one of them out")
        if self.network == _NONE or (self.network or "").startswith("container:"):
            raise UsageError(
                f"nobody can ask a package in the network '{self.network}'",
                hint="name a network of the engine, or `host`; `buildrules load` and `docker run` take any",
            )

    def host_config(self, engine: Engine) -> dict[str, Any]:
        """Its part of a container's HostConfig (Docker Engine API, "ContainerCreate"). Raises UsageError."""
        config: dict[str, Any] = {}
        if self.volumes:
            config["Binds"] = list(self.volumes)
        if self.network is not None:
            config["NetworkMode"] = self.network
        if self.gpus is not None:
            if is_podman(engine):  # silently: containers/podman, issues 19338 and 22645
                raise UsageError(
                    "podman gives no GPUs to those who ask it in Docker's way",
                    hint="use Docker, or `podman run --device nvidia.com/gpu=all` with the image that load brings",
                )
            config["DeviceRequests"] = self.gpus.requests()
        return config

    def explained(self, engine: Engine, error: DockerError) -> ServingError | None:
        """The error in words where what was given is to blame."""
        text = error.message
        if self.name is not None and "already in use" in text and self.name in text:
            found = engine.call("GET", f"/containers/{self.name}/json", missing_ok=True) or {}
            ours = LABEL in ((found.get("Config") or {}).get("Labels") or {})
            remove = "buildrules stop" if ours else "docker rm -f"
            return ServingError(
                f"there is a container named '{self.name}' already",
                hint=f"choose another name, or remove that one with: {remove} {self.name}",
            )
        if self.network is not None and "network" in text and "not found" in text:
            known = {str(one["Name"]) for one in engine.call("GET", "/networks") or ()} - {_NONE}
            hint = f"it has {', '.join(sorted(known))}; make one with: docker network create {self.network}"
            return ServingError(f"{engine.title} has no network '{self.network}'", hint=hint)
        if self.gpus is not None and any(words in text for words in _DRIVERLESS):
            return ServingError(
                f"{engine.title} has no GPUs to give",
                hint="install NVIDIA's driver and its Container Toolkit, then `nvidia-ctk runtime configure`",
            )
        if self.gpus is not None and ("nvidia" in text.lower() or "CDI" in text):
            return ServingError(f"the GPUs could not be given: {text}", hint="see what `nvidia-smi` says")
        return None


def volume(text: str, *, local: bool = True) -> str:
    """What stands for SOURCE:PLACE[:MODES] in the engine's words; a relative folder is below the current one.

    A source with a slash, or that is `.`, is a path of this machine (checked where the engine is `local`), any other
    the name of a volume of the engine. Raises UsageError.
    """
    source, *rest = text.split(":")
    if len(rest) not in (1, 2) or not source:
        raise UsageError(f"'{text}' is not a volume", hint="write SOURCE:PLACE, or SOURCE:PLACE:ro to only read it")
    if not rest[0].startswith("/"):
        raise UsageError(
            f"'{rest[0]}', where '{source}' is to be in the container, is not an absolute path",
            hint=f"write {source}:/{rest[0]}",
        )
    for mode in rest[1].split(",") if len(rest) > 1 else ():
        if mode not in _MODES:
            raise UsageError(f"'{mode}' is no mode of a volume: '{text}'", hint=f"modes are {', '.join(_MODES)}")
    if "/" in source or source in (".", ".."):
        path = os.path.abspath(source)
        if local and not os.path.exists(path):
            raise UsageError(
                f"there is no '{source}', which is to be {rest[0]} in the container",
                hint="make it first; a source without a slash names a volume of the engine",
            )
        source = path
    elif not _NAME.fullmatch(source):
        raise UsageError(f"'{source}' is not the name of a volume", hint=f"write ./{source} for a file or folder here")
    return ":".join((source, *rest))


def is_local(engine: Engine) -> bool:
    """Whether the engine sees the files of this machine."""
    return engine.host.startswith(("unix:", "npipe:", "podman"))
