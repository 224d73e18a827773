"""Where the bytes of a layer are, for somebody who wants them here and now.

A recipe names content by digest and no place. The places come from the plan at hand, whoever made the record: first the
store, then files of this workspace that have the content, then what an action of this plan says of where things
are fetched from (wheels by name, digest and index, files of models, the registry of a base image). That is plain data,
enters no key or record and holds no credential. A shared cache that has the layer itself comes last, where the source
is gone; of a layer without a recipe it is asked first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from buildrules.errors import DamagedError, FetchError, IntegrityError
from buildrules.oci.descriptor import Layer
from buildrules.oci.local import Local, name_of
from buildrules.oci.recipe import Recipe, check
from buildrules.sha256 import new_hash
from buildrules.store.blobs import CHUNK
from buildrules.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from buildrules.net.session import Fetching

Places = Mapping[str, Any]
"""What a step may use and its outputs must not depend on: places to fetch from, the runner, words for people.

Never hashed. Which fields there are is its kind's matter.
"""

NOWHERE: Places = MappingProxyType({})


class Origin(NamedTuple):
    """What the plan at hand knows of the layers of one action."""

    places: Places = NOWHERE
    files: Callable[[], Mapping[str, str]] = dict  # digest -> absolute path of a file of this workspace, looked up late


Fetch = Callable[[Sequence[Mapping[str, Any]], Places, Any], None]
"""(recipe parts whose content is missing, places, context): brings it into the store, or raises."""


class Supply:
    """Called with a layer, gives the bytes of its blob, read anew at every call.

    `origin` gives for a layer's digest what the plan knows of it. Raises FetchError, IntegrityError and what fetching
    raises; a blob that turns out damaged is removed, so that the next command makes or fetches it anew.
    """

    def __init__(self, watch: "Fetching", origin: Callable[[str], Origin], fetch: Fetch) -> None:
        self._watch = watch
        self._origin = origin
        self._fetch = fetch

    def __call__(self, layer: Layer) -> Iterator[bytes]:
        """The bytes, in chunks."""
        blobs = self._watch.blobs
        if blobs.has(layer.digest, layer.size):
            yield from self._stored(layer)
            return
        origin = self._origin(layer.digest)
        if layer.recipe is not None:
            yield from self._made(layer, layer.recipe, origin)
        elif blobs.holds([layer.digest]) or blobs.borrow(layer.digest, layer.size):
            yield from self._stored(layer)
        elif "reference" in origin.places or "layout" in origin.places:
            from buildrules.oci.foreign import first_of

            pin = origin.places.get("digest")
            first_of(origin.places, self._watch, pin, lambda source: source.fetch(layer.digest, layer.size))
            yield from self._stored(layer)
        else:
            raise FetchError(f"layer {layer.digest[:19]} is no longer in the store", hint="build again")

    def _made(self, layer: Layer, recipe: Recipe, origin: Origin) -> Iterator[bytes]:
        local = Local(self._watch.blobs, origin.files())
        missing = [part for part in check(recipe)["parts"] if not _there(part, local)]
        if missing:
            try:
                self._fetch(missing, origin.places, self._watch)
            except (FetchError, IntegrityError):
                if not self._watch.blobs.borrow(layer.digest, layer.size):
                    raise
                yield from self._stored(layer)
                return
        from buildrules.oci.assemble import stream

        try:
            yield from stream(recipe, local)
        except DamagedError as error:
            self._watch.blobs.discard(error.digest)
            raise DamagedError(
                f"a file of layer {layer.digest[:19]} was damaged in the store and has been removed",
                error.digest,
                hint="run the command again: it is fetched anew",
            ) from error
        except FileNotFoundError as error:
            raise FetchError(
                f"what layer {layer.digest[:19]} is made of is no longer in the store", hint="build again"
            ) from error

    def _stored(self, layer: Layer) -> Iterator[bytes]:
        sha256 = new_hash(layer.size)
        with self._watch.blobs.open(layer.digest) as file:
            while chunk := file.read(CHUNK):
                sha256.update(chunk)
                yield chunk
        if "sha256:" + sha256.hexdigest() != layer.digest:
            self._watch.blobs.discard(layer.digest)
            raise DamagedError(
                f"layer {layer.digest[:19]} was corrupt in the store and has been removed",
                layer.digest,
                hint="run the command again: the layer is made or fetched anew",
            )


def _there(part: Mapping[str, Any], local: Local) -> bool:
    if part["kind"] == "file":
        return local.has(name_of(part), part["size"])
    return "digest" not in part or local.blobs.right(part["digest"])
