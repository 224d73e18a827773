"""Which connection serves the source of a model."""

from collections.abc import Mapping
from typing import Any

from buildrules.credentials.connections import REGISTRIES, Connection, Connections
from buildrules.errors import UsageError
from buildrules.start.address import below
from buildrules.start.huggingface import HUB
from buildrules.start.s3 import bucket_url

_ADDRESSES = ("url", "endpoint", "tracking_uri")
"""Fields of a source that a connection's target is compared with."""


def connection_of(
    source: Mapping[str, Any], name: str | None, connections: Connections, environ: Mapping[str, str]
) -> Connection | None:
    """The connection that serves a source: the one of that name, else the one whose target leads to it.

    `environ` says which hub is meant where the source does not.

    Raises UsageError for a name that is none, and for a connection whose target is elsewhere.
    """
    addresses = _addresses_of(source, environ)
    if name is not None:
        named = connections.named(name)
        if named.type == source.get("kind") == "huggingface" and not source.get("endpoint"):
            return named  # it says which hub
        if named.type == "s3" or source.get("kind") != "s3":
            return _fitting(named, addresses)
    if source.get("kind") == "oci":
        return connections.serving_registry(source["registry"], source["repository"])
    found = (connections.serving(address) for address in addresses)
    first = next((connection for connection in found if connection is not None), None)
    if first is None and source.get("kind") == "s3" and not source.get("endpoint"):
        stores = [connection for connection in connections if connection.type == "s3"]
        return stores[0] if len(stores) == 1 else None
    return first or _only_hub(source, connections, environ)


def _only_hub(source: Mapping[str, Any], connections: Connections, environ: Mapping[str, str]) -> Connection | None:
    """The one hub of a workspace, where neither the source nor the surroundings say which."""
    if source.get("kind") != "huggingface" or source.get("endpoint") or environ.get("HF_ENDPOINT"):
        return None
    hubs = [connection for connection in connections if connection.type == "huggingface"]
    return hubs[0] if len(hubs) == 1 else None


def scope(source: Mapping[str, Any], connection: Connection, environ: Mapping[str, str]) -> dict[str, str]:
    """`within` of a source: the address below which the connection's credentials may go.

    A registry's token is got beside its repositories, so there the whole server is theirs.
    """
    target = connection.target
    if source.get("kind") == "oci" or not target.startswith(("http://", "https://")):
        return {}
    ours = any(below(address, target) is not None for address in _addresses_of(source, environ))
    return {"within": target} if ours else {}


def _addresses_of(source: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """The addresses a connection's target is compared with."""
    if source.get("kind") == "oci":
        return [f"https://{source['registry']}/{source['repository']}"]
    found = [source[field] for field in _ADDRESSES if source.get(field)]
    if source.get("kind") == "huggingface" and not found:
        found = [environ.get("HF_ENDPOINT") or HUB]
    return [*found, bucket_url(source)] if source.get("kind") == "s3" and found else found


def _fitting(connection: Connection, addresses: list[str]) -> Connection:
    """The connection itself: its credentials go to its target and what lies below, and nowhere else."""
    target = connection.target
    if connection.type in REGISTRIES:
        target = "https://" + target.rpartition("://")[2]
    if addresses and target.startswith("http") and all(below(address, target) is None for address in addresses):
        raise UsageError(
            f"the connection {connection.name!r} is for {connection.target}, and the model is at {addresses[0]}",
            hint="name another connection, or correct its target",
        )
    return connection
