"""TLS of a cluster of Dask: the files of this client, and whether the scheduler takes them, in words and at once.

Dask has an authority of its own for each cluster, whose certificates both sides show, and looks at no host names:
https://distributed.dask.org/en/stable/tls.html. What is not named here is as Dask's own configuration says.
"""

import os
import socket
import ssl
from collections.abc import Mapping

from buildrules.errors import CredentialsError
from buildrules.executors.engine import EngineError
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Security

_PATIENCE = 5.0  # seconds
_NAMES = {"authority": "tls_ca_file", "certificate": "tls_client_cert", "key": "tls_client_key"}
_HINT = (
    "name the files of the cluster in workspace.executor.tls: {authority: FILE, certificate: FILE, key: FILE}, "
    "or in Dask's own configuration"
)


class SilentError(EngineError):
    """Nobody listens there: perhaps later."""


def security(files: Mapping[str, str], root: str) -> "Security":
    """The files of `workspace.executor.tls` for Dask; relative paths start at `root`. Raises CredentialsError."""
    from distributed import Security

    paths = {_NAMES[name]: os.path.join(root, os.path.expanduser(path)) for name, path in files.items()}
    for name, path in files.items():
        if not os.access(paths[_NAMES[name]], os.R_OK):
            raise CredentialsError(f"workspace.executor.tls.{name}: the file {path!r} cannot be read", hint=_HINT)
    return Security(require_encryption=True, **paths)


def greet(name: str, address: tuple[str, int], secured: "Security") -> None:
    """Raise EngineError where the scheduler called `name` and this client do not accept each other; SilentError where
    nobody answers."""
    try:
        context = secured.get_connection_args("client")["ssl_context"]
    except (OSError, ValueError) as error:
        raise EngineError(f"the certificates for {name} cannot be used: {error}", hint=_HINT) from None
    if context is None:
        raise EngineError(f"there are no certificates for {name}", hint=_HINT)
    try:
        with (
            socket.create_connection(address, _PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=address[0]) as connection,
        ):
            if connection.recv(1):  # a scheduler speaks first, when it has accepted the client
                return
    except ssl.SSLCertVerificationError as error:
        raise EngineError(
            f"{name} shows a certificate that is not of the cluster's authority: {error.verify_message}", hint=_HINT
        ) from None
    except ssl.SSLEOFError:
        pass  # as a proxy does whose scheduler is away
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            text = f"{name} refuses the certificate of this client: {error.reason}"
            raise EngineError(text.lower().replace("_", " "), hint=_HINT) from None
        raise EngineError(
            f"{name} does not speak TLS ({error.reason or error})",
            hint="start the scheduler with --protocol tls: without it anybody may run anything there",
        ) from None
    except OSError as error:
        raise SilentError(
            f"{name} does not answer: {(error.strerror or str(error)).lower()}",
            hint="is the scheduler up? --executor local runs all steps here",
        ) from None
    raise SilentError(f"{name} hangs up", hint="see the log of the scheduler")
