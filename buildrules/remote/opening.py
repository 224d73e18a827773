"""The back ends by the scheme of an address. A new one is a module here, and a line in the conformance suite."""

import importlib
from urllib.parse import urlsplit

from buildrules.credentials.connections import Connection
from buildrules.credentials.redact import redact
from buildrules.errors import UsageError
from buildrules.net.session import Session
from buildrules.remote.backend import Backend

_MODULES = {
    "http": "http",
    "https": "http",
    "file": "folder",
    "oci": "registry",
    "s3": "objects",
    "gs": "objects",
    "az": "objects",
    "grpc": "reapi",
    "grpcs": "reapi",
}

_STORES = {"s3": ("s3",), "gs": (), "az": ("azure_blob", "azure_data_lake_gen2")}
"""The types of the connections that are for a scheme whose addresses name no host."""


def open_backend(url: str, session: Session, connection: str | None = None) -> Backend:
    """The place at `url`; nobody is asked yet. `connection` names the connection whose login is used, where that leads
    to the same host: of several caches it may be for another one.

    Each module has `open_place(url, session, connection) -> Backend`. Raises UsageError for an address that cannot be
    one, CredentialsError.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:  # brackets around what is no address
        scheme = ""
    module = _MODULES.get(scheme)
    if module is None:
        raise UsageError(f"{redact(url)!r} is not the address of a cache", hint=f"schemes: {', '.join(_MODULES)}")
    if connection is not None and not _leads_to(session.connections.named(connection), url):
        connection = None
    found: Backend = importlib.import_module(f"buildrules.remote.{module}").open_place(url, session, connection)
    return found


def _leads_to(connection: Connection, url: str) -> bool:
    """Whether the login of a connection is for the cache at `url`."""
    parts = urlsplit(url)
    if parts.scheme in _STORES:
        return connection.type in _STORES[parts.scheme]
    target = connection.target
    there = urlsplit(target if "://" in target else f"//{target}")
    try:
        ports = {parts.port, there.port} - {None}
    except ValueError:  # it says no number, and leads nowhere
        return False
    return there.hostname == parts.hostname and len(ports) < 2
