"""Images that a command line names, as descriptions: built here, before the last build of it, or in a place."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click

from buildrules.cli.content import Content
from buildrules.cli.errand import Errand
from buildrules.cli.invocation import Invocation, failures
from buildrules.cli.request import Request
from buildrules.cli.verbs import start
from buildrules.contents.described import Described, Listings, describe
from buildrules.contents.listing import Listing
from buildrules.engine.result import GoalResult, earlier
from buildrules.errors import UsageError
from buildrules.net.session import Fetching
from buildrules.oci.copying.origin import config_of, open_origin, read_parcel
from buildrules.oci.descriptor import Layer
from buildrules.oci.foreign import foreign_layers
from buildrules.oci.image import Image, read_image
from buildrules.oci.reference import DAEMON, Reference, parse_place
from buildrules.serving.platform import host_platform
from buildrules.store.blobs import CHUNK
from buildrules.store.records import Records
from buildrules.store.store import Store
from buildrules.workspace.labels import parse_label
from buildrules.workspace.root import here

BEFORE = "before"
Stream = Callable[[Layer], Iterable[bytes]]


class Named(NamedTuple):
    """An image on a command line: a `label`, as it is, `at` BEFORE its last change or at a git revision; or a place."""

    text: str
    label: str | None = None
    at: str = ""

    @property
    def here(self) -> bool:
        """Whether the workspace has to be built for it."""
        return self.label is not None and self.at in ("", BEFORE)

    @classmethod
    def parse(cls, text: str, directory: str) -> "Named":
        """Read `LABEL`, `LABEL@before`, `LABEL@REVISION` or a place. `directory` is the package that `:name` is in."""
        if not text.startswith(("//", ":")):
            return cls(text)
        label, at, revision = text.partition("@")
        if at and not revision:
            raise UsageError(f"'{text}' names no revision", hint=f"{label}@before, or {label}@HEAD~1")
        return cls(text, str(parse_label(label, directory)), revision)


Opener = Callable[[Named], contextlib.AbstractContextManager[Described]]
"""Opens an image that was named: its layers can be read until the end of the context."""


def ask(verb: str, words: Sequence[str], options: Mapping[str, Any], say: Callable[..., int]) -> int:
    """Build those of the images named by `words` that are of the workspace here, and go on with the `after` of `verb`.

    Where none is, nothing is built: `say` is called with the images, their opener, the options and the console. Returns
    the exit code. Raises UsageError, and what building and `say` raise.
    """
    root, directory, _ = here() if any(word.startswith(("//", ":")) for word in words) else ("", "", "")
    named = [Named.parse(word, directory) for word in words]
    labels = list(dict.fromkeys(str(one.label) for one in named if one.here))
    if labels:
        argv = list(click.get_current_context().obj or [verb, *words])
        request = Request(verb, labels, {**options, "images": [list(one) for one in named]})
        return start(root, directory, argv, request)
    with Errand(quiet=bool(options.get("quiet") or options.get("json"))) as errand:
        registry = errand.settings.default_registry if errand.settings else None

        def opened(one: Named) -> contextlib.AbstractContextManager[Described]:
            if one.label:
                return at_revision(root, directory, one, options)
            return placed(one.text, errand, errand.store.records, registry, options.get("platform"))

        return say(named, opened, options, errand.console)


def asked(invocation: Invocation) -> tuple[list[Named], Opener]:
    """The images that `ask` was asked for, of which some are built now."""
    request, records = invocation.request, invocation.store.records
    registry = invocation.results[0].goal.info.get("registry") if invocation.results else None

    def opened(one: Named) -> contextlib.AbstractContextManager[Described]:
        if one.here:
            return contextlib.nullcontext(built(invocation, one))
        if one.label:
            return at_revision(invocation.root, invocation.directory, one, request.options)
        return placed(one.text, invocation.run.here, records, registry, request.option("platform"))

    return [Named(*row) for row in request.option("images")], opened


def _described(name: str, image: Image, listings: Listings, stream: Stream) -> Described:
    def read(layer: Layer) -> Listing:
        return listings.read(layer, stream)

    return describe(name, image.digest, image.manifest, image.config, image.layers, read)


def built(invocation: Invocation, named: Named) -> Described:
    """The image of a label that was built, or what it was before. Raises UsageError where it has none."""
    images = [one for one in invocation.results if one.goal.kind == "image" and one.goal.label == named.label]
    if not images:
        raise UsageError(f"'{named.text}' is not an image", hint="name a model_package target")
    result = next((one for one in images if one.goal.platform == host_platform()), images[0])
    listings = Listings(invocation.store.records, invocation.run.here)
    content = Content(invocation, result)
    if named.at != BEFORE:
        return _described(named.text, content.image, listings, content.stream)
    return _described(named.text, _earlier(invocation, result, named.text), listings, content.stream)


def _earlier(invocation: Invocation, result: GoalResult, text: str) -> Image:
    goal, store = result.goal, invocation.store
    configurations = invocation.request.option("configurations", ())
    outputs = earlier(store.records, invocation.root, goal.label, goal.platform, configurations)
    if outputs is None:
        raise UsageError(
            f"nothing is known of '{text}': no build here has made another image of it",
            hint=f"compare with a git revision, such as {goal.label}@HEAD~1, or with an image in a registry",
        )
    try:
        return read_image(store.blobs, outputs.blobs["manifest"], outputs.layers)
    except FileNotFoundError:
        raise UsageError(f"the store does not have '{text}' any more", hint="compare with a git revision") from None


@contextlib.contextmanager
def at_revision(root: str, directory: str, named: Named, options: Mapping[str, Any]) -> Iterator[Described]:
    """The image of a label as the workspace at `root` was at a git revision: it is built from the locks of then.

    What git ignores is as it is now. Raises what a build raises, and UsageError where there is no such revision.
    """
    from buildrules.cli.revision import about, at

    request = Request("diff", [str(named.label)], {**options, "package": None, "locked": True, "quiet": True})
    with contextlib.closing(Store()) as store, at(root, named.at, store, whole=True) as (tree, folder):
        invocation = Invocation(folder, directory, [], request)
        try:
            with about(tree):
                invocation.prepare(None)
                if errors := failures(invocation.build()):
                    raise errors[0]
            yield built(invocation, named._replace(at=""))
        finally:
            invocation.close()


@contextlib.contextmanager
def placed(
    text: str, context: Fetching, records: Records, registry: str | None, platform: str | None
) -> Iterator[Described]:
    """The image in a registry, a layout, an archive or Docker; its layers can be read until the end of the context.

    Raises UsageError, RegistryError, DockerError, IntegrityError, CredentialsError.
    """
    reference = parse_place(text, registry)
    listings = Listings(records, context)
    if reference.transport == DAEMON:
        image, stream = _in_docker(reference, context, platform or host_platform())
        yield _described(text, image, listings, stream)
        return
    origin = open_origin(reference, context.session)
    try:
        parcel = read_parcel(origin, reference, "", platform)
        if "manifests" in json.loads(parcel.graph.root.data):
            parcel = read_parcel(origin, reference, "", host_platform())
        manifest, config = parcel.graph.root.data, config_of(parcel)
        image = Image(manifest, config, foreign_layers(manifest, config, str(reference)))
        yield _described(text, image, listings, lambda layer: parcel.blob(layer.digest).open())
    finally:
        origin.close()


def _in_docker(reference: Reference, context: Fetching, platform: str) -> tuple[Image, Stream]:
    from buildrules.oci.daemon import DaemonSource

    source = DaemonSource(reference, context)
    found = source.resolve(platform)

    def stream(layer: Layer) -> Iterator[bytes]:
        if not context.blobs.has(layer.digest):
            source.fetch(layer.digest)
        with context.blobs.open(layer.digest) as file:
            yield from iter(lambda: file.read(CHUNK), b"")

    return Image(found.manifest, found.config, foreign_layers(found.manifest, found.config, str(reference))), stream
