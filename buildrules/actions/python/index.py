"""Where a locked file is now: asks the user's package indexes, through uv, for the file with a digest."""

import contextlib
import tempfile
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from buildrules.actions.python.credentials import authorize
from buildrules.actions.python.document import digest_of, files_of
from buildrules.actions.python.feeds import Feeds, uv_environment
from buildrules.actions.python.target import Target
from buildrules.actions.python.uvtool import compile_arguments, failure, run_uv
from buildrules.credentials.redact import redact
from buildrules.errors import CredentialsError, FetchError, GoneError, LockError
from buildrules.start.failure import Failure
from buildrules.start.header import content_length

_located: dict[str, str] = {}  # sha256 -> url, perhaps with userinfo: for this process only
_asked: set[tuple[Any, ...]] = set()
_lock = threading.Lock()


def locate(wanted: Sequence[dict[str, Any]], index: dict[str, Any], root: str) -> dict[str, str]:
    """The present urls, by file name, of locked files: name, version, filename, sha256.

    `index` is what `Lock.hints` gives under "index": the target, the feeds, and the pins of the whole lock, which are
    asked for at once. Answers are kept for the process. The urls may have credentials in them: use them and forget
    them. Raises GoneError naming the files that no index has any more, FetchError where an index does not answer,
    CredentialsError where a feed's secret cannot be read or is refused.
    """
    target, feeds = Target.from_dict(index["target"]), Feeds.from_dict(index.get("feeds", {}))
    with _lock:
        if any(item["sha256"] not in _located for item in wanted):
            pins = [(item["name"], item["version"]) for item in wanted]
            pins += [(name, version) for name, version in index.get("pins", [])]
            _ask_once(sorted(set(pins)), target, feeds, root)
        if any(item["sha256"] not in _located for item in wanted):
            _ask_one_by_one([item for item in wanted if item["sha256"] not in _located], target, feeds, root)
    missing = [item for item in wanted if item["sha256"] not in _located]
    if missing:
        raise _gone(missing)
    return {item["filename"]: authorize(_located[item["sha256"]], root) for item in wanted}


def _gone(missing: Sequence[dict[str, Any]]) -> GoneError:
    files = ", ".join(sorted(repr(str(item["filename"])) for item in missing))
    names = " ".join(sorted({f"{item['name']}" for item in missing}))
    return GoneError(
        f"no package index has the locked {files} any more",
        hint=f"lock another version with 'buildrules lock --upgrade-package {names}', put the file beside the lock,"
        " or configure the index that has it",
    )


def _ask_once(pins: list[tuple[str, str]], target: Target, feeds: Feeds, root: str) -> None:
    key = (tuple(pins), target, feeds, root)
    if key in _asked:
        return
    _asked.add(key)
    _ask(pins, target, feeds, root)


def _ask_one_by_one(items: Sequence[dict[str, Any]], target: Target, feeds: Feeds, root: str) -> None:
    """One version that was removed makes uv refuse all of them, so each is asked for alone."""
    for item in items:
        pin = (str(item["name"]), str(item["version"]))
        key = ((pin,), target, feeds, root)
        if key not in _asked:
            _asked.add(key)
            _ask([pin], target, feeds, root)


def _ask(pins: Sequence[tuple[str, str]], target: Target, feeds: Feeds, root: str) -> None:
    """Ask uv and keep what it says: nothing where there are no such versions. Raises FetchError if uv cannot tell."""
    import tomllib

    with tempfile.TemporaryDirectory(prefix="buildrules-") as folder:
        lines = [f"{name}=={version}" for name, version in pins]
        arguments = [*compile_arguments(folder, lines, target), "--no-deps", "--prerelease", "allow"]
        answer = run_uv(arguments, root, uv_environment(feeds))
    if answer.code:
        error = failure(answer, "look for locked files")
        if isinstance(error, CredentialsError):
            raise error
        if "No solution found" in answer.errors:
            return
        if isinstance(error, FetchError):
            raise error
        raise FetchError(error.message, hint=error.hint, log=error.log)
    remember(files_of(tomllib.loads(answer.output)))


def remember(files: Iterable[dict[str, Any]]) -> None:
    """Keep, for this process, where uv has just seen files."""
    for entry in files:
        digest, url = digest_of(entry), entry.get("url")
        if digest and url:
            _located.setdefault(digest, url)


def remote_size(url: str, root: str, filename: str) -> int:
    """The size in bytes of the file at `url` (file, http, https). Raises LockError where nobody says."""
    from buildrules.net.client import Client

    with contextlib.suppress(Failure):
        answer = Client().get(authorize(url, root))
        answer.close()
        length = content_length(answer.headers)
        if answer.status == 200 and length is not None:
            return length
    raise LockError(
        f"the size of {filename!r} is not known: neither the index nor {redact(url)!r} tells it",
        hint="use an index that gives sizes, or check the credentials for it",
    )
