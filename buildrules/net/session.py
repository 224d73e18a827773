"""What one command owns besides its store: credentials, connections to servers, and what it has found out from them."""

from collections.abc import Callable, Iterable, Mapping
from threading import RLock

from buildrules.typed import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from buildrules.credentials.connections import Connections
    from buildrules.net.client import Client
    from buildrules.store.blobs import Blobs

T = TypeVar("T")


class Session:
    """One command's share of the outside world. Nothing of it is shared with another command of the same process.

    Cheap to make, and to have where nothing is fetched: all of it is made when it is asked for. Safe for concurrent
    threads.
    """

    def __init__(self) -> None:
        self._rows: tuple[Iterable[Mapping[str, Any]], str] = ((), ".")
        self._owned: dict[Callable[..., Any], Any] = {}
        self._lock = RLock()

    def connect(self, rows: Iterable[Mapping[str, Any]], root: str) -> None:
        """From now on these are the workspace's connections, as `credentials.connections.Connections` takes them."""
        with self._lock:
            self._rows = rows, root
            if _connections in self._owned:
                self.connections.use(rows, root)

    def own(self, make: "Callable[[Session], T]") -> T:
        """The one object that `make`, a class say, gives for this session: made at first, and kept."""
        with self._lock:
            if make not in self._owned:
                self._owned[make] = make(self)
            found: T = self._owned[make]
            return found

    @property
    def connections(self) -> "Connections":
        """The workspace's connections: none before it has been read."""
        return self.own(_connections)

    @property
    def client(self) -> "Client":
        """Sends requests, and keeps connections open for the next ones."""
        return self.own(_client)

    def close(self) -> None:
        """Close the connections that are open."""
        if _client in self._owned:
            self.client.close()


class Fetching(Protocol):
    """What a fetch needs to know of its surroundings; `engine.kind.Context` has it all."""

    workspace: str  # absolute path of the workspace root
    session: Session

    @property
    def blobs(self) -> "Blobs":
        """The store's blobs, where the content goes."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report long work: what, bytes done so far, bytes in all or None. Cheap; may be called from any thread."""

    def count(self, *, read: int = 0, fetched: int = 0, source: str = "elsewhere") -> None:
        """Add to the bytes read here, and fetched from elsewhere; `source` says in a word where from: "registry"."""

    @property
    def cancelled(self) -> bool:
        """True after Ctrl-C; long loops look at it now and then."""


def _connections(session: Session) -> "Connections":
    from buildrules.credentials.connections import Connections

    return Connections(*session._rows)


def _client(session: Session) -> "Client":
    from buildrules.net.client import Client

    return Client(session.connections)
