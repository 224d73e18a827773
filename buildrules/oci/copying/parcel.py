"""An image that is to be sent: what it is made of, and how its bytes are had."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from buildrules.oci.blob import BlobSource, checked, small
from buildrules.oci.copying.graph import Document, Graph
from buildrules.oci.descriptor import INDEX, MANIFEST
from buildrules.oci.image import Image, Index, LayerStream
from buildrules.oci.layout import images_of, layers_of


class ImageParcel(NamedTuple):
    """`name` is the image's, with its tag; `open` gives the bytes of one of the graph's blobs, anew at every call.

    `place` is where they come from, for errors.
    """

    name: str
    graph: Graph
    open: Callable[[str, int], Iterable[bytes]]
    place: str

    def blob(self, digest: str) -> BlobSource:
        """One of the graph's blobs, checked while it is read: IntegrityError comes before its end."""
        size = self.graph.blobs[digest]
        return BlobSource(
            digest, size, lambda: checked(BlobSource(digest, size, tuple), self.open(digest, size), self.place)
        )

    def documents(self) -> list[BlobSource]:
        """The documents as blobs, the root last."""
        return [small(document.digest, document.data) for document in self.graph.documents]


def built_parcel(name: str, content: Image | Index, layer_stream: LayerStream) -> ImageParcel:
    """A parcel of what was built here; `layer_stream` gives the bytes of a layer."""
    images = images_of(content)
    documents = [Document(image.digest, MANIFEST, image.manifest) for image in images]
    if isinstance(content, Index):
        documents.append(Document(content.digest, INDEX, content.data))
    layers = {layer.digest: layer for layer in layers_of(content)}
    configs = {image.config_digest: image.config for image in images}
    sizes = {digest: len(data) for digest, data in configs.items()}
    sizes |= {digest: layer.size for digest, layer in layers.items()}

    def open_blob(digest: str, _: int) -> Iterable[bytes]:
        return (configs[digest],) if digest in configs else layer_stream(layers[digest])

    return ImageParcel(name, Graph(tuple(documents), sizes), open_blob, f"{name}, as it was built")
