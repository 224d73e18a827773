"""Loading into a Docker Engine: only the layers it lacks are sent.

An engine with a graph-driver store (overlay2 and the like) keeps layers by the chain of diff_ids below them
and never opens the archive's copy of one it has (moby, image/tarexport/load.go; moby#18727). So the archive
holds config, manifest.json and the missing layers, and loading after a code edit takes as long as the
code is large. The containerd image store needs everything (containerd#11978): it gets the whole archive.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from buildrules.errors import DockerError
from buildrules.oci.archive import archive_size, stream_archive
from buildrules.oci.descriptor import LAYER_ZSTD, Layer
from buildrules.oci.image import MARK, Image, LayerStream
from buildrules.oci.names import tagged

if TYPE_CHECKING:
    from buildrules.oci.docker_http import Engine, Reply

Progress = Callable[[str, int, int | None], None]
DEFAULT_SOCKET = "/var/run/docker.sock"
WORTH_A_SEARCH = 1 << 20
"""Missing bytes from which on it pays to look at every image of the engine (2 ms each)."""
_GRAPH_DRIVERS = frozenset({"overlay2", "vfs", "aufs"})  # names no snapshotter of containerd has
_SEARCHED = 100  # images looked at, at most
_REMEMBERED = 64  # images recorded per engine


@dataclass(frozen=True, slots=True)
class LoadReport:
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


def connect(environment: Mapping[str, str] | None = None) -> "Engine":
    """The engine Docker's own client would use: DOCKER_HOST, else the current context, else the default socket.

    `environment` stands in for the process's. Raises DockerError, with a hint, where no engine answers.
    """
    from buildrules.oci.docker_http import Engine, SdkTransport, UnixTransport, public

    environment = os.environ if environment is None else environment
    context = None
    host = environment.get("DOCKER_HOST") or ""
    if not host:
        context, host = _context(environment)
    transport: UnixTransport | SdkTransport
    if host.startswith("unix://"):
        transport = UnixTransport("/" + host.removeprefix("unix://").lstrip("/"))
    else:
        transport = SdkTransport(host, _tls(context, environment))
    engine = Engine(public(host), transport)
    ping(engine)
    return engine


def load(
    engine: "Engine",
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
    record = _Record(store, engine)
    before = engine.inspect_image(names[0]) if names else None
    whole = _containerd_store(engine, before)
    image_id = image.digest if whole else image.config_digest
    previous = before["Id"] if before is not None and before["Id"] != image_id else None
    there = before if before is not None and before["Id"] == image_id else engine.inspect_image(image_id)
    if there is not None:
        _tag(engine, image_id, names, there.get("RepoTags") or [])
        record.add(image_id, image.diff_ids)
        return LoadReport(image_id, tuple(names), 0, (), tuple(image.layers), previous, False)
    seen: set[str] = set()
    present = 0 if whole else _present(engine, image, before, record, seen)
    skipped, sent_layers = _split(image, present)
    sent = 0
    retried = False
    try:
        sent = _send(engine, image, names, layer_stream, absent={layer.digest for layer in skipped}, progress=progress)
    except RefusedError:
        if not skipped:
            raise
        # Somebody removed the image we counted on, or this engine cannot do it: send everything.
        skipped, sent_layers = _split(image, 0)
        sent = _send(engine, image, names, layer_stream, absent=set(), progress=progress)
        retried = True
    record.add(image_id, image.diff_ids)
    again = () if retried else tuple(layer for layer in sent_layers if layer.diff_id in seen)
    return LoadReport(image_id, tuple(names), sent, tuple(sent_layers), tuple(skipped), previous, retried, again)


class RefusedError(DockerError):
    """The engine read the archive and refused it."""


def ping(engine: "Engine") -> None:
    """Raise DockerError where it does not answer as an engine does."""
    with engine.open("GET", "/_ping", timeout=10) as reply:
        if reply.status != 200:
            raise DockerError(
                f"{engine.host!r} does not answer as a docker engine (status {reply.status})",
                hint="look at DOCKER_HOST and 'docker context ls'",
            )


def _context(environment: Mapping[str, str]) -> tuple[str | None, str]:
    """Name and address of the current context: DOCKER_CONTEXT, else config.json's currentContext.

    Layout of the files: docker/cli, cli/context/store (contexts/meta/<sha256 of the name>/meta.json).
    """
    home = environment.get("DOCKER_CONFIG") or os.path.join(
        environment.get("HOME") or os.path.expanduser("~"), ".docker"
    )
    name = environment.get("DOCKER_CONTEXT")
    if not name:
        with contextlib.suppress(OSError, ValueError, AttributeError), open(os.path.join(home, "config.json")) as file:
            name = json.load(file).get("currentContext")
    if not name or name == "default":
        return None, f"unix://{DEFAULT_SOCKET}"
    meta = os.path.join(home, "contexts", "meta", hashlib.sha256(name.encode()).hexdigest(), "meta.json")
    try:
        with open(meta) as file:
            host = json.load(file)["Endpoints"]["docker"]["Host"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DockerError(
            f"the docker context {name!r} cannot be read", hint="see 'docker context ls', or set DOCKER_HOST"
        ) from error
    return name, str(host)


def _tls(context: str | None, environment: Mapping[str, str]) -> Any:
    """The SDK's TLS settings of a context, or of DOCKER_TLS_VERIFY and DOCKER_CERT_PATH; False for none."""
    if context is not None:
        from docker.context import ContextAPI

        found = ContextAPI.get_context(context)
        return (found.TLSConfig if found is not None else None) or False
    from docker.utils import kwargs_from_env

    return kwargs_from_env(dict(environment)).get("tls", False)


