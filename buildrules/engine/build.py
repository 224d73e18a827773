"""Builds a plan: computes keys, finds records, runs what has none."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from buildrules.engine.action import NOTHING, Action, Outputs
from buildrules.engine.cache import Cache, Kept, Record, Whole, lacking
from buildrules.engine.events import ActionFinished, ActionStarted, BuildStarted, Status, Stream
from buildrules.engine.executor import Executor, Here
from buildrules.engine.explanations import Explanations
from buildrules.engine.key import key_and_explanation, listing_digest
from buildrules.engine.kind import Kind
from buildrules.engine.plan import Plan
from buildrules.engine.scheduler import Scheduler
from buildrules.engine.sources import Expand, SourceReader
from buildrules.engine.step import Dependency, Step, step_of
from buildrules.engine.unexpected import unexpected
from buildrules.errors import ActionError, BuildrulesError, Interrupted
from buildrules.net.session import Session
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

_BUG = "this is a bug of a plugin or of buildrules; the traceback is in the build's log, and shown with --verbose"


class Build:
    """One run over a plan: the order, keys, the cache, the executor, events.

    `outcomes` is complete after `run`, whether it succeeded or not. `here` counts bytes, and is the executor if no
    other is given; the cache is by default that of the store.
    """

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
        cache: Cache | None = None,
        executor: Executor | None = None,
    ) -> None:
        """`previous` is how the actions ended at the last build of this workspace, by id."""
        self.plan = plan
        self.store = store
        self.outcomes: dict[str, Outcome] = {}
        """Complete after `run`. What is in it before is known to need no look."""
        self.left_out = 0  # actions that are up to date and stand in no plan, because nothing needed them
        self.previous = previous
        self.seconds = 0.0
        self.here = Here(root, store.blobs, session, kinds, stream, jobs=jobs)
        self._executor = executor or self.here
        self._running: dict[str, threading.Lock] = {}  # by key
        self._missing: dict[str, str] = {}  # key -> what the store lacks of its record
        self._cache = cache or Whole(Kept(store.records), store.blobs, self._missing.__setitem__)
        self.explanations = Explanations()  # without a memory
        self._kinds = kinds
        self.versions = versions
        self._stream = stream
        self._keep_going = keep_going
        self._began = time.perf_counter()
        self._scheduler: Scheduler | None = None
        self.sources = SourceReader(
            root,
            store.index,
            expand,
            jobs=os.cpu_count() or 1,
            count_read=lambda size: self.here.count(read=size),
            progress=self.here.progress,
            busy=self._busy,
        )

    def _busy(self) -> None:
        if self._scheduler is not None:
            self._scheduler.more()

    @property
    def ok(self) -> bool:
        """True when every action the goals need has outputs."""
        return all(name in self.outcomes and self.outcomes[name].outputs is not None for name in self.plan.needed())

    @property
    def errors(self) -> list[BuildrulesError]:
        """The errors of the actions that failed, in the order they failed."""
        return [outcome.error for outcome in self.outcomes.values() if outcome.error is not None]

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
            jobs=self.here.jobs,
            keep_going=self._keep_going,
            interrupted=self.here.cancel,
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
            if self.here.cancelled:  # whatever breaks on the way out is no news
                raise
            outcome = Outcome(Status.FAILED, error=unexpected(error, action.title, self.here.workspace, _BUG))
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
        sources = [self.sources.read(source) for source in action.sources]
        made = [self._outputs(dep) for dep in action.deps]
        step = step_of(action, self.versions(action.kind), sources, made)
        key, sees = key_and_explanation(step)
        known = self.previous.get(action.id)
        kept = known.outputs if known is not None and known.key == key else None
        if known is not None and kept is not None and lacking(kept, self.store.blobs) is None:
            return known
        with self._running.setdefault(key, threading.Lock()):  # an equal step may be at work: what it makes will do
            record = self._cache.get(key)
            if record is not None:
                return Outcome(Status.CACHED, key, record.outputs, self.explanations.why(action, key, sees))
            return self._execute(action, step, key, sees, worker)

    def _execute(self, action: Action, step: Step, key: str, sees: dict[str, str], worker: int) -> Outcome:
        self._stream.emit(ActionStarted(action, time.perf_counter() - self._began, worker))
        if action.weight > SHORT:
            self._busy()
        if self._kinds(action.kind).traits.opens:
            step = step._replace(deps=[self._opened(*pair) for pair in zip(action.deps, step.deps, strict=True)])
        outputs = self._executor.run(step)
        changed = self.sources.changed(step.sources)
        if changed:
            names = ", ".join(repr(path) for path in changed[:3])
            self.here.warn(f"{names} changed during {action.title}; the result is used now and not recorded")
            return Outcome(Status.EXECUTED, key, outputs, [f"{names} changed during the build"], unstable=True)
        self._cache.put(key, Record(outputs, f"{step.kind}/{step.version}", listing_digest(sees)))
        why = self.explanations.why(action, key, sees, self._missing.get(key))
        return Outcome(Status.EXECUTED, key, outputs, why)

    def _opened(self, name: str, dep: Dependency) -> Dependency:
        """A dependency with what it takes to find the bytes of its layers."""
        action = self.plan.actions[name]
        return dep._replace(places=action.places, sources=[self.sources.read(source) for source in action.sources])

    def _outputs(self, name: str) -> Outputs:
        outputs = self.outcomes[name].outputs
        assert outputs is not None
        return outputs
