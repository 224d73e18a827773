"""Loading into a Docker Engine: only the layers it lacks are sent.

An engine with a graph-driver store (overlay2 and the like) keeps layers by the chain of diff_ids below them
and never opens the archive's copy of one it has (moby, image/tarexport/load.go; moby#18727). containerd's image store
keeps blobs by digest, and takes an archive without those it has (containerd#9554). So the archive
holds config, manifest.json and the missing layers, and loading after a code edit takes as long as the
code is large. A graph driver refuses an archive that lacks a layer; containerd's store takes it as a broken image and
says so in passing, so what was loaded there is looked at.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence

from buildrules.errors import DockerError
from buildrules.oci.archive import archive_size, stream_archive
from buildrules.oci.descriptor import LAYER_ZSTD, Layer
from buildrules.oci.docker_http import Engine, Reply, message_of
from buildrules.oci.docker_record import Record, Rows
from buildrules.oci.image import MARK, Image, LayerStream
from buildrules.oci.layout import Progress
from buildrules.oci.names import tagged
from buildrules.typed import Any, NamedTuple

WORTH_A_SEARCH = 1 << 20
"""Missing bytes from which on it pays to look at every image of the engine (2 ms each)."""
_BY_DIGEST = {"overlay2": False, "vfs": False, "aufs": False, "overlay": False, "overlayfs": True}
"""Of drivers whose name says it: whether they are a snapshotter of containerd. Podman's is called "overlay"."""
_SEARCHED = 100  # images looked at, at most
_NOT_UNPACKED = "Error unpacking image"


class LoadReport(NamedTuple):
    """What a load took. `sent` is in bytes through the connection, 0 where the image was there already."""

    image_id: str
    names: tuple[str, ...]
    sent: int
    sent_layers: tuple[Layer, ...]
    skipped_layers: tuple[Layer, ...]
    previous: str | None  # ID of the image that had the first name before, where it is another one
    retried: bool  # the engine refused the partial archive, so a whole one followed
    resent_layers: tuple[Layer, ...] = ()  # of those sent, the ones it has, on top of another layer than here

    @property
    def skipped(self) -> int:
        """Bytes of layers that did not have to be sent."""
        return sum(layer.size for layer in self.skipped_layers)


def load(
    engine: Engine,
    image: Image,
    names: Sequence[str],
    layer_stream: LayerStream,
    *,
    store: str | None = None,
    progress: Progress | None = None,
) -> LoadReport:
    """Make `image` known to the engine under `names` (`repository:tag`).

    `layer_stream` gives a layer's blob bytes and is only asked for layers the engine lacks. In `store`,
    the root of the local store, the images each engine got are noted. Raises UsageError for a
    malformed name, DockerError where the engine refuses or goes away, IntegrityError where a layer
    changed since the build (the engine then keeps nothing).
    """
    names = [tagged(name) for name in names]
    record = Record(store, engine)
    before = engine.inspect_image(names[0]) if names else None
    by_digest = _containerd_store(engine, before)
    image_id = image.digest if by_digest else image.config_digest
    previous = before["Id"] if before is not None and before["Id"] != image_id else None
    there = before if before is not None and before["Id"] == image_id else engine.inspect_image(image_id)
    if there is not None and _diff_ids(there) == image.diff_ids:
        _tag(engine, image_id, names, there.get("RepoTags") or [])
        record.add(image_id, image)
        return LoadReport(image_id, tuple(names), 0, (), tuple(image.layers), previous, False)
    seen: set[str] = set()
    absent = _held(engine, image, record) if by_digest else _below(image, _present(engine, image, before, record, seen))
    sending = _Sending(engine, image, image_id, names, layer_stream, progress)
    retried = False
    try:
        sent = sending.send(absent)
    except RefusedError:
        if not absent:
            raise
        # Somebody removed the image we counted on, or this engine cannot do it: send everything.
        absent, retried = set(), True
        sent = sending.send(absent)
    record.add(image_id, image)
    sent_layers = tuple({layer.digest: layer for layer in image.layers if layer.digest not in absent}.values())
    skipped = tuple(layer for layer in image.layers if layer.digest in absent)
    again = () if retried else tuple(layer for layer in sent_layers if layer.diff_id in seen)
    return LoadReport(image_id, tuple(names), sent, sent_layers, skipped, previous, retried, again)


class RefusedError(DockerError):
    """The engine read the archive and refused it."""


def _containerd_store(engine: Engine, before: dict[str, Any] | None) -> bool:
    """Whether images are in containerd's store (moby, `docker info`: driver-type io.containerd.snapshotter.v1).

    An image that is kept by a driver only the other store has answers this without the question, which takes 10 ms.
    """
    driver = ((before or {}).get("GraphDriver") or {}).get("Name")
    if driver in _BY_DIGEST:
        return _BY_DIGEST[driver]
    return any("containerd.snapshotter" in str(item) for row in engine.info.get("DriverStatus") or () for item in row)


