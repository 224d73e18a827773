"""The Docker Engine that Docker's own client would use."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from buildrules.errors import DockerError
from buildrules.oci.docker_http import Engine, SdkTransport, public
from buildrules.oci.docker_socket import UnixTransport

__all__ = ["connect", "ping"]

DEFAULT_SOCKET = "/var/run/docker.sock"


def connect(environment: Mapping[str, str] | None = None) -> Engine:
    """The engine Docker's own client would use: DOCKER_HOST, else the current context, else the default socket.

    `environment` stands in for the process's. Raises DockerError, with a hint, where no engine answers.
    """
    environment = os.environ if environment is None else environment
    context = None
    host = environment.get("DOCKER_HOST") or ""
    if not host:
        context, host = _context(environment)
    transport: UnixTransport | SdkTransport
    if host.startswith("unix://"):
        transport = UnixTransport("/" + host.removeprefix("unix://").lstrip("/"))
    else:
        transport = SdkTransport(host, _tls(context, environment))
    engine = Engine(public(host), transport)
    ping(engine)
    return engine


def ping(engine: Engine) -> None:
    """Raise DockerError where it does not answer as an engine does."""
    with engine.open("GET", "/_ping", timeout=10) as reply:
        if reply.status != 200:
            raise DockerError(
                f"{engine.host!r} does not answer as a docker engine (status {reply.status})",
                hint="look at DOCKER_HOST and 'docker context ls'",
            )


def _context(environment: Mapping[str, str]) -> tuple[str | None, str]:
    """Name and address of the current context: DOCKER_CONTEXT, else config.json's currentContext.

    Layout of the files: docker/cli, cli/context/store (contexts/meta/<sha256 of the name>/meta.json).
    """
    home = environment.get("DOCKER_CONFIG") or os.path.join(
        environment.get("HOME") or os.path.expanduser("~"), ".docker"
    )
    name = environment.get("DOCKER_CONTEXT")
    if not name:
        with contextlib.suppress(OSError, ValueError, AttributeError), open(os.path.join(home, "config.json")) as file:
            name = json.load(file).get("currentContext")
    if not name or name == "default":
        return None, f"unix://{DEFAULT_SOCKET}"
    meta = os.path.join(home, "contexts", "meta", hashlib.sha256(name.encode()).hexdigest(), "meta.json")
    try:
        with open(meta) as file:
            host = json.load(file)["Endpoints"]["docker"]["Host"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DockerError(
            f"the docker context {name!r} cannot be read", hint="see 'docker context ls', or set DOCKER_HOST"
        ) from error
    return name, str(host)


def _tls(context: str | None, environment: Mapping[str, str]) -> Any:
    """The SDK's TLS settings of a context, or of DOCKER_TLS_VERIFY and DOCKER_CERT_PATH; False for none."""
    if context is not None:
        from docker.context import ContextAPI

        found = ContextAPI.get_context(context)
        return (found.TLSConfig if found is not None else None) or False
    from docker.utils import kwargs_from_env

    return kwargs_from_env(dict(environment)).get("tls", False)
