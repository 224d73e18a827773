"""Where a locked file is now: asks the user's package indexes, through uv, for the file with a digest."""

import os
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from buildrules.actions.python.credentials import IndexLogins
from buildrules.actions.python.document import digest_of, files_of
from buildrules.actions.python.feeds import Feeds, uv_environment
from buildrules.actions.python.target import Target
from buildrules.actions.python.uvtool import compile_arguments, failure, run_uv
from buildrules.credentials.redact import redact
from buildrules.errors import CredentialsError, FetchError, GoneError, LockError
from buildrules.net.session import Session
from buildrules.start.failure import Failure
from buildrules.start.header import content_length
from buildrules.state.location import store_root
from buildrules.store.private_folder import private_folder


class LockedFiles:
    """Where locked files are now, as far as one session has asked. The urls may have credentials in them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._located: dict[str, str] = {}  # sha256 -> url, perhaps with userinfo
        self._asked: set[tuple[Any, ...]] = set()
        self._lock = threading.Lock()

    def locate(self, wanted: Sequence[dict[str, Any]], index: dict[str, Any], root: str) -> dict[str, str]:
        """The present urls, by file name, of locked files: name, version, filename, sha256.

        `index` is what `Lock.places` gives under "index": the target, the feeds, and the pins of the whole lock, which
        are asked for at once. Use the urls and forget them. Raises GoneError naming the files that no index has any
        more, FetchError where an index does not answer, CredentialsError where a feed's secret cannot be read or is
        refused.
        """
        target, feeds = Target.from_dict(index["target"]), Feeds.from_dict(index.get("feeds", {}))
        with self._lock:
            if self._missing(wanted):
                pins = [(item["name"], item["version"]) for item in wanted]
                pins += [(name, version) for name, version in index.get("pins", [])]
                self._ask(sorted(set(pins)), target, feeds, root)
            for item in self._missing(wanted):  # one version that was removed makes uv refuse all of them
                self._ask([(str(item["name"]), str(item["version"]))], target, feeds, root)
        missing = self._missing(wanted)
        if missing:
            raise _gone(missing)
        logins = self._session.own(IndexLogins)
        return {item["filename"]: logins.authorize(self._located[item["sha256"]], root) for item in wanted}

    def remember(self, files: Iterable[dict[str, Any]]) -> None:
        """Keep where uv has just seen files."""
        for entry in files:
            digest, url = digest_of(entry), entry.get("url")
            if digest and url:
                self._located.setdefault(digest, url)

    def _missing(self, wanted: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [item for item in wanted if item["sha256"] not in self._located]

    def _ask(self, pins: list[tuple[str, str]], target: Target, feeds: Feeds, root: str) -> None:
        """Ask uv, once, and keep what it says: nothing where there are no such versions.

        Raises FetchError if uv cannot tell.
        """
        import tomllib

        key = (tuple(pins), target, feeds, root)
        if key in self._asked:
            return
        self._asked.add(key)
        connections = self._session.connections
        with private_folder(os.path.join(store_root(), "tmp")) as folder:
            lines = [f"{name}=={version}" for name, version in pins]
            arguments = [*compile_arguments(folder, lines, target), "--no-deps", "--prerelease", "allow"]
            arguments += feeds.arguments(folder, [name for name, _ in pins], connections)
            answer = run_uv(arguments, root, uv_environment(feeds, connections))
        if answer.code:
            error = failure(answer, "look for locked files", connections)
            if isinstance(error, CredentialsError):
                raise error
            if "No solution found" in answer.errors:
                return
            if isinstance(error, FetchError):
                raise error
            raise FetchError(error.message, hint=error.hint, log=error.log)
        self.remember(files_of(tomllib.loads(answer.output)))


def _gone(missing: Sequence[dict[str, Any]]) -> GoneError:
    files = ", ".join(sorted(repr(str(item["filename"])) for item in missing))
    names = " ".join(sorted({f"--upgrade {item['name']}" for item in missing}))
    return GoneError(
        f"no package index has the locked {files} any more",
        hint=f"lock another version with 'buildrules lock {names}', put the file beside the lock,"
        " or configure the index that has it",
    )


def remote_size(url: str, root: str, filename: str, session: Session) -> int:
    """The size in bytes of the file at `url` (file, http, https). Raises LockError where nobody says,
    FetchError where there is no answer."""
    try:
        answer = session.client.get(session.own(IndexLogins).authorize(url, root))
    except Failure as failure:
        raise FetchError(f"the size of {filename!r} cannot be asked for: {failure.text}", hint=failure.hint) from None
    answer.close()
    length = content_length(answer.headers)
    if answer.status == 200 and length is not None:
        return length
    raise LockError(
        f"the size of {filename!r} is not known: neither the index nor {redact(url)!r} tells it",
        hint="use an index that gives sizes, or check the credentials for it",
    )