def _present(engine: Engine, image: Image, before: dict[str, Any] | None, record: Record, seen: set[str]) -> int:
    """How many of the image's layers, from the base up, the engine has.

    `seen` gets the diff_ids of all layers met on the way.
    """
    wanted = image.diff_ids
    seen.update(_diff_ids(before))
    best = _prefix(wanted, _diff_ids(before))
    newest = [(image_id, [diff_id for diff_id, _ in rows]) for image_id, rows in reversed(record.images.items())]
    for image_id, diff_ids in sorted(newest, key=lambda item: -_prefix(wanted, item[1])):
        if _prefix(wanted, diff_ids) <= best:
            break
        known = engine.inspect_image(image_id)
        if known is None:
            record.forget(image_id)
        else:
            seen.update(_diff_ids(known))
            best = max(best, _prefix(wanted, _diff_ids(known)))
    if sum(layer.size for layer in image.layers[best:]) < WORTH_A_SEARCH:
        return best
    others = engine.call("GET", "/images/json") or []
    others.sort(key=lambda entry: MARK not in (entry.get("Labels") or {}))
    for entry in others[:_SEARCHED]:
        if entry["Id"] not in record.images:
            found = _diff_ids(engine.inspect_image(entry["Id"]))
            seen.update(found)
            best = max(best, _prefix(wanted, found))
        if best == len(wanted):
            break
    return best


def _diff_ids(image: dict[str, Any] | None) -> list[str]:
    return list(((image or {}).get("RootFS") or {}).get("Layers") or ())


def _prefix(wanted: Sequence[str], found: Sequence[str]) -> int:
    count = 0
    for mine, theirs in zip(wanted, found, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _below(image: Image, present: int) -> set[str]:
    """The blobs of the first `present` layers, but for those that stand above as well."""
    above = {layer.digest for layer in image.layers[present:]}
    return {layer.digest for layer in image.layers[:present]} - above


def _held(engine: Engine, image: Image, record: Record) -> set[str]:
    """The image's blobs that the engine has: those of images that it got from here and still has whole."""
    wanted = {layer.digest: layer.size for layer in image.layers}
    held: set[str] = set()

    def gain(rows: Rows) -> int:
        return sum(wanted.get(digest, 0) for digest in {digest for _, digest in rows} - held)

    newest = list(reversed(record.images.items()))
    for image_id, rows in sorted(newest, key=lambda item: -gain(item[1])):
        if gain(rows) == 0:
            continue
        known = engine.inspect_image(image_id)
        if known is None:
            record.forget(image_id)
        elif _diff_ids(known) == [diff_id for diff_id, _ in rows]:
            held.update(digest for _, digest in rows if digest in wanted)
    return held


def _tag(engine: Engine, image_id: str, names: Sequence[str], there: Iterable[str]) -> None:
    for name in names:
        if name not in there:
            repository, _, tag = name.rpartition(":")
            engine.call("POST", f"/images/{image_id}/tag", query={"repo": repository, "tag": tag})


class _Sending(NamedTuple):
    """An image on its way into an engine."""

    engine: Engine
    image: Image
    image_id: str
    names: Sequence[str]
    stream: LayerStream
    progress: Progress | None

    def send(self, absent: set[str]) -> int:
        """Send the archive without the layers in `absent`; returns its size in bytes. Raises RefusedError."""
        total = archive_size(self.image, names=self.names, absent=absent)
        sent = 0

        def body() -> Iterator[bytes]:
            nonlocal sent
            for chunk in stream_archive(self.image, self.stream, names=self.names, absent=absent):
                yield chunk
                sent += len(chunk)
                if self.progress is not None:
                    self.progress("loading into docker", sent, total)

        headers = {"Content-Type": "application/x-tar"}
        with self.engine.open("POST", "/images/load?quiet=1", headers=headers, body=body(), timeout=None) as reply:
            problem = _problem(reply)
        by_digest = self.image_id == self.image.digest
        if problem is None and by_digest and absent:
            found = _diff_ids(self.engine.inspect_image(self.image_id))
            problem = None if found == self.image.diff_ids else "it lacks some of its layers"
        if problem is None:
            return sent
        if by_digest:  # which keeps what it could not unpack
            self.engine.call("DELETE", f"/images/{self.image_id}", query={"force": 1}, missing_ok=True)
        raise self._refused(problem)

    def _refused(self, problem: str) -> "RefusedError":
        hint = None
        if any(layer.media_type == LAYER_ZSTD for layer in self.image.layers):
            hint = "the image has zstd layers, which Docker reads from version 23 on: update it, or use gzip"
        elif "no space left" in problem:
            hint = "free some space for the engine: docker system df, docker image prune"
        return RefusedError(f"{self.engine.title} refused the image: {problem}", hint=hint)


def _problem(reply: Reply) -> str | None:
    """What was wrong, by the engine's answer to a load. containerd's store calls it no error that it cannot unpack."""
    if reply.status >= 400:
        return message_of(reply.read())
    problem = None
    for line in reply.lines():
        with contextlib.suppress(ValueError, AttributeError):
            said = json.loads(line)
            problem = said.get("error") or problem
            if str(said.get("stream")).startswith(_NOT_UNPACKED):
                problem = said["stream"].strip()
    return problem
