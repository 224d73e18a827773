"""The credentials uv would use for a file of a package index, at the moment it is fetched.

A connection of the workspace comes first; then, in uv's order: userinfo of index urls in UV_* variables and uv.toml,
UV_INDEX_<NAME>_USERNAME and _PASSWORD, the `keyring` program where the user chose it, uv's own store ('uv auth login').
netrc is left to the fetch itself.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from buildrules.actions.python.uv_settings import config_paths, pip_of, read_config
from buildrules.credentials.address import split_userinfo, with_userinfo
from buildrules.credentials.redact import redact
from buildrules.credentials.secret import ask_program
from buildrules.net.session import Session
from buildrules.start.address import origin_of

_URL_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")


@dataclass(frozen=True, slots=True)
class Index:
    """One configured index: `url` without userinfo."""

    name: str
    url: str
    user: str | None
    password: str | None


class IndexLogins:
    """The logins for package indexes, for one session: programs that keep secrets are asked once."""

    def __init__(self, session: Session) -> None:
        self._connections = session.connections
        self._configs: dict[tuple[str, int], tuple[tuple[str, str], ...]] = {}
        self._asked: dict[tuple[str, ...], Any] = {}

    def authorize(self, url: str, root: str) -> str:
        """`url` with userinfo put in where the user has configured credentials for its origin; otherwise as it is.

        `root` is the folder whose uv.toml counts. The result is for a request, never to be kept or shown.
        """
        if not url.startswith(("http://", "https://")) or split_userinfo(url)[1]:
            return url
        served = self._connections.serving(url)
        if served is not None and served.kind != "none":
            return url  # the request itself reads the connection's credentials
        found = self._configured(url, root) or self._once(_from_uv, "{}://{}:{}".format(*origin_of(url)))
        return with_userinfo(url, *found) if found else url

    def _once(self, ask: Callable[..., Any], *arguments: str) -> Any:
        key = (ask.__name__, *arguments)
        if key not in self._asked:
            self._asked[key] = ask(*arguments)
        return self._asked[key]

    def _configured(self, url: str, root: str) -> tuple[str, str] | None:
        origin, path = origin_of(url), urlsplit(url).path
        matching = [index for index in self.indexes(root) if origin_of(index.url) == origin]
        matching.sort(key=lambda index: -len(os.path.commonpath(["/" + urlsplit(index.url).path, "/" + path])))
        for index in matching:
            if index.password is not None:
                return index.user or "", index.password
        for index in matching:
            if os.environ.get("UV_KEYRING_PROVIDER") == "subprocess" and index.user:
                password = self._once(_keyring, index.url, index.user) or self._once(_keyring, origin[1], index.user)
                if password:
                    return index.user, password
        return None

    def indexes(self, root: str) -> list[Index]:
        """The indexes of the environment and of the configuration files that hold for `root`."""
        found = []
        for name, url in self._named(root):
            with contextlib.suppress(ValueError):  # no address: uv says so, and of whom it has it
                index = _index(name, url)
                origin_of(index.url)
                found.append(index)
        return found

    def _named(self, root: str) -> Iterator[tuple[str, str]]:
        for variable in _URL_VARIABLES:
            for word in re.split(r"[\s,]+" if variable == "UV_FIND_LINKS" else r"\s+", os.environ.get(variable, "")):
                name, equals, url = word.partition("=")
                if not equals or "://" in name:
                    name, url = "", word
                if "://" in url:
                    yield name, url
        for feed in self._connections.feeds():  # uv is told of those without credentials too, and may know some
            yield feed.name, feed.target
        for path in config_paths(os.path.abspath(root)):
            key = path, _stamp(path)
            if key not in self._configs:
                self._configs[key] = _read_config(*key)
            yield from self._configs[key]


def _index(name: str, url: str) -> Index:
    clean, login = split_userinfo(url)
    user, password = login or (None, None)
    if login and not password:
        password = None
    variable = re.sub(r"[^A-Z0-9]", "_", name.upper())
    if name:
        user = os.environ.get(f"UV_INDEX_{variable}_USERNAME", user)
        password = os.environ.get(f"UV_INDEX_{variable}_PASSWORD", password)
    return Index(name, clean, user, password)


def _stamp(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _read_config(path: str, stamp: int) -> tuple[tuple[str, str], ...]:
    """(name, url) of every index in the project's, the user's or the system's configuration."""
    data = read_config(path) if stamp else {}
    found = [
        (str(entry.get("name", "")), str(entry.get("url", "")))
        for entry in _listed(data.get("index"))
        if isinstance(entry, dict)
    ]
    for table in (data, pip_of(data)):
        for key in ("index-url", "extra-index-url", "find-links"):
            found.extend(("", str(url)) for url in _listed(table.get(key)))
    return tuple((name, url) for name, url in found if "://" in url)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _keyring(service: str, user: str) -> str | None:
    try:
        answer = ask_program(["keyring", "get", service, user], f"the index {redact(service)!r}", "the keyring")
    except OSError:
        return None
    return answer.decode(errors="replace").rstrip("\r\n") or None if answer else None


def _from_uv(origin: str) -> tuple[str, str] | None:
    """What 'uv auth login' keeps for an origin. Asked for only where uv has a store at all."""
    import base64
    import binascii

    from buildrules.actions.python.uvtool import uv_binary

    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    folder = os.environ.get("UV_CREDENTIALS_DIR") or os.path.join(data, "uv", "credentials")
    if not os.path.isdir(folder):
        return None
    command = [uv_binary(), "auth", "helper", "--preview-features", "auth-helper", "--protocol", "bazel", "get"]
    request = json.dumps({"uri": origin + "/"}).encode()
    try:
        answer = ask_program(command, f"the index {origin!r}", "uv's own store", request)
        value = json.loads(answer or b"")["headers"]["Authorization"][0]
        user, _, password = base64.b64decode(value.removeprefix("Basic ")).decode().partition(":")
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, binascii.Error):
        return None
    return user, password
