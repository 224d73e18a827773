"""What one command owns besides its store: its client, with connections to servers that are used again."""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buildrules.net.client import Client


class Session:
    """One command's share of the outside world. Cheap to make: what is heavy is made when it is asked for."""

    @cached_property
    def client(self) -> "Client":
        """Sends requests, and keeps connections open for the next ones."""
        from buildrules.net.client import Client

        return Client()
