"""What one command owns besides its store: credentials, connections to servers, and what it has found out from them."""

from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from buildrules.credentials.connections import Connections

if TYPE_CHECKING:
    from buildrules.net.client import Client

T = TypeVar("T")


class Session:
    """One command's share of the outside world. Nothing of it is shared with another command of the same process.

    Cheap to make: what is heavy is made when it is asked for. Safe for concurrent threads.
    """

    def __init__(self) -> None:
        self.connections = Connections()
        self._owned: dict[Callable[..., Any], Any] = {}
        self._lock = RLock()

    def own(self, make: "Callable[[Session], T]") -> T:
        """The one object that `make`, a class say, gives for this session: made at first, and kept."""
        with self._lock:
            if make not in self._owned:
                self._owned[make] = make(self)
            found: T = self._owned[make]
            return found

    @property
    def client(self) -> "Client":
        """Sends requests, and keeps connections open for the next ones."""
        return self.own(_client)


def _client(session: Session) -> "Client":
    from buildrules.net.client import Client

    return Client(session.connections)
