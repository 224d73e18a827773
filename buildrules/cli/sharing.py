"""The shared cache of one command, by the settings of its workspace and the environment. Opened when it is needed.

BUILDRULES_CACHE=URL[,URL] stands in for `workspace.cache.remote`, BUILDRULES_CACHE_UPLOAD for `upload`,
BUILDRULES_CACHE_NAMESPACE for `namespace`; `--no-remote` leaves it all out. What cannot be opened is left out, with
a warning: only a variable that says nothing sensible fails a build.
"""

import functools
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

from buildrules.engine.action import Action, Outputs
from buildrules.engine.cache import Record, StoreCache
from buildrules.engine.events import Notice, Stream
from buildrules.engine.executor import LocalExecutor
from buildrules.engine.plan import Goal
from buildrules.errors import BuildrulesError, Interrupted, UsageError
from buildrules.net.session import Session
from buildrules.store.store import Store
from buildrules.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buildrules.engine.borrowed import Borrowed, Nearest, Reader
    from buildrules.engine.publishing import Publishing
    from buildrules.remote.envelope import Signer
    from buildrules.remote.guarded import Guarded
    from buildrules.remote.trust import Trust
    from buildrules.store.noted import NotedSent, NotedSizes

MANY = 16
"""Steps that nothing is known of, from which on one pack of records costs less than asking for each."""

UPLOAD = ("never", "ci", "always")
_UPLOADING = "uploading to the cache"


def settings_of(cache: Mapping[str, Any], *, remote: bool = True, preview: bool = False) -> dict[str, Any]:
    """The settings of `plan.cache` as the environment has them; empty where nothing is shared. Raises UsageError.

    A `preview` writes nothing.
    """
    places = list(cache.get("remote", ()))
    if (given := os.environ.get("BUILDRULES_CACHE")) is not None:
        places = [url.strip() for url in given.split(",") if url.strip()]
    if not remote or not places:
        return {}
    upload = os.environ.get("BUILDRULES_CACHE_UPLOAD") or cache.get("upload", "ci")
    if upload not in UPLOAD:
        raise UsageError(f"BUILDRULES_CACHE_UPLOAD is {upload!r}", hint=f"it is one of {', '.join(UPLOAD)}")
    trusted = os.environ.get("CI", "").lower() in ("true", "1", "yes")
    writes = upload == "always" or (upload == "ci" and trusted)
    return {**cache, "remote": places, "writes": writes and not preview, "namespace": namespace_of(cache)}


def namespace_of(cache: Mapping[str, Any]) -> str:
    """The namespace of `plan.cache` as the environment has it, also where nothing is shared. Raises UsageError."""
    from buildrules.remote.keys import MAIN, is_namespace

    namespace = os.environ.get("BUILDRULES_CACHE_NAMESPACE")
    if namespace and not is_namespace(namespace):
        hint = "it is a name such as main or pull-request/7"
        raise UsageError(f"BUILDRULES_CACHE_NAMESPACE is {namespace!r}", hint=hint)
    return namespace or str(cache.get("namespace", MAIN))


