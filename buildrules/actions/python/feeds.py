"""The workspace's Python feeds, given to uv.

uv searches indexes in order and stays with the first that knows a project's name (its `first-index` strategy), and a
feed comes before whatever else is configured: so a package of a private feed is never taken from a public index of the
same name, whichever version that offers. An index that answers 401 or 403 ends the search.

A feed with `packages` is no part of that search: these come from it, and nothing else does.

Logins reach uv as environment variables. A build back end inherits uv's environment, and may write what it sees into
a wheel: there they go by a netrc file instead, which is removed afterwards.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from buildrules.actions.python.sources import Source, write_sources
from buildrules.credentials.connections import Connection, Connections, variable_name
from buildrules.errors import CredentialsError, UsageError
from buildrules.store.private_folder import private_folder

_REFUSED = (
    re.compile(r"\((?P<url>https?://[^)\s]+)\)[^\n]*?\((?P<status>40[13][^)\n]*)\)"),
    re.compile(r"\((?P<url>https?://[^)\s]+)\) returned an? (?P<status>40[13](?: [A-Z][a-z]+)*)"),
    re.compile(r"\((?P<status>40[13][^)\n]*)\) for url \((?P<url>https?://[^)\s]+)\)"),
)
_PLAIN = re.compile(r"[^\s\"'\\#]+")


@dataclass(frozen=True, slots=True)
class Feeds:
    """Which feeds an environment is resolved with: `names` of connections, None for every Python feed there is.

    `urls` are indexes the requirements name themselves, each below the address of a connection. `sources` are rows of
    package, name of an index and its url, as a pyproject.toml has them.
    """

    names: tuple[str, ...] | None = None
    urls: tuple[str, ...] = ()
    sources: tuple[tuple[str, str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For places and digests; empty where nothing was chosen."""
        return {
            **({} if self.names is None else {"names": list(self.names)}),
            **({"urls": list(self.urls)} if self.urls else {}),
            **({"sources": [list(row) for row in self.sources]} if self.sources else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Feeds":
        """Read what `to_dict` wrote."""
        names = data.get("names")
        sources = tuple((package, index, url) for package, index, url in data.get("sources", ()))
        return cls(None if names is None else tuple(names), tuple(data.get("urls", ())), sources)

    def indexes(self, connections: Connections) -> list[tuple[str, str, Connection]]:
        """(index name, url, connection), in the order uv shall search them. Raises UsageError."""
        feeds = [connection for connection in connections.feeds(self.names) if not connection.packages]
        found = [(connection.name, connection.target, connection) for connection in feeds]
        known = {url.rstrip("/") for _, url, _ in found}
        for number, url in enumerate(self.urls, 1):
            connection = connections.serving(url)
            if connection is not None and not connection.packages and url.rstrip("/") not in known:
                found.append((f"{connection.name}-{number}-of-requirements", url, connection))
        return found

    def assigned(self, connections: Connections) -> dict[str, Source]:
        """The packages that come from one index only, by normalised name. Raises UsageError where one has two."""
        rows = [
            (package, Source(feed.name, feed.target, feed))
            for feed in connections.feeds(self.names)
            for package in feed.packages
        ]
        rows += [(package, Source(name, url, connections.serving(url))) for package, name, url in self.sources]
        found: dict[str, Source] = {}
        named = {feed.name: feed.target for feed in connections.feeds()}
        for package, source in rows:
            other = found.setdefault(package, source)
            if other.url.rstrip("/") != source.url.rstrip("/"):
                raise UsageError(
                    f"{package!r} is to come from {other.named()}, and from {source.named()}",
                    hint="take it out of one; or name the feeds that count in `connections` of the python_env",
                )
            if named.setdefault(source.name, source.url).rstrip("/") != source.url.rstrip("/"):
                raise UsageError(
                    f"the index {source.name!r} is {named[source.name]!r}, and also {source.url!r}",
                    hint="give one of them another name",
                )
        return found

    def arguments(self, folder: str, names: Iterable[str], connections: Connections) -> list[str]:
        """Arguments of `uv pip compile` by which it takes those of `names` that are assigned from their index.

        `folder` takes a file.
        """
        assigned = self.assigned(connections)
        sources = {name: assigned[name] for name in names if name in assigned}
        return [write_sources(folder, sources)] if sources else []


ALL = Feeds()
"""Every Python feed of the workspace."""


def uv_environment(chosen: Feeds, connections: Connections, *, logins: bool = True) -> dict[str, str]:
    """The variables that make uv trust whom we trust, and search the feeds first.

    Raises CredentialsError, UsageError.
    """
    trusted = connections.trust()
    indexes = chosen.indexes(connections)
    found = dict(trusted)
    if indexes:
        own = os.environ.get("UV_INDEX", "")
        found["UV_INDEX"] = " ".join([*(f"{name}={url}" for name, url, _ in indexes), *own.split()])
    opened = {name: connection for name, _, connection in indexes}
    opened |= {one.name: one.connection for one in chosen.assigned(connections).values() if one.connection}
    for name, connection in opened.items() if logins else ():
        user, password = _login(connection)
        if password:
            found[f"UV_INDEX_{variable_name(name)}_USERNAME"] = user
            found[f"UV_INDEX_{variable_name(name)}_PASSWORD"] = password
    return found


@contextlib.contextmanager
def build_environment(chosen: Feeds, connections: Connections, tmp: str) -> Iterator[dict[str, str]]:
    """`uv_environment` for building: logins stand in a netrc file, which is removed at the end.

    `tmp` is the store's folder for what is being written. Raises StoreError, and CredentialsError, also where two
    feeds of one host have different logins: netrc has one for each host.
    """
    found = uv_environment(chosen, connections, logins=False)
    entries: dict[str, tuple[str, str]] = {}
    owners: dict[str, Connection] = {}
    for _, url, connection in chosen.indexes(connections):
        login = _login(connection)
        if login[1]:
            if not all(_PLAIN.fullmatch(part) for part in login):
                raise CredentialsError(
                    f"connection {connection.name!r}: its secret has blanks, quotes, `#` or backslashes,"
                    " and cannot be given to a build from source",
                    hint="use a token without these",
                )
            host = urlsplit(url).hostname or ""
            first = owners.setdefault(host, connection)
            if entries.setdefault(host, login) != login:
                raise CredentialsError(
                    f"connections {first.name!r} and {connection.name!r} have different logins for {host!r},"
                    " and a build from source can be given one for each host",
                    hint="name the one that is needed in `connections` of the environment, or give both one login",
                )
    if not entries:
        yield found
        return
    with private_folder(tmp) as folder:
        path = os.path.join(folder, "netrc")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            for host, (user, password) in entries.items():
                file.write(f"machine {host} login {user} password {password}\n")
            file.write(_users_netrc(entries))
        yield {**found, "NETRC": path}


def refused(log: str, connections: Connections) -> CredentialsError | None:
    """The error for a uv that says in `log` that a feed did not let it in; None where that is not the reason."""
    for pattern in _REFUSED:
        for match in pattern.finditer(log):
            connection = connections.serving(match["url"])
            if connection is not None:
                message, hint = connection.refused(match["status"])
                return CredentialsError(message, hint=hint, log=log)
    return None


def _login(connection: Connection) -> tuple[str, str]:
    login = connection.login()
    if login is None:
        return "", ""
    if login.kind != "basic":
        raise CredentialsError(
            f"connection {connection.name!r} signs in by {login.kind}, which no package index takes",
            hint="use a pat, or username_password",
        )
    return login.name, login.secret


def _users_netrc(hosts: Mapping[str, object]) -> str:
    """The user's own entries but for these hosts; nothing where they cannot be read."""
    import netrc

    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        found = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return ""
    lines = []
    for host, (user, _, password) in found.items():
        if host not in hosts and user and password and _PLAIN.fullmatch(user) and _PLAIN.fullmatch(password):
            lines.append(f"{'default' if host == 'default' else f'machine {host}'} login {user} password {password}\n")
    return "".join(lines)
