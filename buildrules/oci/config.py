"""The run-time settings of an image: environment, entry point, ports, user, labels.

Format: OCI image specification 1.1, config.md, the object `config` ("Properties").
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

from buildrules.typed import Any, NamedTuple

PREFIX = "buildrules."
"""Labels that describe one package. They are not inherited from a base image."""
_OF_ONE_IMAGE = frozenset(
    f"org.opencontainers.image.{name}"
    for name in ("base.digest", "base.name", "created", "ref.name", "revision", "version")
)
"""Standard labels (annotations.md) that are true of one image only: nor are these inherited."""

_FIELDS = ("environment", "entrypoint", "cmd", "working_dir", "user", "ports", "volumes", "labels", "stop_signal")

_CONTAINERS: dict[str, type[Any]] = {"Env": list, "ExposedPorts": dict, "Volumes": dict, "Labels": dict}

_NONE: Mapping[str, str] = MappingProxyType({})


class ImageConfig(NamedTuple):
    """What a container starts with. None means "as the image below says"."""

    environment: Mapping[str, str] = _NONE
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str | None = None
    user: str | None = None
    ports: tuple[str, ...] = ()  # "8080/tcp"
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = _NONE
    stop_signal: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ImageConfig":
        """Read our own form: lower-case field names, a mapping for the environment, ports as numbers
        or "number/protocol". Raises ValueError for an unknown field or a value of the wrong shape."""
        unknown = sorted(set(data) - set(_FIELDS))
        if unknown:
            raise ValueError(f"unknown image setting {unknown[0]!r}; known are {', '.join(_FIELDS)}")
        return cls(
            environment=_environment(data.get("environment") or {}),
            entrypoint=_words(data, "entrypoint"),
            cmd=_words(data, "cmd"),
            working_dir=_text(data, "working_dir"),
            user=_text(data, "user"),
            ports=tuple(parse_port(port) for port in data.get("ports") or ()),
            volumes=tuple(data.get("volumes") or ()),
            labels={_line("label", str(name)): str(value) for name, value in (data.get("labels") or {}).items()},
            stop_signal=_text(data, "stop_signal"),
        )

    @classmethod
    def from_oci(cls, data: Mapping[str, Any]) -> "ImageConfig":
        """Read the `config` object of an image's config document, or the whole document.

        Labels that are true of that image only are left out. Raises ValueError.
        """
        if isinstance(data.get("rootfs"), dict) or isinstance(data.get("config"), dict):
            data = data.get("config") or {}
        data = checked_config(data)
        variables = {}
        for item in data.get("Env") or ():
            name, separator, value = str(item).partition("=")
            if separator:
                variables[name] = value
        labels = data.get("Labels") or {}
        return cls(
            environment=_environment(variables),
            entrypoint=_words(data, "Entrypoint"),
            cmd=_words(data, "Cmd"),
            working_dir=_text(data, "WorkingDir"),
            user=_text(data, "User"),
            ports=tuple(parse_port(port) for port in data.get("ExposedPorts") or {}),
            volumes=tuple(data.get("Volumes") or {}),
            labels={
                name: str(value)
                for name, value in labels.items()
                if not name.startswith(PREFIX) and name not in _OF_ONE_IMAGE
            },
            stop_signal=_text(data, "StopSignal"),
        )

    def over(self, below: "ImageConfig") -> "ImageConfig":
        """These settings on top of `below`: mappings and ports are merged, single values replaced.

        As in a Dockerfile, a new entry point drops the command inherited with the old one.
        """
        cmd = self.cmd if self.cmd is not None or self.entrypoint is not None else below.cmd
        return ImageConfig(
            environment={**below.environment, **self.environment},
            entrypoint=below.entrypoint if self.entrypoint is None else self.entrypoint,
            cmd=cmd,
            working_dir=below.working_dir if self.working_dir is None else self.working_dir,
            user=below.user if self.user is None else self.user,
            ports=(*below.ports, *self.ports),
            volumes=(*below.volumes, *self.volumes),
            labels={**below.labels, **self.labels},
            stop_signal=below.stop_signal if self.stop_signal is None else self.stop_signal,
        )

    def to_oci(self) -> dict[str, Any]:
        """The `config` object; fields without a value are left out, lists of a set are sorted."""
        document: dict[str, Any] = {
            "Env": [f"{name}={value}" for name, value in sorted(self.environment.items())],
            "Entrypoint": None if self.entrypoint is None else list(self.entrypoint),
            "Cmd": None if self.cmd is None else list(self.cmd),
            "WorkingDir": self.working_dir,
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.ports},
            "Volumes": {path: {} for path in self.volumes},
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
        }
        return {name: value for name, value in document.items() if value}


def contract_labels(
    *,
    routes: Mapping[str, str] | None = None,
    ports: tuple[str, ...] = (),
    model: str | None = None,
    models: Mapping[str, str] | None = None,
    locks: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The labels that tell how to serve a package and what is in it, readable without a pull.

    `routes` maps liveness, readiness and scoring to "<port>/<path>", `model` is the name and version that a target
    gives its model, `models` maps places in the image to digests of what lies there, `locks` maps what is locked (base,
    environment, server) to a digest of what it is locked to.
    """
    labels = {"ports": ",".join(sorted(set(ports))), "model": model}
    for name, places in (("routes", routes), ("models", models), ("locks", locks)):
        labels[name] = json.dumps(dict(places), sort_keys=True, separators=(",", ":")) if places else None
    return {PREFIX + name: text for name, text in labels.items() if text}


def checked_config(data: Any) -> Mapping[str, Any]:
    """The `config` object of somebody's image itself. Raises ValueError where it, or a field, holds no list or map."""
    wrong = ["config"]
    if isinstance(data, Mapping):
        wrong = [name for name, wanted in _CONTAINERS.items() if not isinstance(data.get(name) or wanted(), wanted)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} of an image is not a list or map as it must be")
    found: Mapping[str, Any] = data
    return found


def parse_port(port: int | str) -> str:
    """8080, "8080" or "8080/udp" as "8080/tcp" or "8080/udp". Raises ValueError."""
    number, _, protocol = str(port).partition("/")
    protocol = protocol or "tcp"
    sound = number.isascii() and number.isdigit() and len(number) < 20 and 0 < int(number) < 65536
    if not sound or protocol not in ("tcp", "udp", "sctp"):
        raise ValueError(f"not a port: {port!r:.100}")
    return f"{int(number)}/{protocol}"


def _environment(variables: Mapping[str, Any]) -> dict[str, str]:
    for name, value in variables.items():
        if not name or "=" in name or not name.isprintable() or "\0" in str(value):
            raise ValueError(f"not an environment variable: {name!r}")
    return {name: _plain(value) for name, value in variables.items()}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError(f"an environment variable is a string or a number, not {value!r}")


def _words(data: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not all(isinstance(word, str) for word in value):
        raise ValueError(f"{name!r} is a list of strings, not {value!r}")
    return tuple(value)


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name!r} is a string, not {value!r}")
    return _line(name, value) if value else None


def _line(what: str, text: str) -> str:
    """The text itself. Raises ValueError where it holds a control character, such as the end of a line."""
    if any(char < " " or "\x7f" <= char < "\xa0" for char in text):
        raise ValueError(f"{what} {text!r} holds a control character")
    return text
