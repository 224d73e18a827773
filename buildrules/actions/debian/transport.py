"""How bytes come from an archive: by apt's own downloader where apt's configuration names it, else by our own client.

apt's downloader knows the machine's proxies, certificates and credentials for its sources; none of them pass through
here. Whatever arrives is checked against its sha256, or is an InRelease file whose signature is checked.
"""

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from buildrules.credentials.redact import redact, scrub_output
from buildrules.errors import FetchError, GoneError, IntegrityError, Interrupted
from buildrules.store.blobs import CHUNK, hex_of

if TYPE_CHECKING:
    from buildrules.engine.kind import Context

DEBIAN = "Debian archive"
LARGEST_RELEASE = 16 << 20  # bytes of an InRelease file
HELPER = "/usr/lib/apt/apt-helper"
_GONE = re.compile(r"^\s*(404|410)\b|File not found|No such file", re.IGNORECASE)
_FAILED = re.compile(r"^E: Failed to fetch (\S+)\s+(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file: places as (url, by apt) in the order to be tried, `digest` sha256:<hex>, `size` in bytes."""

    places: Sequence[tuple[str, bool]]
    digest: str
    size: int
    what: str


def fetch(items: Sequence[Wanted], context: "Context") -> None:
    """Bring all files into the store, in parallel. Raises GoneError, IntegrityError or FetchError for the first that
    no place has."""
    from buildrules.net.download import Download, fetch_all

    missing = [item for item in items if not context.blobs.has(item.digest, item.size)]
    by_apt = [item for item in missing if item.places and _uses_apt(item.places[0], context)]
    failures = _fetch_by_apt(by_apt, context)
    rest: list[Download] = []
    for item in missing:
        others = [place[0] for place in item.places if not _uses_apt(place, context)]
        if item.digest in failures and not others:
            raise failures[item.digest]
        rest.append(Download(others, item.digest, item.size, item.what, DEBIAN))
    fetch_all(rest, context)  # which leaves those alone that are there


def read_release(url: str, by_apt: bool, context: "Context") -> bytes:
    """An InRelease file, unchecked. Raises GoneError where there is none, FetchError where it cannot be had."""
    if _uses_apt((url, by_apt), context):
        return _read_by_apt(url, context)
    from buildrules.net.download import Stop, error_of, refused
    from buildrules.start.failure import MISSING, Failure

    try:
        return context.session.client.read(url, limit=LARGEST_RELEASE, wait=Stop(context).pause)
    except Failure as failure:
        told = refused(failure, url, context)
        if told.reason == MISSING:
            raise GoneError(f"{redact(url)!r} does not exist: {told.text}") from None
        error = error_of(told, f"could not fetch {redact(url)!r}: {told.text}", context.blobs)
        error.hint = error.hint or "check workspace.debian.mirror and the network"
        raise error from None


def _uses_apt(place: tuple[str, bool], context: "Context") -> bool:
    url, by_apt = place
    served = context.session.connections.serving(url)
    if served is not None and served.kind != "none":  # apt does not know these credentials
        return False
    return by_apt and not url.startswith("file:") and os.access(HELPER, os.X_OK)


def _read_by_apt(url: str, context: "Context") -> bytes:
    with _folder(context) as folder:
        path = os.path.join(folder, "file")
        output = _run([(url, path, "")], folder, context)
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            return file.read(LARGEST_RELEASE)
        raise _failure(url, url, output)


def _fetch_by_apt(items: Sequence[Wanted], context: "Context") -> dict[str, Exception]:
    """Fetch what can be had; returns the error of each digest that cannot."""
    failures: dict[str, Exception] = {}
    left = list(items)
    for turn in range(max((len(item.places) for item in items), default=0)):
        batch = [item for item in left if turn < len(item.places) and _uses_apt(item.places[turn], context)]
        if not batch:
            break
        with _folder(context) as folder:
            orders = [
                (item.places[turn][0], os.path.join(folder, hex_of(item.digest)), f"SHA256:{hex_of(item.digest)}")
                for item in batch
            ]
            output = _run(orders, folder, context, sum(item.size for item in batch))
            for item, (url, path, _) in zip(batch, orders, strict=True):
                if not os.path.exists(path):
                    failures[item.digest] = _failure(item.what, url, output)
                    continue
                with open(path, "rb") as file:
                    context.blobs.put_stream(iter(lambda: file.read(CHUNK), b""), item.digest, item.size)
                context.count(fetched=item.size, source=DEBIAN)
                failures.pop(item.digest, None)  # another place may have lacked it
                left.remove(item)
    return failures


def _folder(context: "Context") -> "TemporaryDirectory[str]":
    """A folder of its own beside the blobs."""
    os.makedirs(context.blobs.tmp, exist_ok=True)
    return TemporaryDirectory(dir=context.blobs.tmp)


def _run(orders: list[tuple[str, str, str]], folder: str, context: "Context", total: int = 0) -> str:
    """Have apt download all orders (url, path, hash or ""); returns what it had to say about those that failed.

    With `total`, the bytes of all, what is there of them is reported.
    """
    import subprocess

    command = [HELPER, "-q", "-o", "Acquire::Retries=2", "-o", "APT::Sandbox::User=root"]
    trusted, _ = context.session.connections.certificates()
    command += ["-o", f"Acquire::https::CaInfo={trusted}"] if trusted else []
    command.append("download-file")
    command += [word for order in orders for word in order if word]
    environment = os.environ | {"LC_ALL": "C"}
    log = os.path.join(folder, "log")
    with open(log, "wb") as sink:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=sink, env=environment)
        try:
            while process.poll() is None:
                if context.cancelled:
                    raise Interrupted("fetching was stopped")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
                if total:
                    context.progress("debian packages", min(_size_of(folder), total), total)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read()


def _failure(what: str, url: str, output: str) -> Exception:
    from urllib.parse import unquote

    # apt writes the address in its own way: "~" as "%7e", escapes in lower case.
    causes = {unquote(redact(where)): cause.strip() for where, cause in _FAILED.findall(output)}
    cause = causes.get(unquote(redact(url)), "")
    shown = redact(url) if what == url else f"{what} from {redact(url)}"
    if "mismatch" in cause or "unexpected size" in cause:
        return IntegrityError(f"{shown}: the archive has other content than was signed ({scrub_output(cause)})")
    if _GONE.search(cause):
        return GoneError(f"{shown} does not exist ({scrub_output(cause)})")
    return FetchError(
        f"could not fetch {shown}",
        hint="check the network and the machine's apt configuration",
        log=scrub_output(output)[-2000:] or None,
    )


def _size_of(folder: str) -> int:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())
    return 0