def _containerd_store(engine: "Engine", before: dict[str, Any] | None) -> bool:
    """Whether images are in containerd's store (moby, `docker info`: driver-type io.containerd.snapshotter.v1).

    An image that is kept by a driver only the other store has answers this without the question, which takes 10 ms.
    """
    driver = ((before or {}).get("GraphDriver") or {}).get("Name")
    if driver in _GRAPH_DRIVERS:
        return False
    return any("containerd.snapshotter" in str(item) for row in engine.info.get("DriverStatus") or () for item in row)


def _present(engine: "Engine", image: Image, before: dict[str, Any] | None, record: "_Record", seen: set[str]) -> int:
    """How many of the image's layers, from the base up, the engine has.

    `seen` gets the diff_ids of all layers met on the way.
    """
    wanted = image.diff_ids
    seen.update(_diff_ids(before))
    best = _prefix(wanted, _diff_ids(before))
    newest = list(reversed(record.images.items()))
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


def _split(image: Image, present: int) -> tuple[list[Layer], list[Layer]]:
    """The layers that need not be sent and those that must; one that stands above too must."""
    above = {layer.digest for layer in image.layers[present:]}
    skipped = [layer for layer in image.layers[:present] if layer.digest not in above]
    sent = list({layer.digest: layer for layer in image.layers if layer.digest in above}.values())
    return skipped, sent


def _tag(engine: "Engine", image_id: str, names: Sequence[str], there: Iterable[str]) -> None:
    for name in names:
        if name not in there:
            repository, _, tag = name.rpartition(":")
            engine.call("POST", f"/images/{image_id}/tag", query={"repo": repository, "tag": tag})


def _send(
    engine: "Engine",
    image: Image,
    names: Sequence[str],
    layer_stream: LayerStream,
    *,
    absent: set[str],
    progress: Progress | None,
) -> int:
    """Send the archive without the layers in `absent`; returns its size in bytes."""
    total = archive_size(image, names=names, absent=absent)
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for chunk in stream_archive(image, layer_stream, names=names, absent=absent):
            yield chunk
            sent += len(chunk)
            if progress is not None:
                progress("loading into docker", sent, total)

    headers = {"Content-Type": "application/x-tar"}
    with engine.open("POST", "/images/load", query={"quiet": 1}, headers=headers, body=body(), timeout=None) as reply:
        _check(engine, reply, image)
    return sent


def _check(engine: "Engine", reply: "Reply", image: Image) -> None:
    """Raise RefusedError where the engine's answer to a load tells of an error."""
    from buildrules.oci.docker_http import message_of

    problem = None
    if reply.status >= 400:
        problem = message_of(reply.read())
    else:
        for line in reply.lines():
            with contextlib.suppress(ValueError, AttributeError):
                problem = json.loads(line).get("error") or problem
    if problem is None:
        return
    hint = None
    if any(layer.media_type == LAYER_ZSTD for layer in image.layers):
        hint = "the image has zstd layers, which Docker reads from version 23 on: update it, or use gzip"
    elif "no space left" in problem:
        hint = "free some space for the engine: docker system df, docker image prune"
    raise RefusedError(f"{engine.title} refused the image: {problem}", hint=hint)


class _Record:
    """The images an engine got from this store: ID -> diff_ids, newest last. Losing it costs time only."""

    def __init__(self, store: str | None, engine: "Engine") -> None:
        self.images: dict[str, list[str]] = {}
        self._path = None
        if store is None:
            return
        # By address: asking for the engine's own ID takes 10 ms, and an image that is not there is found out anyway.
        name = hashlib.sha256(engine.host.encode()).hexdigest()[:32]
        self._path = os.path.join(store, "docker", name + ".json")
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError), open(self._path) as file:
            found = json.load(file)
            if found["version"] == 1:
                self.images = {str(key): [str(item) for item in value] for key, value in found["images"].items()}

    def forget(self, image_id: str) -> None:
        """The engine no longer has it."""
        self.images.pop(image_id, None)

    def add(self, image_id: str, diff_ids: list[str]) -> None:
        """Note an image, and keep what is known on disk. Failing to is no error."""
        if self._path is None or next(reversed(self.images), None) == image_id:
            return
        self.images.pop(image_id, None)
        self.images[image_id] = diff_ids
        for old in list(self.images)[:-_REMEMBERED]:
            del self.images[old]
        aside = f"{self._path}.{os.getpid()}.tmp"
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(aside, "w") as file:
                json.dump({"version": 1, "images": self.images}, file)
            os.replace(aside, self._path)
