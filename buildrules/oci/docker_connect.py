"""The Docker Engine that Docker's own client would use, and the ways to it: a local socket, TCP, TLS, SSH."""

import contextlib
import json
import os
import socket
from collections.abc import Mapping

from buildrules.errors import DockerError
from buildrules.oci.docker_http import Dial, Engine
from buildrules.sha256 import hex_digest
from buildrules.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl import SSLContext
    from urllib.parse import SplitResult

DEFAULT_SOCKET = "/var/run/docker.sock"
_CERTIFICATE = ("cert.pem", "key.pem")
_AUTHORITY = "ca.pem"


def connect(environment: Mapping[str, str] | None = None) -> Engine:
    """The engine Docker's own client would use: DOCKER_HOST, else the current context, else the default socket.

    `environment` stands in for the process's. Raises DockerError, with a hint, where no engine answers.
    """
    environment = os.environ if environment is None else environment
    host = environment.get("DOCKER_HOST") or ""
    folder, verify = environment.get("DOCKER_CERT_PATH") or "", bool(environment.get("DOCKER_TLS_VERIFY"))
    if verify and not folder:
        folder = config_folder(environment)
    if not host:
        host, folder, verify = _context(environment)
    if "://" not in host:
        host = f"tcp://{host}"
    engine = Engine(public(host), unix(host[7:]) if host.startswith("unix://") else _remote(host, folder, verify))
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


def public(host: str) -> str:
    """An engine's address without user name and password."""
    if host.startswith("unix:"):
        return host
    from buildrules.start.address import redacted

    return redacted(host)


def unix(path: str) -> Dial:
    """Connects to a local socket (0.1 ms)."""

    def dial(timeout: float | None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(path)
        except BaseException:
            connection.close()
            raise
        return connection

    return dial


def _remote(host: str, folder: str, verify: bool) -> Dial:
    """Connects to an engine elsewhere; by TLS where there is a `folder` of certificates, or its scheme is https."""

    def dial(timeout: float | None) -> socket.socket:
        from urllib.parse import urlsplit

        parts = urlsplit(host)
        if parts.scheme == "ssh":
            connection = _ssh(parts)
            connection.settimeout(timeout)
            return connection
        if parts.scheme not in ("tcp", "http", "https"):
            raise ValueError("it is none of unix, tcp, http, https and ssh")
        tls = bool(folder) or parts.scheme == "https"
        name = parts.hostname or "127.0.0.1"
        connection = socket.create_connection((name, parts.port or (2376 if tls else 2375)), timeout)
        if not tls:
            return connection
        with connection:  # which a secured one takes over
            return _tls(folder, verify or not folder).wrap_socket(connection, server_hostname=name)

    return dial


def _ssh(parts: "SplitResult") -> socket.socket:
    """What speaks to the engine of another machine through its `docker`, as Docker's own client does."""
    import subprocess
    import threading

    options: list[str] = ["-l", parts.username] if parts.username else []
    options += ["-p", str(parts.port)] if parts.port else []
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(
                ["ssh", *options, "--", parts.hostname or "", "docker", "system", "dial-stdio"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
            )
        except BaseException:
            ours.close()
            raise
    threading.Thread(target=process.wait, daemon=True).start()  # it ends with the connection
    return ours


def _tls(folder: str, verify: bool) -> "SSLContext":
    """The certificates in `folder`: ca.pem for the engine's, cert.pem and key.pem to show. Raises OSError."""
    import ssl

    certificate, key = (os.path.join(folder, name) for name in _CERTIFICATE)
    authority = os.path.join(folder, _AUTHORITY)
    context = ssl.create_default_context(cafile=authority if os.path.isfile(authority) else None)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if os.path.isfile(certificate):
        context.load_cert_chain(certificate, key)
    return context


def config_folder(environment: Mapping[str, str]) -> str:
    """Where the settings of Docker's own client are."""
    home = environment.get("HOME") or os.path.expanduser("~")
    return environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker")


def _context(environment: Mapping[str, str]) -> tuple[str, str, bool]:
    """Address of the current context, its folder of certificates ("" for none), and whether the engine's is checked.

    The current one is DOCKER_CONTEXT, else config.json's currentContext. Layout of the files: docker/cli,
    cli/context/store (contexts/meta/<sha256 of the name>/meta.json, contexts/tls/<sha256>/docker/*.pem).
    """
    home = config_folder(environment)
    name = environment.get("DOCKER_CONTEXT")
    if not name:
        with contextlib.suppress(OSError, ValueError, AttributeError), open(os.path.join(home, "config.json")) as file:
            name = json.load(file).get("currentContext")
    if not name or name == "default":
        return f"unix://{DEFAULT_SOCKET}", "", True
    digest = hex_digest(name.encode())
    try:
        with open(os.path.join(home, "contexts", "meta", digest, "meta.json")) as file:
            endpoint: dict[str, Any] = json.load(file)["Endpoints"]["docker"]
        host, verify = str(endpoint["Host"]), not endpoint.get("SkipTLSVerify")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DockerError(
            f"the docker context {name!r} cannot be read", hint="see 'docker context ls', or set DOCKER_HOST"
        ) from error
    folder = os.path.join(home, "contexts", "tls", digest, "docker")
    return host, folder if os.path.isdir(folder) else "", verify
