"""The machines that one command runs steps on, by its options, the environment, and the settings of its workspace.

BUILDRULES_EXECUTOR=URL stands in for `workspace.executor`, `--executor` for both; "local" is this machine.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from buildrules.actions.fetching import fetch_parts
from buildrules.actions.registry import Kinds
from buildrules.cli.sharing import namespace_of, settings_of
from buildrules.engine.events import Notice, Placed, Stream
from buildrules.engine.executor import Executor, LocalExecutor
from buildrules.executors.away import AwayExecutor
from buildrules.executors.opening import open_engine
from buildrules.executors.placement import Placement
from buildrules.net.session import Session
from buildrules.remote.trust import Trust
from buildrules.store.noted import NotedSizes, NotedTrips
from buildrules.store.store import Store
from buildrules.workspace.trust import open_trust

LOCAL = "local"


def address_of(settings: Mapping[str, Any], asked: str | None) -> str | None:
    """The address of the engine; None where steps are run here."""
    url = asked or os.environ.get("BUILDRULES_EXECUTOR") or settings.get("url")
    return None if url == LOCAL else url


class Away:
    """See `engine.build.Elsewhere`."""

    def __init__(
        self,
        url: str,
        settings: Mapping[str, Any],
        cache: Mapping[str, Any],
        root: str,
        store: Store,
        session: Session,
        stream: Stream,
    ) -> None:
        """`settings` are the row of `workspace.executor`, `cache` those of the shared cache. Raises UsageError,
        CredentialsError."""
        self._store = store
        self._kinds = session.own(Kinds)
        self._namespace = namespace_of(cache)
        self._trust = Trust("off") if settings.get("trusted") else open_trust(cache, root)
        given = {**settings, "cache": settings_of(cache), "root": root}
        self.engine = open_engine(url, session, given, lambda text: stream.emit(Notice(text, warning=True)))
        self.slots = self.engine.slots
        self._trips = NotedTrips(store.table, self.engine.name)
        measured = self._trips.median()
        shortest = settings.get("shortest", self.engine.overhead if measured is None else measured)
        fleet = {name: settings[name] for name in ("runners", "classes", "properties") if name in settings}
        self.placement = Placement(self._kinds, float(shortest), **fleet)

    def executor(self, here: LocalExecutor, waiting: Callable[[], AbstractContextManager[None]]) -> Executor:
        """See `engine.build.Elsewhere`."""
        return AwayExecutor(
            self.engine,
            here,
            waiting,
            kinds=self._kinds,
            placement=self.placement,
            trust=self._trust,
            namespace=self._namespace,
            sizes=NotedSizes(self._store.table),
            fetch=fetch_parts,
        )

    def placed(self) -> Placed | None:
        """See `engine.build.Elsewhere`."""
        return self.placement.placed()

    def round_trip(self) -> float | None:
        """Seconds that a task costs besides its run, as it was measured; None before."""
        self._trips.note(self.placement.round_trips)
        self.placement.round_trips.clear()
        return self._trips.median()

    def close(self) -> None:
        """Remember what tasks cost, and end what is open."""
        self.round_trip()
        self.engine.close()
