"""Builds a plan: computes keys, finds records, runs what has none."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from buildrules.engine.action import NOTHING, Action, Kind, Outputs, SourceFile
from buildrules.engine.events import ActionFinished, ActionStarted, BuildStarted, Notice, Progress, Status, Stream
from buildrules.engine.key import compute_key, differences, explain
from buildrules.engine.mishap import unexpected
from buildrules.engine.plan import Plan
from buildrules.engine.scheduler import Scheduler
from buildrules.engine.sources import Expand, SourceReader
from buildrules.errors import ActionError, BuildrulesError, Interrupted
from buildrules.net.session import Session
from buildrules.oci.supply import Origin
from buildrules.store.blobs import Blobs
from buildrules.store.store import Store


class Outcome(NamedTuple):
    """How one action ended."""

    status: Status
    key: str = ""
    outputs: Outputs | None = None
    reasons: Sequence[str] = ()
    error: BuildrulesError | None = None
    unstable: bool = False  # its inputs changed while it ran: used now, recorded nowhere


SHORT = 0.05
"""Actions of at most this weight, in seconds, are not worth another thread."""

FIRST = "first build here"

_BUG = "this is a bug of a plugin or of buildrules; the traceback is in the build's log, and shown with --verbose"


class Build:
    """One run over a plan. `outcomes` is complete after `run`, whether it succeeded or not."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        root: str,
        *,
        session: Session,
        kinds: Callable[[str], Kind],
        versions: Callable[[str], int | str],
        expand: Expand,
        stream: Stream,
        jobs: int | None = None,
        keep_going: bool = False,
        previous: Mapping[str, Outcome] = NOTHING,
    ) -> None:
        """`previous` is how the actions ended at the last build of this workspace, by id."""
        self.plan = plan
        self.store = store
        self.workspace = root
        self.session = session
        self.jobs = jobs or max(4, os.cpu_count() or 1)
        self.outcomes: dict[str, Outcome] = {}
        """Complete after `run`. What is in it before is known to need no look."""
        self.left_out = 0  # actions that are up to date and stand in no plan, because nothing needed them
        self.previous = previous
        self.bytes_read = 0
        self.bytes_fetched = 0
        self.seconds = 0.0
        self._kinds = kinds
        self._versions = versions
        self._stream = stream
        self._keep_going = keep_going
        self._began = time.perf_counter()
        self._lock = threading.Lock()
        self._scheduler: Scheduler | None = None
        self._cancelled = False
        self._stops: list[Callable[[], None]] = []  # what is to be called at Ctrl-C
        self._makers: dict[str, Action] = {}  # by digest of a layer
        self.sources = SourceReader(
            root,
            store.index,
            expand,
            jobs=os.cpu_count() or 1,
            count_read=lambda size: self.count(read=size),
            progress=self.progress,
            busy=self._busy,
        )

    def _busy(self) -> None:
        if self._scheduler is not None:
            self._scheduler.more()

    @property
    def blobs(self) -> Blobs:
        """The store's blobs, for actions."""
        return self.store.blobs

    @property
    def cancelled(self) -> bool:
        """True once Ctrl-C was pressed."""
        return self._cancelled

    @property
    def ok(self) -> bool:
        """True when every action the goals need has outputs."""
        return all(name in self.outcomes and self.outcomes[name].outputs is not None for name in self.plan.needed())

    @property
    def errors(self) -> list[BuildrulesError]:
        """The errors of the actions that failed, in the order they failed."""
        return [outcome.error for outcome in self.outcomes.values() if outcome.error is not None]

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report long work; see `engine.action.Context`."""
        if self._cancelled:
            raise Interrupted("interrupted")
        self._stream.emit(Progress(what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0) -> None:
        """Add to the counters."""
        with self._lock:
            self.bytes_read += read
            self.bytes_fetched += fetched

    def warn(self, message: str) -> None:
        """Tell the user something that is not an error."""
        self._stream.emit(Notice(message, warning=True))

    def run(self) -> None:
        """Build every goal. Failures stand in `outcomes`; only Interrupted is raised, with all finished work kept."""
        order = [name for name in self.plan.everything() if name not in self.outcomes]
        actions = self.plan.actions
        self._scheduler = scheduler = Scheduler(
            order,
            {name: [dep for dep in actions[name].deps if dep not in self.outcomes] for name in order},
            {name: actions[name].weight for name in order},
            work=self._work,
            skip=self._skip,
            jobs=self.jobs,
            keep_going=self._keep_going,
            interrupted=self._cancel,
        )
        self._stream.emit(BuildStarted(len(order)))
        try:
            scheduler.run()
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted", hint="what was finished is kept; the same command goes on from there"
            ) from None
        finally:
            self.store.index.flush()
            self.seconds = time.perf_counter() - self._began

    def _cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            stops = list(self._stops)
        for stop in stops:
            stop()

    @contextlib.contextmanager
    def at_cancel(self, stop: Callable[[], None]) -> Iterator[None]:
        """While inside, Ctrl-C calls `stop`; at once where it was pressed already."""
        with self._lock:
            self._stops.append(stop)
            late = self._cancelled
        try:
            if late:
                stop()
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)

    def origin_of(self, digest: str) -> Origin:
        """What the plan knows of the layer `digest`: see `oci.supply`."""
        if digest not in self._makers:
            for name, outcome in list(self.outcomes.items()):
                action = self.plan.actions[name]
                if outcome.outputs is not None and (action.places or action.sources):
                    self._makers.update({layer.digest: action for layer in outcome.outputs.layers})
        maker = self._makers.get(digest)
        return Origin() if maker is None else self.sources.origin(maker)

    def _skip(self, name: str) -> None:
        self.outcomes[name] = Outcome(Status.SKIPPED)
        now = time.perf_counter() - self._began
        self._stream.emit(ActionFinished(self.plan.actions[name], Status.SKIPPED, [], now, 0.0, 0))

    def _work(self, name: str, worker: int) -> bool:
        action = self.plan.actions[name]
        began = time.perf_counter() - self._began
        try:
            outcome = self._build(action, worker)
        except BuildrulesError as error:
            outcome = Outcome(Status.FAILED, error=error)
        except OSError as error:
            outcome = Outcome(Status.FAILED, error=self._os_error(action, error))
        except Exception as error:
            if self._cancelled:  # whatever breaks on the way out is no news
                raise
            outcome = Outcome(Status.FAILED, error=unexpected(error, action.title, self.workspace, _BUG))
        self.outcomes[name] = outcome
        seconds = time.perf_counter() - self._began - began
        self._stream.emit(
            ActionFinished(
                action, outcome.status, outcome.reasons, began, seconds, worker, outcome.outputs, outcome.error
            )
        )
        return outcome.outputs is not None

    def _os_error(self, action: Action, error: OSError) -> BuildrulesError:
        where = f" {error.filename!r}" if error.filename else ""
        return ActionError(f"{action.title} failed: {error.strerror or error}{where}")

    def _build(self, action: Action, worker: int) -> Outcome:
        step = self._step(action)
        known = self.previous.get(action.id)
        if known is not None and known.outputs is not None and known.key == step.key:
            lacking = missing(known.outputs, self.blobs)
            if lacking is None:
                return known
        lacking = None
        record = self.store.records.get(step.key)
        if record is not None:
            try:
                outputs = Outputs.from_dict(record)
            except (KeyError, TypeError, ValueError):
                lacking = "its record could not be read"
            else:
                lacking = missing(outputs, self.blobs)
                if lacking is None:
                    return Outcome(Status.CACHED, step.key, outputs, self._explain(step))
        return self._execute(step, worker, lacking)

    def _step(self, action: Action) -> "_Step":
        version = self._versions(action.kind)
        sources = [self.sources.read(source) for source in action.sources]
        deps = [self._outputs(dep) for dep in action.deps]
        return _Step(action, version, sources, deps, compute_key(action, version, sources, deps))

    def _execute(self, step: "_Step", worker: int, missing: str | None) -> Outcome:
        self._stream.emit(ActionStarted(step.action, time.perf_counter() - self._began, worker))
        if step.action.weight > SHORT:
            self._busy()
        outputs = self._kinds(step.action.kind).run(step.action, step.sources, step.deps, self)
        changed = self.sources.changed(step.sources)
        if changed:
            names = ", ".join(repr(path) for path in changed[:3])
            self.warn(f"{names} changed during {step.action.title}; the result is used now and not recorded")
            return Outcome(Status.EXECUTED, step.key, outputs, [f"{names} changed during the build"], unstable=True)
        self.store.records.put(step.key, outputs.to_dict())
        return Outcome(Status.EXECUTED, step.key, outputs, self._explain(step, missing))

    def _outputs(self, name: str) -> Outputs:
        outputs = self.outcomes[name].outputs
        assert outputs is not None
        return outputs

    def _explain(self, step: "_Step", missing: str | None = None) -> list[str]:
        """Keep what the key saw; returns why the action is not as it was at the last build of this workspace."""
        name = explanation_name(self.workspace, step.action.id)
        before = self.store.explanations.get(name)
        if before is not None and before.get("key") == step.key:
            return [missing] if missing else list(before.get("reasons", []))
        now = explain(step.action, step.version, step.sources, step.deps)
        reasons = [FIRST] if before is None else differences(step.action, before["values"], now)
        if missing:
            reasons = [missing]
        self.store.explanations.put(name, {"key": step.key, "values": now, "reasons": reasons})
        return reasons


class _Step(NamedTuple):
    """An action with everything its key saw."""

    action: Action
    version: int | str
    sources: list[list[SourceFile]]
    deps: list[Outputs]
    key: str


def missing(outputs: Outputs, blobs: Blobs) -> str | None:
    """What outputs name and the store lacks; None where it has everything."""
    for name, digest in outputs.blobs.items():
        if not blobs.has(digest):
            return f"{name} {digest[:19]} is missing from the store"
    for layer in outputs.layers:
        if layer.recipe.get("codec") == "blob" and not blobs.has(layer.digest, layer.size):
            return f"layer {layer.digest[:19]} is missing from the store"
    return None


def explanation_name(root: str, action: str) -> str:
    """The name an action's explanation is kept under: a workspace and the action's id."""
    return f"{root}\0{action}"
