"""What resolving and fetching a model may use: a context, credentials, and the options of the target."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildrules.actions.models.origin import File
from buildrules.errors import BuildrulesError, FetchError, GoneError, IntegrityError, Interrupted, StoreError
from buildrules.start import failure as reasons
from buildrules.start.failure import Failure
from buildrules.start.sources import advice, locate
from buildrules.start.transfer import fetch, put
from buildrules.start.web import ask
from buildrules.store.blobs import hex_of
from buildrules.store.download import Fetching


@dataclass(slots=True)
class Access:
    """`credentials` maps roles (see `start.sources`) to names of variables, `environ` has their values.

    `digest` (`sha256:<hex>`), `unpack` and `tracking_uri` are what the target says. `target` is the address of its
    connection; with `anonymous` it wants no credentials. `known` are the files of the lock there is, whose digests
    need not be found out again.
    """

    context: Fetching
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    credentials: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None
    unpack: bool = False
    tracking_uri: str | None = None
    name: str = "model"
    target: str | None = None
    anonymous: bool = False
    known: Sequence[File] = ()

    def armed(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """`source` with the names of the variables its credentials are in."""
        return {**source, "credentials": dict(self.credentials)} if self.credentials else dict(source)

    def ask(self, source: Mapping[str, Any], where: Callable[[dict[str, Any]], tuple[str, dict[str, str]]]) -> bytes:
        """A small answer, with retries. `where` gets the source with credentials and gives url and headers."""
        return self.answer(source, where)[1]

    def answer(
        self,
        source: Mapping[str, Any],
        where: Callable[[dict[str, Any]], tuple[str, dict[str, str]]],
        method: str = "GET",
    ) -> tuple[Mapping[str, str], bytes]:
        """(headers, body) of a small answer, as `ask` gets it."""
        for tries in range(1, 5):
            try:
                return ask(*where(self.armed(source)), method=method)[1:]
            except Failure as failure:
                if not failure.retry or tries == 4 or self.context.cancelled:
                    raise self.error(failure, source) from None
                threading.Event().wait(failure.wait if failure.wait is not None else 0.4 * 2**tries)
        raise AssertionError("unreachable")

    def take(self, source: Mapping[str, Any], file: Mapping[str, Any]) -> tuple[int, str]:
        """Have a file in the store; gives its size and sha256 (hex).

        `file` has `path`, `key` where the source calls it otherwise, and `size` and `sha256` where they are known.
        """
        blobs = self.context.blobs
        size, sha256 = file.get("size"), file.get("sha256")
        if sha256 and blobs.has(f"sha256:{sha256}", size):
            return os.stat(blobs.path(f"sha256:{sha256}")).st_size, sha256
        folder = os.path.join(blobs.aside, "partial")
        os.makedirs(folder, exist_ok=True)
        partial = os.path.join(folder, f"{sha256}.model") if sha256 else blobs.aside_path()
        stop = threading.Event()
        title = f"{self.name}/{file['path']}"
        done = 0

        def moved(count: int) -> None:
            nonlocal done
            done += count
            if count > 0:
                self.context.count(fetched=count)
            self.context.progress(title, done, size)
            if self.context.cancelled:
                stop.set()

        try:
            found = fetch(
                lambda: locate(self.armed(source), file, self.environ), partial, size, sha256, moved=moved, stop=stop
            )
            target = blobs.path(f"sha256:{found[1]}")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            put(partial, target)
            os.chmod(target, 0o444)
        except Failure as failure:
            raise self.error(failure, source, file["path"]) from None
        except FileNotFoundError:
            if not sha256 or not blobs.has(f"sha256:{sha256}", size):
                raise
            return self.take(source, file)  # another process was faster
        finally:
            if not sha256 and os.path.exists(partial):
                os.unlink(partial)
        return found

    def take_all(self, source: Mapping[str, Any], files: list[dict[str, Any]]) -> list[tuple[int, str]]:
        """`take` for many files at once, in their order. Raises the first error after the others have ended."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8, thread_name_prefix="fetch") as pool:
            futures = [pool.submit(self.take, source, file) for file in files]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def file(self, source: Mapping[str, Any], path: str, key: str | None = None) -> File:
        """A file whose digest nobody knows yet: fetched into the store."""
        size, sha256 = self.take(source, {"path": path, "key": key} if key else {"path": path})
        return File(path, size, sha256, key)

    def error(self, failure: Failure, source: Mapping[str, Any], path: str | None = None) -> BuildrulesError:
        """The error a failure of `start` is here."""
        what = f"{self.name!r}" if path is None else f"{path!r} of {self.name!r}"
        text = f"could not fetch {what}: {failure.text}"
        hint = failure.hint
        if failure.reason == reasons.STOPPED:
            return Interrupted("fetching was stopped")
        if failure.reason == reasons.REFUSED:
            return FetchError(text, hint=hint or advice(self.armed(source), self.environ))
        if failure.reason in (reasons.NO_SPACE, reasons.UNWRITABLE):
            return StoreError(f"the store cannot take {what}: {failure.text}", hint="run 'buildrules cache gc'")
        kind = {reasons.MISSING: GoneError, reasons.WRONG: IntegrityError}.get(failure.reason, FetchError)
        return kind(text, hint=hint)


def digest_hex(digest: str) -> str:
    """The hex digits of a digest a user wrote. Raises IntegrityError."""
    return hex_of(digest)
