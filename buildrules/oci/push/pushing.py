"""Carry a plan out: blobs first, each from where it is cheapest, then manifests, and the tags last."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from threading import Lock

from buildrules.errors import Interrupted
from buildrules.net.download import Stop, side_by_side
from buildrules.net.session import Fetching
from buildrules.oci.blob import sound
from buildrules.oci.image import changed
from buildrules.oci.push.plan import PARALLEL, Mount, PushPlan, Send, beside
from buildrules.oci.push.report import MOUNTED, SENT, SHARED, PushReport, Row
from buildrules.oci.push.shipment import PushBlob, PushManifest
from buildrules.oci.push.standing import Standing
from buildrules.oci.transport import AnswerError

UPLOADS = 4  # at once
ENOUGH = 3  # mounts that a registry may answer without mounting, before it is not asked for more
_LACKING = ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN")


def push(plan: PushPlan, context: Fetching, told: Callable[[str], None] = lambda _: None) -> PushReport:
    """Carry `plan` out. `told` gets what a user should know, a sentence each.

    Raises RegistryError, Interrupted, IntegrityError where content is not what it was, and what opening it raises. Then
    the tags of an image name what they named before, or, where all its content is there, all of them the new one; what
    was sent is there for the next try.
    """
    return _Pushing(plan, context, told).run()


class _Pushing:
    def __init__(self, plan: PushPlan, context: Fetching, told: Callable[[str], None]) -> None:
        self._plan = plan
        self._context = context
        self._told = told
        self._lock = Lock()
        self._mounts: Counter[tuple[str, bool]] = Counter()  # by registry, and whether it did
        self._moved = self._total = 0
        self.report = PushReport(plan.there)

    def run(self) -> PushReport:
        """See `push`."""
        self._send(self._plan.sends)
        mounts = self._plan.mounts
        self._moved, self._total = 0, sum(mount.blob.size for mount in mounts)
        done = side_by_side(self._mount, mounts, self._context, PARALLEL)
        refused = [mount for mount, mounted in zip(mounts, done, strict=True) if not mounted]
        if refused:
            self._refer(refused)
        waiting = [standing for standing in self._plan.standings if not standing.settled]
        side_by_side(lambda standing, _: self._images(standing), waiting, self._context, PARALLEL)
        side_by_side(lambda standing, _: self._root(standing), waiting, self._context, PARALLEL)
        return self.report

    def _send(self, sends: Sequence[Send]) -> None:
        """Send blobs, the largest first: the end is then not one large blob alone."""
        self._moved, self._total = 0, sum(send.blob.size for send in sends)
        side_by_side(self._upload, sorted(sends, key=lambda send: -send.blob.size), self._context, UPLOADS)

    def _upload(self, send: Send, stop: Stop) -> None:
        blob, registry = send.blob, send.standing.shipment.registry
        source = next(iter(beside(registry, blob.sources)), None)  # of a small one nobody has asked
        how = SENT
        try:
            body = self._counted(blob, blob.open, stop)
            if registry.upload(blob.digest, blob.size, body, mount_from=source) == MOUNTED:
                how = MOUNTED
                self._move(blob.size)
        except AnswerError as error:
            if error.code != "DIGEST_INVALID":
                raise
            # Somebody changed the bytes: here, which this finds out, or on the way.
            registry.upload(blob.digest, blob.size, self._counted(blob, lambda: _unchanged(blob), stop))
        self._came(send.standing, blob, how)

    def _counted(self, blob: PushBlob, body: Callable[[], object], stop: Stop) -> Callable[[], Iterator[bytes]]:
        """The same bytes, told to whoever watches; opened again they start over."""
        sent = 0

        def counted() -> Iterator[bytes]:
            nonlocal sent
            self._move(-sent)
            sent = 0
            for chunk in body():  # type: ignore[attr-defined]
                if stop.is_set():
                    raise Interrupted("pushing was stopped")
                yield chunk
                self._move(len(chunk))
                sent += len(chunk)

        return counted

    def _move(self, count: int, what: str = "pushing layers") -> None:
        with self._lock:
            self._moved += count
            moved = self._moved
        self._context.progress(what, moved, self._total)

    def _mount(self, mount: Mount, _stop: Stop) -> bool:
        registry, blob = mount.standing.shipment.registry, mount.blob
        host = registry.transport.host
        if self._mounts[host, False] >= ENOUGH and not self._mounts[host, True]:
            return False
        mounted = registry.mount(blob.digest, mount.source)
        with self._lock:
            self._mounts[host, mounted] += 1
        if mounted:
            self._came(mount.standing, blob, MOUNTED)
            self._move(blob.size, "mounting layers")
        return mounted

    def _refer(self, refused: Sequence[Mount]) -> None:
        """Without mounts: some registries share a blob once a manifest names it, whatever the repository.

        So repository after repository is made whole, its images by digest; the next asks again, and is sent what is
        still not there.
        """
        told: set[str] = set()
        hosts = {mount.standing.shipment.registry.transport.host for mount in refused}
        for standing in self._plan.standings:
            registry = standing.shipment.registry
            if registry.transport.host not in hosts or standing.settled:
                continue
            lacking = [mount for mount in refused if mount.standing is standing]
            there = side_by_side(
                lambda mount, _: mount.standing.shipment.registry.blob_size(mount.blob.digest) == mount.blob.size,
                lacking,
                self._context,
                PARALLEL,
            )
            again = [Send(mount.standing, mount.blob) for mount, found in zip(lacking, there, strict=True) if not found]
            for mount, found in zip(lacking, there, strict=True):
                if found:
                    self._came(standing, mount.blob, SHARED)
            if again and registry.transport.host not in told:
                told.add(registry.transport.host)
                self._told(
                    f"registry {registry.transport.host} mounts nothing from one repository in another: "
                    "what they share is sent to each of them"
                )
            self._send(again)
            self.report.resent += sum(send.blob.size for send in again)
            for manifest in standing.shipment.manifests:
                self._put(standing, manifest, manifest.digest)

    def _came(self, standing: Standing, blob: PushBlob, how: str) -> None:
        with self._lock:
            standing.blobs.add(blob.digest)
            self.report.rows.append(Row(str(standing), blob.digest, blob.size, blob.kind, how))

    def _images(self, standing: Standing) -> None:
        """What an index names, by digest."""
        for manifest in standing.shipment.manifests[:-1]:
            if manifest.digest not in standing.manifests:
                self._put(standing, manifest, manifest.digest)

    def _root(self, standing: Standing) -> None:
        """Move the tags, all or none."""
        root, tried = standing.shipment.root, list[str]()
        if not standing.shipment.tags and root.digest not in standing.manifests:
            self._put(standing, root, root.digest)
        try:
            for tag in standing.tags:
                tried.append(tag)
                self._put(standing, root, tag)
        except BaseException:
            for tag in tried:
                self._restore(standing, tag)
            raise
        with self._lock:
            self.report.moved += [f"{standing}:{tag}" for tag in tried]

    def _restore(self, standing: Standing, tag: str) -> None:
        """Have a tag name again what it named before, if the registry lets us.

        It is asked first: the last one may have moved, too, where only the answer was lost.
        """
        registry, before = standing.shipment.registry, standing.before.get(tag)
        try:
            if registry.manifest_digest(tag) != standing.shipment.root.digest:
                return
            if before is None:
                registry.remove_manifest(tag)
            else:
                old = registry.manifest(before)
                registry.put_manifest(old.data, old.media_type, tag)
        except Exception:  # noqa: BLE001 - the error that stopped us is the one to tell
            self._told(f"{standing}:{tag} may name the new image, and other tags could not be moved: push again")

    def _put(self, standing: Standing, manifest: PushManifest, reference: str) -> None:
        """Write a manifest; where the registry lacks what it names, look at everything again, once."""
        registry = standing.shipment.registry
        try:
            registry.put_manifest(manifest.data, manifest.media_type, reference)
        except AnswerError as error:
            if error.code not in _LACKING:
                raise
            self._complete(standing)
            registry.put_manifest(manifest.data, manifest.media_type, reference)
        with self._lock:
            standing.manifests.add(manifest.digest)

    def _complete(self, standing: Standing) -> None:
        """Somebody removed what was there: ask for every blob, and send what is missing."""
        registry = standing.shipment.registry
        missing = [
            Send(standing, blob) for blob in standing.shipment.blobs if registry.blob_size(blob.digest) != blob.size
        ]
        gone = {send.blob.digest for send in missing}
        with self._lock:
            self.report.rows = [
                row for row in self.report.rows if row.repository != str(standing) or row.digest not in gone
            ]
        self._send(missing)
        for manifest in standing.shipment.manifests[:-1]:
            registry.put_manifest(manifest.data, manifest.media_type, manifest.digest)


def _unchanged(blob: PushBlob) -> Iterator[bytes]:
    """The bytes of a blob. Raises IntegrityError before the last where they are not what its digest says."""
    return sound(blob.digest, blob.size, blob.open(), changed(blob.digest))
