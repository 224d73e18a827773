"""Bring an image into a registry: ask for each blob, mount or upload what is missing, the manifest last."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Lock

from buildrules.oci.registry import Registry
from buildrules.oci.transport import Body

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class PushBlob:
    """One blob of an image: `open` gives its `size` bytes, anew at every call."""

    digest: str
    size: int
    open: Body


@dataclass(slots=True)
class PushReport:
    """What a push did, by digest, and the digest of the manifest. `bytes_uploaded` counts layers and config."""

    digest: str = ""
    present: list[str] = field(default_factory=list)
    mounted: list[str] = field(default_factory=list)
    uploaded: list[str] = field(default_factory=list)
    bytes_uploaded: int = 0


def missing_blobs(registry: Registry, blobs: Iterable[PushBlob], jobs: int = 4) -> list[PushBlob]:
    """Those of `blobs` the repository does not have, each once, in their order. Raises RegistryError."""
    once = list({blob.digest: blob for blob in blobs}.values())
    with ThreadPoolExecutor(jobs) as pool:
        sizes = list(pool.map(lambda blob: registry.blob_size(blob.digest), once))
    return [blob for blob, size in zip(once, sizes, strict=True) if size != blob.size]


def push_image(
    registry: Registry,
    blobs: Sequence[PushBlob],
    manifest: bytes,
    media_type: str,
    references: Sequence[str],
    *,
    mount_from: str | None = None,
    jobs: int = 4,
    progress: Progress | None = None,
) -> PushReport:
    """Push layers and config (`blobs`), then `manifest` under every tag or digest of `references`.

    `mount_from` is another repository of the registry that may have the blobs. `progress` is called from
    several threads. Raises RegistryError, IntegrityError; then no manifest was written, and what was
    uploaded is there for the next try.
    """
    missing = missing_blobs(registry, blobs, jobs)
    lacking = {blob.digest for blob in missing}
    report = PushReport(present=[digest for digest in {blob.digest: None for blob in blobs} if digest not in lacking])
    meter = _Meter(sum(blob.size for blob in missing), progress)
    with ThreadPoolExecutor(jobs) as pool:
        # The largest first: the end of the push is then not one large blob alone.
        ordered = sorted(missing, key=lambda blob: -blob.size)
        futures = {pool.submit(_bring, registry, blob, mount_from, meter): blob for blob in ordered}
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            meter.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for future, blob in futures.items():
        if future.result() == "mounted":
            report.mounted.append(blob.digest)
        else:
            report.uploaded.append(blob.digest)
            report.bytes_uploaded += blob.size
    for reference in references:
        report.digest = registry.put_manifest(manifest, media_type, reference)
    return report


class StoppedError(Exception):
    """Another blob of the same push failed; never leaves this module."""


class _Meter:
    """Adds up the bytes of all uploads, and stops them when one has failed."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._stopped = False
        self._lock = Lock()

    def stop(self) -> None:
        self._stopped = True

    def add(self, count: int) -> None:
        if self._stopped:
            raise StoppedError
        with self._lock:
            self._done += count
            if self._progress is not None:
                self._progress("pushing layers", self._done, self._total)


def _bring(registry: Registry, blob: PushBlob, mount_from: str | None, meter: _Meter) -> str:
    counted = 0

    def body() -> Iterable[bytes]:
        nonlocal counted
        meter.add(-counted)  # a second try starts over
        counted = 0
        for chunk in blob.open():
            meter.add(len(chunk))
            counted += len(chunk)
            yield chunk

    done = registry.upload(blob.digest, blob.size, body, mount_from=mount_from)
    if done == "mounted":
        meter.add(blob.size)
    return done
