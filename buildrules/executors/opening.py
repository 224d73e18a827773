"""The engines by the scheme of an address. A new one is a module here, and a line in the conformance suite."""

import importlib
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from buildrules.credentials.redact import redact
from buildrules.errors import UsageError
from buildrules.executors.engine import Engine
from buildrules.net.session import Session
from buildrules.typed import Any

_MODULES = {
    "grpc": "reapi.engine",
    "grpcs": "reapi.engine",
    "dask+tls": "dask.engine",
}


def open_engine(
    url: str, session: Session, settings: Mapping[str, Any], told: Callable[[str], None] = lambda _: None
) -> Engine:
    """The engine at `url`; nobody is asked yet. `settings` is a row of `workspace.executor`, with
    the shared cache as `cache`, as the environment has it, and the workspace's folder as `root`.

    Each module has `open_engine(url, session, settings, told) -> Engine`. Raises UsageError, CredentialsError.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:  # brackets around what is no address
        scheme = ""
    module = _MODULES.get(scheme)
    if module is None:
        if scheme in ("tcp", "tls", "dask", "dask+tcp"):  # as Dask writes it
            raise UsageError(
                f"{redact(url)!r} is refused: a scheduler of Dask without TLS runs what anybody sends",
                hint="write dask+tls://HOST:PORT, and see docs/how-to/run-steps-elsewhere.md for its certificates",
            )
        hint = f"'local', or an address: {', '.join(f'{one}://' for one in _MODULES)}"
        raise UsageError(f"{redact(url)!r} is not the address of an executor", hint=hint)
    found: Engine = importlib.import_module(f"buildrules.executors.{module}").open_engine(url, session, settings, told)
    return found
