"""One command from request to result: the kept plan where it still holds, a new one otherwise; then the build."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from buildrules.actions.registry import Kinds
from buildrules.cli import memory
from buildrules.cli.again import Again, edited_package, plan_again
from buildrules.cli.buildlog import BuildLog
from buildrules.cli.console import Console
from buildrules.cli.plugins import import_plugins
from buildrules.cli.request import Request
from buildrules.engine.build import Build, Outcome
from buildrules.engine.events import Notice, Status, Stream
from buildrules.engine.explanations import Explanations
from buildrules.engine.inputs import Facts, Inputs
from buildrules.engine.kept import Kept, Touched
from buildrules.engine.plan import Goal, Plan, Side
from buildrules.engine.remember import now
from buildrules.engine.result import GoalResult, goal_results
from buildrules.errors import BuildrulesError
from buildrules.net.session import Session
from buildrules.state.reader import Damaged, State
from buildrules.state.reader import Request as Known
from buildrules.store.private_folder import sweep
from buildrules.store.store import Store
from buildrules.workspace.globs import expand

if TYPE_CHECKING:
    from buildrules.analysis.interface import Interfaces

_UNREADABLE = (Damaged, ValueError, KeyError, TypeError, IndexError, EOFError)


class Resumed:
    """A plan that goes on: what is known, which rows differ, and what of it that touches."""

    def __init__(self, state: State, known: Known, groups: list[int]) -> None:
        self.state = state
        self.known = known
        self.groups = groups
        self.kept = Kept(state)
        self.rest = state.rest(known)
        self.began = now()
        self.found: list[Facts] = []  # directories that were searched for packages for the first time
        self.goals: list[int] = []  # positions of the goals that are looked at
        self.numbers: dict[str, int] = {}  # of the actions in the plan, by id
        self.touched: Touched


class Invocation:
    """A request in a workspace. `build` builds; the attributes are then complete, `run` among them."""

    def __init__(self, root: str, directory: str, words: Sequence[str], request: Request) -> None:
        self.root = root
        self.directory = directory
        self.words = tuple(words)
        self.request = request
        self.store = Store()
        self.session = Session()
        self.kinds = self.session.own(Kinds)
        self.console = Console(
            quiet=bool(request.option("quiet") or request.option("json")), verbose=bool(request.option("verbose"))
        )
        self.log = BuildLog(self.store.root)
        self.stream = Stream(self.console, self.log)
        if self.store.renewed:
            self.stream.emit(Notice("the store had an older layout: its content is kept, every step is looked at anew"))
        self.plan = Plan()
        self.inputs: Inputs | None = None  # what the plan was made from, where it was made now
        self.interfaces: Interfaces = {}  # of all packages, where the plan was made now and from nothing else
        self.readers: set[str] | None = None  # whom of the workspace the goals depend on; None for everybody
        self.plugins: list[str] = []
        self.ignore: list[str] = []
        self.resumed: Resumed | None = None
        self.results: list[GoalResult] = []
        self.run: Build
        self._state: State | None = None
        self._settled: memory.Settled | None = None

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
        sweep(self.store.blobs.aside)
        self._state = state
        if state is not None and known is not None and groups is not None:
            # Where files cannot be read, a new plan says what is wrong, and where.
            with contextlib.suppress(BuildrulesError, OSError, *_UNREADABLE):
                if self._resume(Resumed(state, known, groups)):
                    return
        self.make_plan()

    def _new_build(self, plan: Plan) -> Build:
        return Build(
            plan,
            self.store,
            self.root,
            session=self.session,
            kinds=self.kinds.named,
            versions=self.kinds.version,
            expand=expand,
            stream=self.stream,
            jobs=self.request.option("jobs"),
            keep_going=bool(self.request.option("keep_going")),
        )

    def _resume(self, resumed: Resumed) -> bool:
        """Take the plan that the state keeps if it still holds, as far as the rows that differ touch it."""
        rest, state, kept = resumed.rest, resumed.state, resumed.kept
        search = None if resumed.known.watch is not None else memory.Search(self.root, rest["ignore"])
        edited: dict[str, int] = {}
        for group in resumed.groups:
            facts = Facts(*state.group(group)[0])
            if facts.hold(self.root, search):
                continue
            if edited_package(facts, self.root, search):
                edited[facts.at] = group
                continue
            found = None if search is None else search.new_below(facts)
            if found is None:
                return False
            resumed.found += found
        import_plugins(self.root, rest["plugins"], self.kinds)
        self.session.connect(rest["connections"], self.root)
        planned = plan_again(self, resumed, edited) if edited else Again({}, {})
        if planned is None:
            return False
        for number, one in planned.actions.items():
            kept.replace(number, one)
        resumed.found += planned.facts.values()
        resumed.groups = list(dict.fromkeys([*resumed.groups, *planned.facts]))
        build = self._new_build(Plan())
        verb = self.request.verb
        direct = {number for group in resumed.groups for number in state.group(group)[1]} | state.stale
        direct.update(planned.actions)
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
        plan.goals = [Goal(*rest["goals"][at]) for at in resumed.goals]
        plan.connections = rest["connections"]
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
        build.explanations = Explanations(kept.recall(resumed.numbers))
        build.left_out = rest["actions"] - sum(name not in plan.sides for name in plan.actions)
        self.run = build
        self.resumed = resumed
        return True

    def make_plan(self) -> None:
        """Load the workspace and plan anew. Raises LoadError, ResolutionError and other BuildrulesErrors."""
        from buildrules.analysis.interface import interfaces
        from buildrules.cli.planning import Planning

        began = now()
        request = self.request
        planning = Planning(
            self.root, self.directory, request.patterns, request.options, self.store, self.stream, self.session
        )
        self.plan = planning.plan()
        if request.verb == "lint":
            self.plan.goals = []
        elif request.verb != "build":
            self.plan.sides = {}
        settings = planning.loaded.workspace.settings
        self.plugins, self.ignore = list(settings.plugins), list(settings.ignore)
        import_plugins(self.root, self.plugins, self.kinds)
        self.readers = planning.readers(request.patterns)
        if not request.option("package"):
            self.interfaces = interfaces(planning.loaded)
        self.inputs = memory.inputs_of(self.root, began, planning.disk, planning.keeper.digests, self.plugins)
        self.run = self._new_build(self.plan)
        if self._state is not None:
            with contextlib.suppress(*_UNREADABLE):
                settled = memory.Settled(self._state, self.root)
                settled.apply(self.run, whole=self.request.verb != "build")
                self._settled = settled

    def build(self) -> Build:
        """Run the plan. `results` holds the goals that succeeded."""
        build = self.run
        try:
            build.run()
        finally:
            self.console.close()
        self.results = goal_results(self.plan, build)
        return build

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
        unstable = build.sources.unsettled or any(outcome.unstable for outcome in build.outcomes.values())
        if unstable or self.request.option("env"):
            return  # variables given on the command line may be secrets, and a state keeps the command line
        with contextlib.suppress(OSError, *_UNREADABLE):
            if self.resumed is not None:
                memory.append_build(self.resumed, build, self.root, pieces, frame)
            elif self.inputs is not None:
                memory.write_build(self, self.inputs, self._settled, pieces, frame)


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
