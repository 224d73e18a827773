"""The source that a reference names: registry, layout or the local Docker Engine."""

from collections.abc import Callable

from buildrules.net.session import Session
from buildrules.oci.daemon import DaemonSource
from buildrules.oci.reference import LAYOUT, REGISTRY, Reference
from buildrules.oci.source import LayoutSource, RegistrySource, Source
from buildrules.store.blobs import Blobs


def open_source(
    reference: Reference,
    blobs: Blobs,
    session: Session,
    *,
    root: str = "",
    plain_http: bool | None = None,
    fetched: Callable[[int], None] | None = None,
) -> Source:
    """The source of `reference`. `root` is where relative layout paths start, usually the workspace."""
    if reference.transport == REGISTRY:
        return RegistrySource(reference, blobs, session, fetched, plain_http=plain_http)
    if reference.transport == LAYOUT:
        return LayoutSource(reference, blobs, fetched, root=root)
    return DaemonSource(reference, blobs, fetched)
