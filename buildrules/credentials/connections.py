"""The connections of a workspace: which one serves an address, and the login it gives.

What is kept of them holds references to secrets and never a secret. A credential goes to its connection's address and
what lies below it. A Python feed's files lie beside its index as a rule, so its credential goes to the whole top folder
of the feed's path on the same server, such as an organisation's.
"""

import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from buildrules.credentials.address import is_open
from buildrules.credentials.login import Login
from buildrules.credentials.secret import Secrets, place
from buildrules.errors import CredentialsError, UsageError
from buildrules.start.address import below, segments
from buildrules.start.secret import conceal
from buildrules.start.trust import VARIABLES, named

REGISTRIES = frozenset({"container_registry", "oci"})
ANY_USER = "__token__"
"""The user name that goes with a token where the server looks at the token only."""

SECRETS = {
    "pat": "pat",
    "username_password": "password",
    "api_key": "key",
    "sas": "sas_token",
    "access_key": "secret_access_key",
}
"""The field of each kind of credential that holds the secret."""

ROLES = {
    "basic": ("username", "password"),
    "bearer": ("", "token"),
    "header": ("header", "token"),
    "query": ("", "sas_token"),
    "keys": ("access_key_id", "secret_access_key"),
}
"""The roles of a login's name and secret in a source of `buildrules.start`, by kind of login."""


class Connection:
    """One connection; prints without its credentials."""

    __slots__ = ("_secrets", "kind", "name", "packages", "parts", "plain_http", "target", "type")

    def __init__(self, row: Mapping[str, Any], secrets: Secrets) -> None:
        self._secrets = secrets
        self.name: str = row["name"]
        self.type: str = row["type"]
        self.target: str = row["target"]
        self.kind: str = row.get("kind", "none")
        self.parts: Mapping[str, Any] = row.get("parts", {})
        self.plain_http: bool = bool(row.get("plain_http"))
        self.packages: tuple[str, ...] = tuple(row.get("packages", ()))  # of a feed: normalised names, those it is for

    def __repr__(self) -> str:
        return f"Connection({self.name!r}, {self.type!r})"

    def __str__(self) -> str:
        return f"connection {self.name!r}"

    @property
    def is_feed(self) -> bool:
        """Whether it is a Python package index."""
        return is_feed(self.type, self.target)

    def login(self) -> Login | None:
        """What lets us in, read now; None for anonymous access. Raises CredentialsError."""
        if self.kind == "none":
            return None
        kind, name = self._way()
        login = Login(kind, name, *(self._secrets.read(self.parts[field], str(self)) for field in self._fields()))
        conceal(login.secrets())
        return login

    def roles(self) -> dict[str, str]:
        """The same login as the `credentials` of a source of `buildrules.start`: roles and names of variables.

        A reference {env: NAME} gives NAME; others give BUILDRULES_<CONNECTION>_<FIELD>, to be set for the container.
        What is no secret stands there itself, after a `=`. Empty for anonymous access. Raises CredentialsError.
        """
        if self.kind == "none":
            return {}
        kind, name = self._way()
        role_of_name, role_of_secret = ROLES[kind]
        said = {role_of_name: f"={name}"} if role_of_name else {}
        return said | dict(zip((role_of_secret, "session_token"), map(self.variable, self._fields()), strict=False))

    def environ(self) -> dict[str, str]:
        """The variables that `roles` names with their values, read now. Raises CredentialsError."""
        login = self.login()
        secrets = (login.secret, login.session) if login is not None else ()
        return {self.variable(field): secret for field, secret in zip(self._fields(), secrets, strict=False) if secret}

    def variables(self) -> set[str]:
        """The variables that `roles` names, without reading any."""
        return set(map(self.variable, self._fields()))

    def variable(self, field: str) -> str:
        """The container's variable for one field of the credentials."""
        return str(self.parts[field].get("env") or f"BUILDRULES_{variable_name(self.name)}_{field.upper()}")

    def where(self) -> str:
        """Where its secret is kept, in words."""
        return place(self.parts[SECRETS[self.kind]])

    def refused(self, status: str) -> tuple[str, str]:
        """(message, hint) where a server answered `status`, such as "401 Unauthorized", to this connection's login."""
        message = f"connection {self.name!r} was refused by {self.target}: {status}"
        if self.kind == "none":
            return message, f"give it credentials: workspace.connections.{self.name}.credentials"
        return message, (
            f"what {self.where()} holds may have expired, be wrong, or not give read access: renew it and try again"
        )

    def _fields(self) -> list[str]:
        """The fields that hold secrets, a session token last; none for anonymous access."""
        return [field for field in (SECRETS.get(self.kind, ""), "session_token") if self.parts.get(field)]

    def _way(self) -> tuple[str, str]:
        """(kind of login, its name)."""
        user = self.parts.get("username")
        if self.kind == "username_password":
            return "basic", user or ""
        if self.kind == "sas":
            return "query", ""
        if self.kind == "access_key":
            return "keys", self.parts["access_key_id"]
        if self.kind in ("pat", "api_key"):
            if self.parts.get("header"):
                return "header", self.parts["header"]
            speaks_basic = self.kind == "pat" or self.is_feed or self.type in ("git", *REGISTRIES)
            if self.type not in ("mlflow", "huggingface") and speaks_basic:
                return "basic", user or ANY_USER
            return "bearer", ""
        raise CredentialsError(
            f"connection {self.name!r}: credentials of type {self.kind!r} cannot be used",
            hint="use one of: " + ", ".join(SECRETS),
        )


