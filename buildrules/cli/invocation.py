"""One command from request to result: the kept plan where it still holds, a new one otherwise; then the build."""

import contextlib
import gc
import itertools
import marshal
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

from buildrules.actions.registry import Kinds
from buildrules.cli.buildlog import BuildLog
from buildrules.cli.console import Console
from buildrules.cli.event_rows import EventRows
from buildrules.cli.request import Request
from buildrules.cli.table import VERBS
from buildrules.engine.build import Build, Outcome
from buildrules.engine.events import ActionFinished, Event, Notice, Status, Stream
from buildrules.engine.inputs import Facts
from buildrules.engine.kept import Touched
from buildrules.engine.plan import Goal, Plan, Side
from buildrules.engine.remember import now
from buildrules.engine.result import GoalResult, goal_result, note_image, tally
from buildrules.engine.resumed import Resumed, append_build
from buildrules.engine.step import Step
from buildrules.errors import (
    BuildrulesError,
    DamagedError,
    FetchError,
    IntegrityError,
    StoreError,
    UnexpectedError,
    UsageError,
)
from buildrules.net.session import Session
from buildrules.state.reader import UNREADABLE, Known, State
from buildrules.store.private_folder import sweep
from buildrules.store.store import Store
from buildrules.typed import TYPE_CHECKING, Any
from buildrules.workspace.globs import expand

if TYPE_CHECKING:
    from buildrules.cli.carried import Carried
    from buildrules.cli.memory import PlannedFrom
    from buildrules.cli.sharing import Sharing
    from buildrules.executors.away import Away

_SHORT = 1.0  # seconds, below which nobody divides work by how long it took


