"""What a verb that builds nothing owns while it runs: a session, progress, the count of what was fetched."""

import os
import sys
from typing import TYPE_CHECKING, Self

from buildrules.cli.console import Console
from buildrules.engine.events import Notice, Progress, Stream
from buildrules.errors import Interrupted, UsageError
from buildrules.net.session import Session
from buildrules.store.blobs import Blobs
from buildrules.store.store import Store

if TYPE_CHECKING:
    from buildrules.workspace.settings import Settings


class Errand:
    """A `net.session.Fetching`, with the connections of the workspace around the current directory, if there is one."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Raises LoadError where the workspace's connections cannot be read."""
        self.workspace = os.getcwd()
        self.session = Session()
        self.cancelled = False
        self.fetched = 0
        self.console = Console(quiet=quiet)
        self._stream = Stream(self.console)
        self.settings = self._connect()  # None outside of a workspace

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.cancelled = self.cancelled or kind is not None
        self.console.close()
        if kind is not None and issubclass(kind, (KeyboardInterrupt, Interrupted)):
            from buildrules.cli.verbs import INTERRUPTED, leave

            sys.stderr.write(INTERRUPTED)
            raise SystemExit(leave(130))
        self.session.close()

    @property
    def store(self) -> Store:
        """The store."""
        return self.session.own(_store)

    @property
    def blobs(self) -> Blobs:
        """The store's blobs."""
        return self.store.blobs

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Show long work."""
        self._stream.emit(Progress(what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0, source: str = "elsewhere") -> None:
        """Add to the bytes fetched."""
        self.fetched += fetched

    def warn(self, message: str) -> None:
        """Tell the user something that is not an error."""
        self._stream.emit(Notice(message, warning=True))

    def _connect(self) -> "Settings | None":
        from buildrules.workspace.root import find_root

        try:
            self.workspace = find_root(self.workspace)
        except UsageError:
            return None  # images are copied anywhere
        from buildrules.workspace.loader import read_settings

        settings = read_settings(self.workspace)
        self.session.connect(settings.rows(), self.workspace)
        return settings


def _store(_: Session) -> Store:
    return Store()
