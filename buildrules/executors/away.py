"""The executor that hands steps to an engine, and runs here what belongs here."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

from buildrules.actions.fetching import fetch_parts
from buildrules.actions.registry import Kinds
from buildrules.engine.action import Outputs
from buildrules.engine.events import Placed
from buildrules.engine.executor import Executor, LocalExecutor
from buildrules.engine.parcel import named, unpacked
from buildrules.engine.step import Step
from buildrules.errors import BuildrulesError, IntegrityError, PackageTestError, UnexpectedError
from buildrules.executors.answer import Answer, opened
from buildrules.executors.engine import Engine, EngineError, LostInputError, Ran
from buildrules.executors.needs import needs_of, portable
from buildrules.executors.placement import Placement
from buildrules.executors.race import PATIENCE, is_idle, raced
from buildrules.executors.task import Task, task_key
from buildrules.net.session import Session
from buildrules.remote.backend import Blob, Body, body_of
from buildrules.remote.trust import Trust
from buildrules.store.noted import NotedSizes, NotedTrips
from buildrules.store.store import Store
from buildrules.typed import Any


class Away:
    """What steps of one command are handed to: see `engine.build.Elsewhere`. `trust` judges answers, for `namespace`.

    `settings` are the row of `workspace.executor`; `patience` and `idle` are as of `executors.race`.
    """

    def __init__(
        self,
        engine: Engine,
        trust: Trust,
        namespace: str,
        settings: Mapping[str, Any],
        store: Store,
        session: Session,
        *,
        patience: float = PATIENCE,
        idle: Callable[[], bool] = is_idle,
    ) -> None:
        self.engine, self.slots = engine, engine.slots
        self.trust, self.namespace = trust, namespace
        self.kinds = session.own(Kinds)
        self.sizes, self.trips = NotedSizes(store.table), NotedTrips(store.table, engine.name)
        self.patience, self.idle = patience, idle
        self._greeting, self._greeted = threading.Lock(), False
        self._wrong: BuildrulesError | None = None
        measured = self.trips.median()
        shortest = settings.get("shortest", engine.overhead if measured is None else measured)
        fleet = {name: settings[name] for name in ("runners", "classes", "properties") if name in settings}
        self.placement = Placement(self.kinds, float(shortest), unfit=engine.unfit, **fleet)

    def executor(self, here: LocalExecutor, waiting: Callable[[], AbstractContextManager[None]]) -> Executor:
        """See `engine.build.Elsewhere`."""
        return AwayExecutor(self, here, waiting)

    def greet(self) -> None:
        """See `Engine.greet`: asked once, and what is wrong is one error for all steps."""
        with self._greeting:
            if self._wrong is None and not self._greeted:
                try:
                    self.engine.greet()
                except BuildrulesError as error:
                    self._wrong = error
                self._greeted = True
            if self._wrong is not None:
                raise self._wrong

    def placed(self) -> Placed | None:
        """See `engine.build.Elsewhere`."""
        return self.placement.placed()

    def remember(self) -> None:
        """Keep what tasks cost besides their run, for the next command."""
        self.trips.note(self.placement.round_trips or sorted(self.placement.crowded)[:1])
        self.placement.round_trips.clear()
        self.placement.crowded.clear()

    def close(self) -> None:
        """Remember, and end what is open."""
        self.remember()
        self.engine.close()


class AwayExecutor:
    """Runs steps by the engine of `away`, or `here`. `waiting` is entered while others work."""

    def __init__(self, away: Away, here: LocalExecutor, waiting: Callable[[], AbstractContextManager[None]]) -> None:
        self._away = away
        self._engine, self._placement = away.engine, away.placement
        self._here = here
        self._waiting = waiting
        self._under_way = 0
        self._answered = False  # whether a task came back, so that nothing has to be made ready any more
        self._lock = threading.Lock()

    def run(self, step: Step) -> Outputs:
        """See `Executor.run`. Raises what the step raises there, and EngineError that names the worker."""
        traits = self._away.kinds.named(step.kind).traits
        why = self._placement.stays(step)
        if not why or traits.network:  # nothing is downloaded for an engine that is not there
            self._away.greet()
        if not why:
            needs = needs_of(step, traits, self._here, fetch_parts)
            sent = self._placement.there(portable(step, traits))
            task = Task(
                sent,
                {blob.digest: blob.size for blob in needs},
                self._away.namespace,
                properties=self._placement.properties(step),
            )
            for path, blob in task.files.items():
                needs[blob] = body_of(open, os.path.join(self._here.workspace, path), "rb")
            with self._waiting():
                lacking = self._engine.depot.lacking(needs)
                why = self._placement.heavy(step, sum(blob.size for blob in lacking))
                if not why:
                    if traits.containers:  # this machine may have no runner
                        return self._sent(task, needs, lacking, self._here)
                    patience = self._away.patience + 4 * self._placement.seconds(step)
                    away = partial(self._sent, task, needs, lacking)
                    made, late = raced(away, step, self._here, patience, self._away.idle)
                    if late:
                        self._placement.note(Placed("its worker took too long", self._placement.seconds(step)))
                    return made
        self._placement.note(Placed(why, self._placement.seconds(step)))
        return self._here.run(step)

    def _sent(self, task: Task, needs: Mapping[Blob, Body], lacking: Sequence[Blob], context: LocalExecutor) -> Outputs:
        """The outputs of a task. Content that is lost after it was sent or made is sent or made once more."""
        again, placed = False, Placed(expected=self._placement.seconds(task.step))
        for attempt in (1, 2):
            sent = self._engine.depot.send(lacking, needs)
            self._here.count(sent=sent, source="executor")
            placed = placed._replace(sent=placed.sent + sent)
            self._placement.note(placed)
            with self._lock:
                alone, ready = not self._under_way, self._answered
                self._under_way += 1
            began = time.perf_counter()
            try:
                ran = self._engine.run(task, context, again=again)
            except LostInputError:
                if attempt == 2:
                    raise
                self._engine.depot.forget(needs)
                lacking = self._engine.depot.lacking(needs)
                continue
            finally:
                took = time.perf_counter() - began
                with self._lock:
                    self._under_way -= 1
            self._answered = True
            placed = placed._replace(worker=ran.worker, cached=ran.cached, queued=ran.queued)
            self._placement.note(placed)
            answer = self._answer(task, ran)
            if ready and not ran.cached:
                known = alone or ran.queued is not None  # else it may have waited for a worker
                trip = max(0.0, took - answer.seconds - (ran.queued or 0.0))
                (self._placement.round_trips if known else self._placement.crowded).append(trip)
            placed = placed._replace(seconds=answer.seconds)
            self._placement.note(placed)
            for text in answer.warnings:
                self._here.warn(text)
            if answer.error is not None:
                if ran.cached and not again:  # a server that keeps what failed would say so for ever
                    again, lacking = True, []
                    continue
                if not isinstance(answer.error, PackageTestError) and (runner := task.step.places.get("runner")):
                    said = (
                        f"does the worker have {runner!r}, as workspace.executor.runners says? Here: --executor local"
                    )
                    answer.error.hint = "; ".join(filter(None, (answer.error.hint, said)))
                raise _there(answer.error, ran.worker, self._engine.name)
            fetched = self._brought(answer)
            if fetched is not None:
                self._placement.note(placed._replace(fetched=fetched))
                assert answer.outputs is not None
                return answer.outputs
            again, lacking = True, []
        raise EngineError(
            f"{self._engine.name} does not give what {task.step.title!r} made there: its content is lost",
            hint="it may lack room: look at its logs; without --executor the build needs nobody else",
        )

    def _answer(self, task: Task, ran: Ran) -> Answer:
        worker = ran.worker or self._engine.name
        body = opened(ran.answer, task_key(task.data()), self._away.namespace, self._away.trust, worker)
        kind = task.step.kind
        try:
            if (blob := named(body)) is not None:
                body = unpacked(b"".join(self._engine.depot.place.read(blob)))
            return Answer.of(body, lambda outputs: self._away.kinds.fits(kind, outputs))
        except (ValueError, FileNotFoundError) as error:
            raise IntegrityError(f"worker {worker} answered with what is no answer: {error}") from None

    def _brought(self, answer: Answer) -> int | None:
        """Have what was made in the store, but for what the build's cache has too; the bytes that came for that, None
        where it is lost."""
        assert answer.outputs is not None
        wanted = set(answer.outputs.blobs.values())
        left, fetched = wanted - self._here.blobs.holds(wanted), 0
        for digest in left:
            size = answer.blobs.get(digest)
            if size is None or not self._engine.depot.place.bring(Blob(digest, size), self._here.blobs):
                return None
            self._here.count(fetched=size, source="executor")
            fetched += size
        self._away.sizes.note({digest: answer.blobs[digest] for digest in wanted if digest in answer.blobs})
        return fetched


def _there(error: BuildrulesError, worker: str, engine: str) -> BuildrulesError:
    """The error of a step, with where it was run."""
    if isinstance(error, UnexpectedError):
        where = f"worker {worker} of {engine}" if worker else engine
        return UnexpectedError(f"{error.message}, on {where}", error.traceback, hint=error.hint)
    if worker:
        error.log = f"(on worker {worker})" + (f"\n{error.log}" if error.log else "")
    return error
