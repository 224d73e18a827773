"""A built image as the sinks want it: the image, the stream of a layer, its name."""

from buildrules.actions.fetching import fetch_parts
from buildrules.cli.invocation import Invocation
from buildrules.engine.result import GoalResult
from buildrules.errors import UsageError
from buildrules.oci.image import Image, Index, read_image, read_index
from buildrules.oci.supply import Supply


class Content:
    """The bytes of a goal's image or index: `stream` gives those of a layer. Fetching reports here."""

    def __init__(self, invocation: Invocation, result: GoalResult) -> None:
        self.result = result
        self._invocation = invocation
        run = invocation.run
        self._blobs = run.here.blobs
        self.progress = run.here.progress  # reports long work
        makers = {item.layer.digest: item.action for item in result.layers}
        self.stream = Supply(run.here, lambda digest: run.sources.origin(makers[digest]), fetch_parts)

    @property
    def image(self) -> Image:
        """The image with its layers' recipes."""
        layers = [item.layer for item in self.result.layers]
        return read_image(self._blobs, self.result.digest, layers)

    @property
    def whole(self) -> Image | Index:
        """The image, or the index with its images."""
        if self.result.goal.kind != "index":
            return self.image
        return read_index(self._blobs, self.result.digest, [item.layer for item in self.result.layers])

    def name(self) -> str:
        """The image's name: `--tag`, else the one the plan gave it, with its tag."""
        from buildrules.oci.names import tagged

        return tagged(str(self._invocation.request.option("tag") or self.result.goal.info["name"]))


def packages(invocation: Invocation, done: str) -> list[GoalResult]:
    """Of each package that was named its image, or the index over those of its platforms.

    `done` says what was to become of them. Raises UsageError where there is none.
    """
    found: dict[str, GoalResult] = {}
    for kind in ("image", "index"):
        for result in invocation.results:
            if result.goal.kind == kind:
                found[result.goal.label] = result
    if not found:
        names = " ".join(invocation.request.patterns)
        raise UsageError(f"'{names}' names no package that could be {done}", hint="name a model_package target")
    return list(found.values())


def one_image(invocation: Invocation) -> GoalResult:
    """The image the patterns named: of several platforms this machine's. Raises UsageError where they named others."""
    from buildrules.serving.platform import host_platform

    images = [result for result in invocation.results if result.goal.kind == "image"]
    if len({image.goal.label for image in images}) == 1:
        return next((image for image in images if image.goal.platform == host_platform()), images[0])
    names = " ".join(invocation.request.patterns)
    if not images:
        raise UsageError(f"'{names}' is not an image", hint="name a model_package target")
    found = ", ".join(f"{image.goal.label} ({image.goal.platform})" for image in images[:4])
    raise UsageError(
        f"'{names}' names {len(images)} images: {found}", hint="name one, and a --platform if there are several"
    )
