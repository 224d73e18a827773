"""Who runs a step. Usually this process; another one could be handed the same plain data."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from buildrules.engine.action import Outputs
from buildrules.engine.events import Notice, Progress, Stream
from buildrules.engine.kind import Kinds
from buildrules.engine.step import Step
from buildrules.errors import DamagedError, Interrupted
from buildrules.net.session import Session
from buildrules.store.blobs import Blobs
from buildrules.typed import Protocol

FETCH = "fetch"
"""The kind of the steps that bring content into the store."""


class Executor(Protocol):
    """Runs steps. What they make is in the store afterwards, as far as it is kept."""

    def run(self, step: Step) -> Outputs:
        """Do the step; callable from any thread. Raises BuildrulesError."""


class Noted:
    """An executor that calls `note` with each step before `executor` runs it."""

    def __init__(self, executor: Executor, note: Callable[[Step], object]) -> None:
        self._executor = executor
        self._note = note

    def run(self, step: Step) -> Outputs:
        """See `Executor.run`."""
        self._note(step)
        return self._executor.run(step)


class FetchFirst:
    """An executor whose steps find the content that they need: what is missing is fetched, as a step of its own.

    `waiting_for_servers` is what is entered while a step waits for servers.
    """

    def __init__(
        self,
        executor: Executor,
        kinds: Kinds,
        waiting_for_servers: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._executor = executor
        self._kinds = kinds
        self._waiting_for_servers = waiting_for_servers

    def run(self, step: Step) -> Outputs:
        """See `Executor.run`. Where content turns out damaged all is looked at, fetched again and tried once more."""
        content = self._kinds.named(step.kind).traits.content(step)
        if not content:
            return self._run(step)
        fetch = Step(FETCH, self._kinds.version(FETCH), step.title, {"content": content}, places=step.places)
        self._run(fetch)
        try:
            return self._run(step)
        except DamagedError:
            self._run(fetch._replace(params={"content": content, "check": True}))
            return self._run(step)

    def _run(self, step: Step) -> Outputs:
        traits = self._kinds.named(step.kind).traits
        waits = traits.network and traits.shareable  # programs of this host keep its processors busy
        with self._waiting_for_servers() if waits else contextlib.nullcontext():
            return self._executor.run(step)


class LocalExecutor:
    """Runs steps in this process, and is what they may use: the context of `engine.kind`."""

    def __init__(
        self,
        workspace: str,
        blobs: Blobs,
        session: Session,
        kinds: Kinds,
        stream: Stream,
        *,
        jobs: int | None = None,
    ) -> None:
        self.workspace = workspace
        self.blobs = blobs
        self.session = session
        self.jobs = jobs or max(4, os.cpu_count() or 1)
        self.cancelled = False
        self.bytes_read = 0
        self.bytes_fetched = 0
        self.sent: dict[str, int] = {}  # bytes sent, by where to
        self.moved: dict[str, int] = {}  # bytes fetched, by where from
        self._above: LocalExecutor | None = None
        self._kinds = kinds
        self._stream = stream
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []  # what is to be called at Ctrl-C

    def run(self, step: Step) -> Outputs:
        """See `Executor.run`."""
        return self._kinds.named(step.kind).run(step, self)

    def another(self) -> "LocalExecutor":
        """One that is cancelled by itself, and counts here as well."""
        made = LocalExecutor(self.workspace, self.blobs, self.session, self._kinds, self._stream, jobs=self.jobs)
        made._above = self
        return made

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report long work. Raises Interrupted after Ctrl-C."""
        if self.cancelled:
            raise Interrupted("interrupted")
        self._stream.emit(Progress(what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0, sent: int = 0, source: str = "elsewhere") -> None:
        """Add to the counters."""
        with self._lock:
            self.bytes_read += read
            self.bytes_fetched += fetched
            if sent:
                self.sent[source] = self.sent.get(source, 0) + sent
            if fetched:
                self.moved[source] = self.moved.get(source, 0) + fetched
        if self._above is not None:
            self._above.count(read=read, fetched=fetched, sent=sent, source=source)

    def warn(self, message: str) -> None:
        """Tell the user something that is not an error."""
        self._stream.emit(Notice(message, warning=True))

    def cancel(self) -> None:
        """Ctrl-C: end what was started."""
        with self._lock:
            self.cancelled = True
            stops = list(self._stops)
        for stop in stops:
            stop()

    @contextlib.contextmanager
    def at_cancel(self, stop: Callable[[], None]) -> Iterator[None]:
        """While inside, `cancel` calls `stop`; at once where it was called already."""
        with self._lock:
            self._stops.append(stop)
            late = self.cancelled
        try:
            if late:
                stop()
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)
