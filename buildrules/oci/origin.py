"""The source that a reference names: registry, layout or the local Docker Engine."""

from buildrules.net.download import Fetching
from buildrules.oci.daemon import DaemonSource
from buildrules.oci.reference import LAYOUT, REGISTRY, Reference
from buildrules.oci.source import LayoutSource, RegistrySource, Source


def open_source(reference: Reference, context: Fetching, *, root: str = "", plain_http: bool | None = None) -> Source:
    """The source of `reference`. `root` is where relative layout paths start, usually the workspace."""
    if reference.transport == REGISTRY:
        return RegistrySource(reference, context, plain_http=plain_http)
    if reference.transport == LAYOUT:
        return LayoutSource(reference, context, root=root)
    return DaemonSource(reference, context)
