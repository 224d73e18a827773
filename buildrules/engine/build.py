"""Builds a plan: computes keys, finds records, runs what has none."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from buildrules.engine.action import NOTHING, Action, Outputs
from buildrules.engine.cache import Cache, Record, Shared, StoreCache, Whole, lacking
from buildrules.engine.changes import Names, differences
from buildrules.engine.events import ActionFinished, ActionStarted, BuildStarted, Placed, Status, Stream
from buildrules.engine.executor import Executor, FetchFirst, LocalExecutor, Noted
from buildrules.engine.key import Listing, Walker
from buildrules.engine.kind import Kinds
from buildrules.engine.plan import Plan
from buildrules.engine.scheduler import AWAY, Scheduler
from buildrules.engine.sources import Expand, SourceReader
from buildrules.engine.step import Dependency, Step, step_of
from buildrules.errors import ActionError, BuildrulesError, Interrupted
from buildrules.net.session import Session
from buildrules.store.blobs import FULL
from buildrules.store.store import Store
from buildrules.typed import NamedTuple, Protocol


class Look(NamedTuple):
    """An action as it would run now, what its key saw, and the key."""

    step: Step
    listing: Listing
    key: str


class Outcome(NamedTuple):
    """How one action ended."""

    status: Status
    key: str = ""
    outputs: Outputs | None = None
    reasons: Sequence[str] = ()
    error: BuildrulesError | None = None
    unstable: bool = False  # its inputs changed while it ran: used now, recorded nowhere
    borrowed: bool = False  # the record came from elsewhere just now
    seconds: float = 0.0  # that it took to run, or to fail
    placed: Placed | None = None  # where it ran, where a build has other machines


class Before(NamedTuple):
    """An action as the last build of its workspace left it: its key, what that saw (by name), and why it ran."""

    key: str
    sees: Callable[[], dict[str, str]]
    reasons: Sequence[str]


class Elsewhere(Protocol):
    """Who runs steps on other machines."""

    slots: int
    """How many steps may be under way there at a time."""

    def executor(self, here: LocalExecutor, waiting: Callable[[], AbstractContextManager[None]]) -> Executor:
        """What runs steps, some of them `here`; `waiting` is entered while one is run by others."""

    def placed(self) -> Placed | None:
        """Where the step was run that this thread had run last; None where it was asked that already."""


Recall = Callable[[str], Before | None]
"""What is known of the action of that id; None before it was first built."""

FIRST = "first build here"
_ELSEWHERE = "something it needs was made anew by another command"

SHORT = 0.05
"""Actions of at most this weight, in seconds, are not worth another thread."""

SMALL = 1 << 20
"""Nor are those that read at most so many bytes of the workspace, and need nothing else."""

_BUG = "this is a bug of a plugin or of buildrules; the traceback is in the build's log, and shown with --verbose"


class Build:
    """One run over a plan: the order, keys, the cache, the executor, events.

    `outcomes` is complete after `run`, whether it succeeded or not. `here` counts bytes, and runs what is not run
    `elsewhere`; the cache is by default that of the store. `recall` says what actions were.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        root: str,
        *,
        session: Session,
        kinds: Kinds,
        expand: Expand,
        stream: Stream,
        jobs: int | None = None,
        keep_going: bool = False,
        previous: Mapping[str, Outcome] = NOTHING,
        cache: Cache | None = None,
        shared: Shared | None = None,
        elsewhere: Elsewhere | None = None,
        note: Callable[[Step], object] | None = None,
    ) -> None:
        """`previous` is how the actions ended at the last build of this workspace, by id.

        `shared` is asked where the cache has nothing, and hears of what is made and depends on nothing of this host.
        `note` is called with each step that is run, from any thread.
        """
        self.plan = plan
        self.store = store
        self.outcomes: dict[str, Outcome] = {}
        """Complete after `run`. What is in it before is known to need no look."""
        self.left_out = 0  # actions that are up to date and stand in no plan, because nothing needed them
        self.previous = previous
        self.seconds = 0.0
        self.here = LocalExecutor(root, store.blobs, session, kinds, stream, jobs=jobs)
        self._elsewhere = elsewhere
        self._away = AWAY if elsewhere is None else max(AWAY, elsewhere.slots)
        runs = self.here if elsewhere is None else elsewhere.executor(self.here, self._waiting_for_servers)
        self._executor = FetchFirst(Noted(runs, note) if note else runs, kinds, self._waiting_for_servers)
        self._walker = Walker()
        self._running: dict[str, threading.Lock] = {}  # by key
        self._missing: dict[str, str] = {}  # key -> what the store lacks of its record
        self._own = self._whole(StoreCache(store.records, kinds.fits))
        self._cache = self._whole(cache) if cache else self._own
        self._shared = shared
        if shared is not None:
            shared.waiting = self._waiting_for_servers
        self.recall: Recall = lambda _: None
        self.kinds = kinds
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

    def _whole(self, cache: Cache) -> Cache:
        return Whole(cache, self.store.blobs, self._missing.__setitem__)

    def _busy(self) -> None:
        if self._scheduler is not None:
            self._scheduler.more()

    def _waiting_for_servers(self) -> AbstractContextManager[None]:
        return self._scheduler.waiting_for_servers() if self._scheduler is not None else nullcontext()

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
            away=self._away,
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
            if any(one.error is error for one in list(self.outcomes.values())):  # of something that many steps need
                self._skip(name)
                return False
            outcome = Outcome(Status.FAILED, error=error)
        except OSError as error:
            outcome = Outcome(Status.FAILED, error=self._os_error(action, error))
        except Exception as error:
            if self.here.cancelled:  # whatever breaks on the way out is no news
                raise
            from buildrules.engine.unexpected import unexpected

            outcome = Outcome(Status.FAILED, error=unexpected(error, action.title, self.here.workspace, _BUG))
        seconds = time.perf_counter() - self._began - began
        placed = None if self._elsewhere is None else self._elsewhere.placed()
        if outcome.outputs is None or outcome.status is Status.EXECUTED:
            outcome = outcome._replace(seconds=seconds, placed=placed)
        self.outcomes[name] = outcome
        ended = (outcome.status, outcome.reasons, began, seconds, worker, outcome.outputs, outcome.error)
        self._stream.emit(ActionFinished(action, *ended, placed))
        return outcome.outputs is not None

    def _os_error(self, action: Action, error: OSError) -> BuildrulesError:
        if error.errno in FULL:
            return self.store.blobs.full()
        where = f" {error.filename!r}" if error.filename else ""
        return ActionError(f"{action.title} failed: {error.strerror or error}{where}")

    def look(self, action: Action) -> Look:
        """Read the sources of an action whose dependencies have outcomes. Raises BuildrulesError where it cannot."""
        sources = [self.sources.read(source) for source in action.sources]
        made = [self._outputs(dep) for dep in action.deps]
        step = step_of(action, self.kinds.version(action.kind), sources, made)
        listing = self._walker.walk(step)
        return Look(step, listing, listing.key())

    def found(self, action: Action, look: Look) -> Outcome | None:
        """How the action ends without running: as at the last build, or by a record. None where it has to run."""
        known, key = self.previous.get(action.id), look.key
        if known is not None and known.outputs is not None and known.key == key:
            missing = lacking(known.outputs, self.store.blobs)
            if missing is None:
                return known
            self._missing[key] = missing
        kind = f"{look.step.kind}/{look.step.version}"
        record = self._cache.get(key)
        borrowed = record is None or record.kind != kind
        if borrowed:
            record = self._borrowed(look)
        if record is None or record.kind != kind:
            return None
        return Outcome(Status.CACHED, key, record.outputs, self._why(action, look), borrowed=borrowed)

    def _borrowed(self, look: Look) -> Record | None:
        """What others made of an equal step, kept here from now on."""
        if self._shared is None or not self.kinds.named(look.step.kind).traits.shareable:
            return None
        record = self._shared.get(look.key)
        if record is not None:
            self._cache.put(look.key, record)
        return record

    def why(self, action: Action, look: Look) -> Sequence[str]:
        """Why an action runs for which nothing was found."""
        return self._why(action, look, self._missing.get(look.key))

    def _why(self, action: Action, look: Look, missing: str | None = None) -> Sequence[str]:
        """Why it has this key, from what it was; where that is the old one, why it got it."""
        deps = [self.plan.actions.get(name) for name in action.deps]
        names = Names(self.kinds.told(action.kind), [dep.title if dep is not None else "" for dep in deps])
        if missing is not None:
            return [missing]
        before = self.recall(action.id)
        if before is None:
            return [FIRST]
        if before.key == look.key:
            return before.reasons
        return differences(action, before.sees(), look.listing.sees, names) or [_ELSEWHERE]

    def _build(self, action: Action, worker: int) -> Outcome:
        look = self.look(action)
        with self._running.setdefault(look.key, threading.Lock()):  # what an equal step at work makes will do
            return self.found(action, look) or self._execute(action, look, worker)

    def _execute(self, action: Action, look: Look, worker: int) -> Outcome:
        step, listing, key = look
        self._stream.emit(ActionStarted(action, time.perf_counter() - self._began, worker))
        traits = self.kinds.named(action.kind).traits
        small = step.sources and sum(file.size for file in step.files) <= SMALL
        if traits.containers or not traits.shareable or (action.weight > SHORT and not small):
            self._busy()
        if traits.opens:
            step = step._replace(deps=[self._opened(*pair) for pair in zip(action.deps, step.deps, strict=True)])
        outputs = self._executor.run(step)
        changed = self.sources.changed(step.sources)
        if changed:
            names = ", ".join(repr(path) for path in changed[:3])
            self.here.warn(f"{names} changed during {action.title}; the result is used now and not recorded")
            return Outcome(Status.EXECUTED, key, outputs, [f"{names} changed during the build"], unstable=True)
        cache = self._cache if traits.shareable else self._own
        record = Record(outputs, f"{step.kind}/{step.version}", listing.digest())
        cache.put(key, record)
        if self._shared is not None and traits.shareable:
            self._shared.publish(action, key, record, listing.sees)
        return Outcome(Status.EXECUTED, key, outputs, self.why(action, look))

    def _opened(self, name: str, dep: Dependency) -> Dependency:
        """A dependency with what it takes to find the bytes of its layers."""
        action = self.plan.actions[name]
        return dep._replace(places=action.places, sources=[self.sources.read(source) for source in action.sources])

    def _outputs(self, name: str) -> Outputs:
        outputs = self.outcomes[name].outputs
        assert outputs is not None
        return outputs