class Sharing:
    """Records and content of others (`engine.cache.Shared`, `store.blobs.Elsewhere`). Safe for threads.

    `lost` are digests that a place promised to an earlier try and did not have.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        root: str,
        store: Store,
        session: Session,
        stream: Stream,
        fits: Callable[[str, Outputs], bool],
        lost: Iterable[str] = (),
    ) -> None:
        self.waiting: Callable[[], AbstractContextManager[None]] = nullcontext
        self.places: list[Guarded] = []
        self.unsent = False  # whether something could not be sent that another command may send
        self._settings = settings
        self._root = root
        self._store = store
        self._session = session
        self._stream = stream
        self._fits = fits
        self._lost = set(lost)
        self._expected = ""
        self._borrowed: Borrowed | None = None
        self._publishing: Publishing | None = None
        self._trust: Trust | None = None
        self._reader: Reader | None = None
        self._lock = threading.RLock()
        self._counted = 0, 0  # bytes, in and out

    @functools.cached_property
    def _sent(self) -> "NotedSent":
        """Which records the places have, as far as this store knows."""
        from buildrules.credentials.redact import redact
        from buildrules.remote.expiry import DAY, RECORDS
        from buildrules.sha256 import hex_digest
        from buildrules.store.noted import NotedSent

        places = "\0".join([self._settings["namespace"], *map(redact, self._settings["remote"])])
        return NotedSent(self._store.table, hex_digest(places.encode())[:16], RECORDS / 2 * DAY)

    @property
    def urls(self) -> list[str]:
        """The addresses of the places, the nearest first."""
        return list(self._settings["remote"])

    @property
    def lost(self) -> set[str]:
        """The digests that no place has, whatever it says."""
        return self._lost if self._borrowed is None else self._borrowed.lost

    def reads(self, settings: Mapping[str, Any]) -> bool:
        """Whether it is what these settings ask for."""
        return settings == self._settings

    def expect(self, goals: Iterable[Goal], unknown: int) -> None:
        """Say what is built, and of how many steps nothing is known yet."""
        if unknown >= MANY:
            self._expected = self._pack_key(goals)

    def get(self, key: str) -> Record | None:
        """See `Cache.get`."""
        return self._open().get(key)

    def nearest(self, target: str, title: str) -> "Nearest | None":
        """See `engine.borrowed.Borrowed.nearest`."""
        return self._open().nearest(target, title)

    def holds(self, digests: Collection[str]) -> set[str]:
        """See `Elsewhere.holds`."""
        return self._open().holds(digests)

    def bring(self, digest: str, size: int | None = None) -> bool:
        """See `Elsewhere.bring`."""
        return self._open().bring(digest, size)

    def publish(self, action: Action, key: str, record: Record, sees: dict[str, str]) -> None:
        """See `engine.cache.Shared.publish`."""
        if self._settings["writes"]:
            self._open()
            if self._publishing is not None:
                from buildrules.engine.publishing import Made

                self._publishing.publish(Made(action, key, record, sees))

    def finish(self, goals: Iterable[Goal], keys: Callable[[], list[str]], here: LocalExecutor) -> None:
        """End what is under way, with progress, and say what there is to say. `keys` gives those of all that is shared,
        none where not all was made.

        Raises Interrupted.
        """
        wanted = list(dict.fromkeys(keys())) if self._settings["writes"] else []
        if len(wanted) >= MANY or not all(map(self._sent.has, wanted)):
            self._open()  # where the store had everything, nobody has yet
        publishing = self._publishing
        if publishing is not None:
            try:
                self._upload(publishing, goals, wanted, lambda: here.progress(_UPLOADING, self._bytes_out(), None))
                here.progress(_UPLOADING, self._bytes_out(), self._bytes_out())
            except KeyboardInterrupt:
                publishing.cancel()
                raise Interrupted("interrupted while uploading to the cache", hint="the build itself is done") from None
        self.tell()
        self.count(here)

    def tell(self) -> None:
        """Say what is wrong with the places, and with records that were found."""
        for place in self.places:
            place.tell()
        for line in self._trust.lines() if self._trust is not None else ():
            self._warn(line)
        if self._reader is not None and self._reader.malformed:
            self._warn(f"{self._reader.malformed} of the cache's records were damaged, and not used")
            self._reader.malformed = 0

    def count(self, here: LocalExecutor) -> None:
        """Count the bytes that were moved since this was last called."""
        moved, sent = sum(place.stats.bytes_in for place in self.places), self._bytes_out()
        here.count(fetched=moved - self._counted[0], sent=sent - self._counted[1], source="cache")
        self._counted = moved, sent

    def close(self) -> None:
        """End all that is under way."""
        if self._publishing is not None:
            self._publishing.cancel()
        for place in self.places:
            place.close()

    def figures(self) -> dict[str, int]:
        """What it cost and brought, for `--json`."""
        found = {"records": len(self._borrowed.keys) if self._borrowed is not None else 0}
        found["sent"] = self._publishing.sent if self._publishing is not None else 0
        for name in ("requests", "misses", "failures"):
            found[name] = sum(getattr(place.stats, name) for place in self.places)
        found["bytes_in"] = sum(place.stats.bytes_in for place in self.places)
        found["bytes_out"] = self._bytes_out()
        return found

    def _bytes_out(self) -> int:
        return sum(place.stats.bytes_out for place in self.places)

    def _open(self) -> "Borrowed":
        with self._lock:
            if self._borrowed is None:
                self._borrowed = self._opened()
            return self._borrowed

    def _opened(self) -> "Borrowed":
        from buildrules.engine.borrowed import Borrowed, Reader
        from buildrules.remote.keys import MAIN
        from buildrules.remote.trust import Trust
        from buildrules.store.noted import NotedSizes

        try:
            from buildrules.workspace.trust import open_trust

            self._trust = open_trust(self._settings, self._root)
        except BuildrulesError as error:  # whom to trust is not known: nobody
            self._warn(f"{error.message}; the cache is left out")
            self._trust = Trust("require")
        else:
            self.places = list(self._opened_places())
        namespace = self._settings["namespace"]
        reader = self._reader = Reader(self.places, list(dict.fromkeys((namespace, MAIN))), self._trust)
        sizes = NotedSizes(self._store.table)
        if self._settings["writes"] and self.places:
            self._publishing = self._writer(reader, namespace, sizes)
        borrowed = Borrowed(reader, self._store.blobs, sizes, self._fits, self._lost)
        borrowed.waiting = self.waiting
        borrowed.expect(self._expected)
        if self._publishing is not None:
            borrowed.taken = self._publishing.pass_on
        return borrowed

    def _opened_places(self) -> "Iterator[Guarded]":
        from buildrules.remote.guarded import Guarded
        from buildrules.remote.opening import open_backend

        for url in self._settings["remote"]:
            try:
                backend = open_backend(url, self._session, self._settings.get("connection"))
            except BuildrulesError as error:
                self._warn(f"{error.message}; it is left out")
            else:
                yield Guarded(backend, self._warn)

    def _writer(self, reader: "Reader", namespace: str, sizes: "NotedSizes") -> "Publishing | None":
        """Who sends what is made here; None where nobody would believe it."""
        from buildrules.credentials.secret import Secrets
        from buildrules.engine.publishing import Publishing
        from buildrules.workspace.trust import open_signer

        assert self._trust is not None
        signer: Signer | None = None
        why, hint = None, None
        try:
            signer = open_signer(self._settings, Secrets(self._root), self._root)
        except BuildrulesError as error:
            why, hint = error.message, error.hint
        else:
            if signer is not None:
                why = self._trust.objection(signer.writer, namespace)
                hint = self._trust.remedy(signer.writer, namespace)
            elif self._trust.policy == "require":
                why = "signatures are required, and workspace.cache.signing_key names no key"
                hint = "make one: buildrules cache key new NAME"
        if why is not None:
            self._warn(f"{why}; nothing is uploaded to the cache" + (f"\n  hint: {hint}" if hint else ""))
            return None
        told, noted = self._warn, self._sent.note
        return Publishing(reader, self._store.blobs, self._fits, namespace, signer, sizes.get, told, noted)

    def _upload(
        self, publishing: "Publishing", goals: Iterable[Goal], keys: list[str], waiting: Callable[[], None]
    ) -> None:
        """End what is under way, then send what was made before there was a cache, or while it could not be sent, and
        the records of a large command as one, unless that is what is there.
        """
        if publishing.wait(waiting) and keys:
            borrowed, kept = self._open(), StoreCache(self._store.records)
            pack_key = self._pack_key(goals) if len(keys) >= MANY else ""
            there = borrowed.pack(pack_key) if pack_key else {}
            for key in borrowed.keys:
                self._sent.note(key)
            lacking = {*keys} - there.keys() - borrowed.keys if pack_key else {}
            publishing.offer({key: kept.get(key) for key in keys if key in lacking or not self._sent.has(key)})
            if publishing.wait(waiting) and not there.keys() >= {*keys} and pack_key:
                publishing.publish_pack(pack_key, {key: kept.get(key) for key in keys}, there)
        publishing.finish(waiting)
        self.unsent = not all(map(self._sent.has, keys))

    def _pack_key(self, goals: Iterable[Goal]) -> str:
        from buildrules.engine.borrowed import pack_key

        return pack_key(self._settings.get("workspace", ""), goals)

    def _warn(self, text: str) -> None:
        self._stream.emit(Notice(text, warning=True))
