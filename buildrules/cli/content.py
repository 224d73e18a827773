"""A built image as the sinks want it: the image, the stream of a layer, its name."""

from buildrules.actions.fetching import fetch_parts
from buildrules.cli.invocation import Invocation
from buildrules.engine.events import Progress
from buildrules.engine.result import GoalResult
from buildrules.oci.image import Image, Index, read_image, read_index
from buildrules.oci.supply import Supply
from buildrules.store.blobs import Blobs


class Content:
    """The bytes of a goal's image or index: `stream` gives those of a layer. Fetching reports here."""

    cancelled = False

    def __init__(self, invocation: Invocation, result: GoalResult) -> None:
        self.workspace = invocation.root
        self.session = invocation.session
        self.result = result
        self.fetched = 0
        self._invocation = invocation
        makers = {item.layer.digest: item.action for item in result.layers}
        self.stream = Supply(self, lambda digest: invocation.run.sources.origin(makers[digest]), fetch_parts)

    @property
    def blobs(self) -> Blobs:
        """The store's blobs."""
        return self._invocation.store.blobs

    @property
    def image(self) -> Image:
        """The image with its layers' recipes."""
        layers = [item.layer for item in self.result.layers]
        return read_image(self.blobs, self.result.digest, layers)

    @property
    def whole(self) -> Image | Index:
        """The image, or the index with its images."""
        if self.result.goal.kind != "index":
            return self.image
        return read_index(self.blobs, self.result.digest, [item.layer for item in self.result.layers])

    def name(self) -> str:
        """The image's name: `--tag`, else the one the plan gave it, with its tag."""
        from buildrules.oci.names import tagged

        return tagged(str(self._invocation.request.option("tag") or self.result.goal.info["name"]))

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report long work."""
        self._invocation.stream.emit(Progress(what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0) -> None:
        """Count what had to be fetched."""
        self.fetched += fetched

    def warn(self, message: str) -> None:
        """Tell the user something that is not an error."""
        from buildrules.engine.events import Notice

        self._invocation.stream.emit(Notice(message, warning=True))
