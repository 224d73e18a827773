"""The repositories that a session speaks to: of each registry, and login, who may do what is asked once."""

from threading import Lock

from buildrules.net.session import Session
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from buildrules.oci.registry import Registry


class Registries:
    """Repositories by registry and name. Safe for concurrent threads."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[str, str, bool | None], Registry] = {}
        self._first: dict[tuple[str, str, bool | None], Registry] = {}  # by registry and connection
        self._lock = Lock()

    def of(self, host: str, name: str, plain_http: bool | None = None) -> "Registry":
        """The client for the repository `name`, as people write it, at `host[:port]`. Raises CredentialsError.

        `plain_http` as `Registry` takes it; None is left to the connection, too.
        """
        from buildrules.oci.auth import credentials_for, endpoint
        from buildrules.oci.registry import Registry

        key = (host, name, plain_http)
        with self._lock:
            if key not in self._known:
                connections = self._session.connections
                connection = connections.serving_registry(host, name)
                served = (host, connection.name if connection else "", plain_http)
                if plain_http is None and connection is not None and connection.plain_http:
                    plain_http = True
                api, repository = endpoint(host, name)
                if served in self._first:
                    self._known[key] = Registry(api, repository, transport=self._first[served].transport)
                else:
                    login = credentials_for(host, connections, repository=name)
                    client = self._session.client
                    self._known[key] = Registry(api, repository, login, plain_http=plain_http, client=client)
                    self._first[served] = self._known[key]
            return self._known[key]
