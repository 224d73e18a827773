"""The engines by the scheme of an address. A new one is a module here, with the settings that are its own."""

import importlib
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from buildrules.credentials.redact import redact
from buildrules.errors import UsageError
from buildrules.executors.engine import Engine
from buildrules.net.session import Session
from buildrules.typed import Any

_MODULES = {
    "grpc": ("reapi.engine", "connection"),
    "grpcs": ("reapi.engine", "connection"),
    "dask+tls": ("dask.engine", "tls"),
}
"""Where each is, and which setting of `workspace.executor` is for it but not for the others."""

QUEUED = 300.0  # seconds that a task may wait for a worker, where no setting says so


def scheme_of(url: str) -> str:
    """The scheme of the address of an engine. Raises UsageError for anything else, and for one with a login."""
    try:
        parts = urlsplit(url)
        scheme = parts.scheme if parts.hostname and parts.port != 0 else ""
    except ValueError:  # a port that is none, or brackets around what is no address
        scheme = ""
    if scheme in ("tcp", "tls", "dask", "dask+tcp"):  # as Dask writes it
        raise UsageError(
            f"{redact(url)!r} is refused: a scheduler of Dask without TLS runs what anybody sends",
            hint="write dask+tls://HOST:PORT, and see docs/how-to/dask.md for its certificates",
        )
    if scheme not in _MODULES:
        hint = f"'local', or an address: {', '.join(f'{one}://HOST:PORT' for one in _MODULES)}"
        raise UsageError(f"{redact(url)!r} is not the address of an executor", hint=hint)
    if "@" in url:
        raise UsageError(
            f"the address of the executor holds a user name or password: {redact(url)!r}",
            hint="take them out, and put them in ~/.netrc, or name a connection in workspace.executor.connection",
        )
    return scheme


def open_engine(url: str, session: Session, settings: Mapping[str, Any], told: Callable[[str], None]) -> Engine:
    """The engine at `url`; nobody is asked yet. `settings` is a row of `workspace.executor`, with
    the shared cache as `cache`, as the environment has it, and the workspace's folder as `root`.

    Each module has `open_engine(url, session, settings, told) -> Engine`; its settings have `queued`.
    Raises UsageError, CredentialsError.
    """
    scheme = scheme_of(url)
    module, own = _MODULES[scheme]
    foreign = {one for _, one in _MODULES.values() if settings.get(one)} - {own}
    if foreign and url == settings.get("url"):  # an address that stands in for it has other settings, or none
        raise UsageError(
            f"workspace.executor.{foreign.pop()} means nothing to {scheme}://", hint=f"remove it: {own} is for that"
        )
    given = {"queued": QUEUED, **settings}
    found: Engine = importlib.import_module(f"buildrules.executors.{module}").open_engine(url, session, given, told)
    return found