class Connections:
    """The connections of one workspace, in the order of its file.

    A row is plain data: name, type, target, plain_http, and for those with credentials kind and parts, the fields of
    its `credentials`; {"certificates": path} is `workspace.tls`. `root` is where relative paths of secrets start.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = (), root: str = ".") -> None:
        self.use(rows, root)

    def use(self, rows: Iterable[Mapping[str, Any]], root: str) -> None:
        """From now on these are the connections: a workspace's are known once it has been read."""
        secrets = Secrets(root)
        rows = list(rows)
        self._all = [Connection(row, secrets) for row in rows if "name" in row]
        self._trusted = next((os.path.join(root, row["certificates"]) for row in rows if "certificates" in row), None)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._all)

    def certificates(self) -> tuple[str | None, str | None]:
        """(file, folder) of the certificates that all traffic trusts: `workspace.tls`, else the usual variables'
        (`start.trust`), else the system's, else certifi's; (None, None) where there are none at all.

        Raises CredentialsError where the workspace names a file that is not there.
        """
        if self._trusted is not None:
            if not os.path.isfile(self._trusted):
                raise CredentialsError(
                    f"workspace.tls.certificates: there is no file {self._trusted!r}",
                    hint="put the certificates to trust there (PEM), or take the setting out",
                )
            return self._trusted, None
        found = named(os.environ)
        if any(found):
            return found
        import ssl

        default = ssl.get_default_verify_paths()
        if default.cafile or (default.capath and os.listdir(default.capath)):
            return default.cafile, default.capath
        try:
            import certifi
        except ImportError:
            return None, None
        return certifi.where(), None

    def trust(self) -> dict[str, str]:
        """The same for programs that are run here, as the variables they read. Raises CredentialsError."""
        file, folder = self.certificates()
        if file:
            return {name: file for name in VARIABLES if name != "SSL_CERT_DIR"}
        return {"SSL_CERT_DIR": folder} if folder else {}

    def environ_for(self, names: Collection[str]) -> dict[str, str]:
        """The values, read now, of those variables that connections' roles name. Raises CredentialsError."""
        found: dict[str, str] = {}
        for connection in self._all:
            if not connection.variables().isdisjoint(names):
                found.update(connection.environ())
        return found

    def named(self, name: str) -> Connection:
        """The connection of that name. Raises UsageError."""
        for connection in self._all:
            if connection.name == name:
                return connection
        known = ", ".join(connection.name for connection in self._all)
        raise UsageError(
            f"there is no connection {name!r}",
            hint=f"there are: {known}" if known else "declare it under workspace.connections",
        )

    def serving(self, url: str) -> Connection | None:
        """The connection for a url: the one whose target leads furthest towards it. None where no target does.

        Registries are never among the choice, see `serving_registry`.
        """
        web = [connection for connection in self._all if connection.type not in REGISTRIES]
        return _nearest((below(url, one.target), one) for one in web) or self._feed_beside(url)

    def login(self, url: str) -> Login | None:
        """The login for a url, read now; None where none serves it, or anonymously. Raises CredentialsError."""
        found = self.serving(url)
        if found is None or found.kind == "none":
            return None
        if is_open(url) and not found.plain_http:
            raise CredentialsError(
                f"connection {found.name!r} would send its credentials unencrypted, to {found.target}",
                hint=f"use https, or say plain_http: true in workspace.connections.{found.name}",
            )
        return found.login()

    def feeds(self, names: Iterable[str] | None = None) -> list[Connection]:
        """The Python feeds, in the workspace file's order, or those named, in the order of the names.

        Raises UsageError for a name that is none.
        """
        if names is None:
            return [connection for connection in self._all if connection.is_feed]
        found = [self.named(name) for name in names]
        for connection in found:
            if not connection.is_feed:
                raise UsageError(
                    f"connection {connection.name!r} is not a Python feed, but of type {connection.type!r}",
                    hint="give it type: python_feed",
                )
        return found

    def serving_registry(self, host: str, repository: str = "") -> Connection | None:
        """The connection for a repository of the registry `host[:port]`."""
        url = f"https://{host}/{repository}"
        registries = [connection for connection in self._all if connection.type in REGISTRIES]
        return _nearest((below(url, "https://" + one.target.rpartition("://")[2]), one) for one in registries)

    def _feed_beside(self, url: str) -> Connection | None:
        """The feed whose files may lie at `url`: same origin and same top folder, nearest first."""
        near: list[tuple[int, Connection]] = []
        for connection in self.feeds():
            parts = segments(connection.target) or []
            top = parts[0] if len(parts) > 1 else ""
            scheme, _, rest = connection.target.partition("://")
            if below(url, f"{scheme}://{rest.partition('/')[0]}/{top}") is not None:
                pairs = zip(parts, segments(url) or [], strict=False)
                shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
                near.append((shared, connection))
        return _nearest(near)


def _nearest(found: Iterable[tuple[int | None, Connection]]) -> Connection | None:
    """The connection with the largest number, the first of several; None where all have none."""
    near = [(depth, connection) for depth, connection in found if depth is not None]
    return max(near, key=lambda one: one[0])[1] if near else None


def variable_name(name: str) -> str:
    """A connection's name as it stands in names of environment variables."""
    return "".join(character if character.isascii() and character.isalnum() else "_" for character in name.upper())


def is_feed(kind: str, target: str) -> bool:
    """Whether a connection of that type is a Python package index; Azure describes its feeds as `git` with a PAT."""
    return kind == "python_feed" or (kind == "git" and target.rstrip("/").rpartition("/")[2] in ("simple", "+simple"))