class Invocation:
    """A request in a workspace. `build` builds; the attributes are then complete, `run` among them."""

    def __init__(
        self, root: str, directory: str, words: Sequence[str], request: Request, lost: Collection[str] = ()
    ) -> None:
        """`lost` are digests that a cache promised to an earlier try and did not have."""
        self.root = root
        self.directory = directory
        self.words = tuple(words)
        self.request = request
        self.store = Store()
        self.session = Session()
        self.kinds = self.session.own(Kinds)
        self.console = Console(
            quiet=bool(request.option("quiet") or request.option("json")),
            verbose=bool(request.option("verbose")),
            plain=request.option("progress") == "plain",
        )
        self.log = BuildLog(self.store.root)
        about = {"patterns": request.patterns, "configurations": list(request.option("configurations", ()))}
        self.events = EventRows(id=self.log.id, verb=request.verb, workspace=root, **about)
        self._took: dict[str, float] = {}  # seconds by label of a target, of what takes long
        self.stream = Stream(self._hear, self.log, self.events)
        if request.option("progress") == "json":
            self.events.write_to_stderr()
        else:
            self.stream.add(self.console)
        self._aside = contextlib.ExitStack()  # what is said on standard error while events go to standard output
        if (events := request.option("events")) is not None:
            if events == "-" and request.option("json"):
                raise UsageError("--json and '--events -' both write to standard output", hint="name a file of events")
            self.events.write_to(str(events), lambda text: self.stream.emit(Notice(text, warning=True)))
            if events == "-":
                self._aside.enter_context(contextlib.redirect_stdout(sys.stderr))
        if self.store.renewed:
            self.stream.emit(Notice("the store had an older layout: its content is kept, every step is looked at anew"))
        self.plan = Plan()
        self.resumed: Resumed | None = None
        self.unlocked: set[str] = set()  # targets whose locks a preview would have to make
        self._plugins: list[str] = []
        self._numbers = itertools.count(1)  # of steps that are written down
        self.results: list[GoalResult] = []
        self.run: Build
        self._state: State | None = None
        self._planned_from: PlannedFrom | None = None  # where the plan is a new one
        self._carried: Carried | None = None
        self.sharing: Sharing | None = None  # where a cache is shared
        self.away: Away | None = None  # where steps are run on other machines
        self._lost = lost

    @property
    def planned(self) -> bool:
        """Whether the plan is a new one, and not one that goes on."""
        return self.resumed is None

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """How the actions of the plan ended."""
        return self.run.outcomes

    def prepare(self, state: State | None, known: Known | None = None, groups: list[int] | None = None) -> None:
        """Lock the store, take the kept plan or make a new one."""
        self.store.lock()
        sweep(self.store.blobs.tmp)
        self._state = state
        if state is not None and known is not None and groups is not None:
            # Where files cannot be read, a new plan says what is wrong, and where.
            with contextlib.suppress(BuildrulesError, *UNREADABLE):
                if self._resume(Resumed(state, known, groups)):
                    return
        self.plan_anew()

    def _new_build(self, plan: Plan) -> Build:
        return Build(
            plan,
            self.store,
            self.root,
            session=self.session,
            kinds=self.kinds,
            expand=expand,
            stream=self.stream,
            jobs=self.request.option("jobs"),
            keep_going=bool(self.request.option("keep_going")),
            shared=self.sharing,
            elsewhere=self.away,
            note=self._write_step if self.request.option("steps") else None,
        )

    def _hear(self, event: Event) -> None:
        if isinstance(event, ActionFinished) and event.error is not None:
            from buildrules.cli.hints import hint_at

            hint_at(event.error, self.request.option("configurations", ()))
        if isinstance(event, ActionFinished) and event.status is Status.EXECUTED and event.seconds > _SHORT:
            target = event.action.target
            self._took[target] = self._took.get(target, 0.0) + event.seconds

    def _write_step(self, step: Step) -> None:
        """Keep a step in a file of its own. Raises StoreError where the folder cannot be written."""
        from buildrules.engine.step_file import StepFile

        name = f"{next(self._numbers):04}-{step.kind}.json"
        StepFile(step, self.plan.connections, self._plugins).write(str(self.request.option("steps")), name)

    def _resume(self, resumed: Resumed) -> bool:
        """Take the plan that the state keeps if it still holds, as far as the rows that differ touch it."""
        rest, state, kept = resumed.rest, resumed.state, resumed.kept
        edited = self._edited(resumed)
        if edited is None:
            return False
        self._plug_in(rest["plugins"])
        self.session.connect(rest["connections"], self.root)
        self._share(rest["cache"])
        self._send(rest["executor"], rest["cache"])
        replanned = self._replan(resumed, edited) if edited else ()
        if replanned is None:
            return False
        build = self._new_build(Plan())
        verb = self.request.verb
        direct = {number for group in resumed.groups for number in state.group(group)[1]} | state.stale
        direct.update(replanned)
        touched = resumed.touched = Touched(
            kept, resumed.known, direct, build.sources, self.kinds.version, self.store.blobs, whole=verb != "build"
        )
        if any(kept[number].version != self.kinds.version(kept[number].action.kind) for number in touched.run):
            return False  # a kind of another version may want other parameters
        known = resumed.known
        if verb == "build":
            again = touched.run.union(known.outdated)
            resumed.goals = [at for at, number in enumerate(known.goals) if number in again]
        else:
            resumed.goals = list(range(len(known.goals)))
        wanted = kept.below({known.goals[at] for at in resumed.goals} | touched.run)
        order = kept.order(wanted)
        plan = kept.plan(order)
        plan.goals = [Goal(*marshal.loads(rest["goals"][at])) for at in resumed.goals]  # noqa: S302 - made by ourselves
        plan.connections = rest["connections"]
        plan.cache, plan.executor = rest["cache"], rest["executor"]
        plan.sides = {
            kept[number].action.id: Side(*side)
            for number, side in zip(known.sides, rest["sides"], strict=True)
            if number in touched.run
        }
        build.plan = self.plan = plan
        for number in order:
            one = kept[number]
            resumed.numbers[one.action.id] = number
            if number not in touched.run:
                build.outcomes[one.action.id] = one.outcome()
            if verb != "build":
                one.warm(build.sources)  # its files may be wanted
        build.previous = {kept[number].action.id: kept[number].outcome() for number in touched.run}
        build.recall = kept.recall(resumed.numbers)
        build.left_out = rest["actions"] - sum(name not in plan.sides for name in plan.actions)
        self.run = build
        self.resumed = resumed
        return True

    def _edited(self, resumed: Resumed) -> dict[str, int] | None:
        """The packages whose BUILD.yaml says something else, with their groups; None where anything else does."""
        search = None
        if resumed.known.watch is None:
            from buildrules.cli.looked_at import Search

            search = Search(self.root, resumed.rest["ignore"])
        edited: dict[str, int] = {}
        for group in resumed.groups:
            facts = Facts(*resumed.state.group(group)[0]).renewed(self.root)
            resumed.found[facts.at] = facts
            if facts.hold(self.root, search):
                continue
            from buildrules.cli.again import edited_package

            if edited_package(facts, self.root, search):
                edited[facts.at] = group
                continue
            found = None if search is None else search.new_below(facts)
            if found is None:
                return None
            resumed.found.update((one.at, one) for one in found)
        return edited

    def _replan(self, resumed: Resumed, edited: dict[str, int]) -> Collection[int] | None:
        """Put what is planned anew in the place of what is kept; the actions that are others. None: plan everything."""
        from buildrules.cli.again import plan_again

        planned = plan_again(self.root, self.directory, self.request, self.store, self.session, resumed, edited)
        if planned is None:
            return None
        actions, facts = planned
        for number, one in actions.items():
            resumed.kept.replace(number, one)
        resumed.found.update((one.at, one) for one in facts.values())
        resumed.groups = list(dict.fromkeys([*resumed.groups, *facts]))
        return actions

    def plan_anew(self) -> None:
        """Load the workspace and plan anew. Raises LoadError, ResolutionError and other BuildrulesErrors."""
        from buildrules.cli.carried import Carried
        from buildrules.cli.looked_at import inputs_of
        from buildrules.cli.memory import PlannedFrom
        from buildrules.prepared import prepare

        began = now()
        request = self.request
        verb = VERBS[request.verb]
        options = {**request.options, "done": verb.packages, "one": verb.one}
        prepared = prepare(self.root, self.directory, request.patterns, options, self.store, self.stream, self.session)
        self.plan = prepared.plan()
        self.unlocked = prepared.keeper.unlocked
        self.plan.narrow(verb.sides, goals=verb.goals)
        if request.option("goals"):
            self.plan.goals = [goal for goal in self.plan.goals if goal.label in request.options["goals"]]
        settings = prepared.loaded.workspace.settings
        self._plug_in(list(settings.plugins))
        self._planned_from = PlannedFrom(
            inputs_of(self.root, began, prepared.disk, prepared.keeper.digests, self._plugins),
            {} if request.option("package") else prepared.interfaces(),
            prepared.readers(request.patterns),
            self._plugins,
            list(settings.ignore),
        )
        self._share(self.plan.cache)
        self._send(self.plan.executor, self.plan.cache)
        self.run = self._new_build(self.plan)
        if self._state is not None:
            with contextlib.suppress(*UNREADABLE):
                carried = Carried(self._state, self.root)
                carried.apply(self.run, whole=self.request.verb not in ("build", "why"))
                self._carried = carried

    def _share(self, cache: Mapping[str, Any]) -> None:
        """Borrow from others, where the settings of the workspace or the environment name a cache."""
        if cache.get("remote") or "BUILDRULES_CACHE" in os.environ:
            from buildrules.cli.sharing import Sharing, settings_of

            remote, preview = not self.request.option("no_remote"), bool(self.request.option("preview"))
            settings = settings_of(cache, remote=remote, preview=preview)
            if self.sharing is not None:
                if self.sharing.reads(settings):
                    return
                self.sharing.close()
                self.sharing = self.store.blobs.elsewhere = None
            if settings:
                self.sharing = Sharing(
                    settings, self.root, self.store, self.session, self.stream, self.kinds.fits, self._lost
                )
                self.store.blobs.elsewhere = self.sharing

    def _send(self, executor: Mapping[str, Any], cache: Mapping[str, Any]) -> None:
        """Run steps elsewhere, where the command line, the environment or the settings of the workspace say so."""
        if "executor" not in self.request.options:
            return  # nothing is run
        if self.away is None and (self.request.option("executor") or executor or "BUILDRULES_EXECUTOR" in os.environ):
            from buildrules.cli.away import address_of, opened
            from buildrules.executors.away import Away

            url = address_of(executor, self.request.option("executor"))
            if url is not None:
                engine = opened(url, executor, cache, self.root, self.session, self.stream)
                self.away = Away(*engine, executor, self.store, self.session)

    def _plug_in(self, plugins: list[str]) -> None:
        self._plugins = plugins
        if plugins or self.kinds.plugins:
            from buildrules.plugins import import_plugins

            import_plugins(self.root, plugins, self.kinds)

    def build(self) -> Build:
        """Run the plan. `results` holds the goals that succeeded."""
        build = self.run
        gc.freeze()
        gc.enable()
        if self.sharing is not None:
            self.sharing.expect(self.plan.goals, len(self.plan.actions) - len(build.outcomes))
        try:
            build.run()
            if self.sharing is not None:
                self.sharing.finish(self.plan.goals, self._shared_keys, build.here)
        finally:
            self.console.close()
            self.events.counts = tally(build)
            if self._took:
                from buildrules.cli.took import keep_seconds

                keep_seconds(self.root, self._took)
        results = (goal_result(self.plan, build, goal) for goal in self.plan.goals)
        self.results = [result for result in results if result is not None]
        return build

    def _shared_keys(self) -> list[str]:
        """The keys of what was built, but for what depends on programs of this host, or may be another thing by now."""
        actions = self.plan.actions
        if not self.run.ok:
            return []
        return [
            outcome.key
            for name, outcome in self.run.outcomes.items()
            if outcome.outputs is not None
            and not outcome.unstable
            and name in actions
            and self.kinds.named(actions[name].kind).traits.shareable
        ]

    @property
    def lost(self) -> set[str]:
        """The digests that a cache promised and did not have."""
        return set() if self.sharing is None else self.sharing.lost

    def end(self, code: int, error: BuildrulesError | None = None) -> None:
        """Tell those who hear the events how it ended."""
        self.events.end(code, self.log.events_path, error)

    def close(self) -> None:
        """End all that is under way, and close what is open."""
        self.console.close()
        self.end(130)  # unless it ended otherwise
        if self.sharing is not None:
            self.sharing.close()
        if self.away is not None:
            self.away.close()
        self.session.close()
        self.store.close()
        self._aside.close()

    def mended(self, errors: Iterable[Exception]) -> int:
        """How many damaged blobs were behind `errors`: they are removed, and another try makes or fetches them."""
        wrong: set[str] = set()
        for error in errors:
            if isinstance(error, DamagedError):
                wrong.add(error.digest)
            if isinstance(error, (IntegrityError, FetchError, StoreError, UnexpectedError, OSError)):
                wrong.update(self.store.blobs.mend())
        return len(wrong)

    def say(self, text: str, *, warning: bool = False) -> None:
        """Say something beside the report: a line of standard error, or an event where that has events."""
        if self.request.option("progress") == "json":
            self.stream.emit(Notice(text, warning=warning))
        else:
            sys.stdout.flush()
            sys.stderr.write(f"{text}\n")

    def say_failures(self, errors: Sequence[BuildrulesError], summary: str) -> int:
        """Say what went wrong, what was done, and where the full log is; returns the exit code."""
        for error in errors:
            self.say_error(error)
        self.say(self.log.line(summary))
        return errors[0].exit_code if errors else 1

    def say_error(self, error: BuildrulesError) -> None:
        """Say an error to those who hear the events, and to standard error."""
        self.events.tell_error(error)
        if self.request.option("progress") != "json":
            from buildrules.cli.report import error_text

            sys.stdout.flush()
            sys.stderr.write(error_text(error) + "\n")

    def report_rows(self) -> list[GoalResult | str]:
        """What to report on, in the order of the goals: of those that nothing touched, what was printed before."""
        if self.resumed is None:
            return list(self.results)
        rows: list[GoalResult | str | None] = list(self.resumed.known.pieces)
        made = {id(result.goal): result for result in self.results}
        for at, goal in zip(self.resumed.goals, self.plan.goals, strict=True):
            rows[at] = made.get(id(goal))
        return [row for row in rows if row is not None]

    def save(self, pieces: list[str], frame: tuple[str, str, str]) -> None:
        """Keep what a green build looked at and made. Failing to only costs time."""
        build = self.run
        for result in self.results:
            key = build.outcomes[result.goal.action].key
            note_image(self.store, self.root, result, key, self.request.option("configurations", ()))
        unstable = build.sources.unsettled or any(outcome.unstable for outcome in build.outcomes.values())
        if unstable or self.request.option("env"):
            return  # variables given on the command line may be secrets, and a state keeps the command line
        if self.sharing is not None and self.sharing.unsent:
            return  # the same command is to send what this one could not
        with contextlib.suppress(*UNREADABLE):
            if self.resumed is not None:
                append_build(self.resumed, build, self.root, pieces, frame)
            elif self._planned_from is not None:
                from buildrules.cli.memory import write_build

                write_build(
                    self.root, self.words, self.request, self._planned_from, build, self._carried, (pieces, frame)
                )


def failures(build: Build) -> list[BuildrulesError]:
    """Each failure of a build once, however many actions share it."""
    return once(build.errors)


def once(errors: Iterable[BuildrulesError]) -> list[BuildrulesError]:
    """The errors without those that say what one before them says."""
    unique: dict[str, BuildrulesError] = {}
    for error in errors:
        unique.setdefault(error.message, error)
    return list(unique.values())


def executed(build: Build) -> bool:
    """Whether anything ran."""
    return any(outcome.status is Status.EXECUTED for outcome in build.outcomes.values())
