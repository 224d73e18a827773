"""From patterns to a plan: load, check, select, lock, and turn each target into actions."""

from collections.abc import Iterator
from typing import Any

from buildrules.document.problems import Problems
from buildrules.engine.action import Action
from buildrules.engine.events import Notice, Stream
from buildrules.engine.plan import Goal, Plan
from buildrules.errors import UsageError
from buildrules.locking.keeper import LockKeeper
from buildrules.net.session import Session
from buildrules.plan.base import BasePlanner
from buildrules.plan.checks import PathChecks
from buildrules.plan.environment import EnvironmentPlanner
from buildrules.plan.loaded import Loaded
from buildrules.plan.mlflow import ModelEnvironments
from buildrules.plan.model import ModelPlanner
from buildrules.plan.package import PackagePlanner
from buildrules.plan.testing import TestPlanner, not_a_test
from buildrules.rules.resolve import ResolvedTarget
from buildrules.store.store import Store
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label, parse_patterns

_PLATFORMS = ("linux/amd64", "linux/arm64")


class Planner:
    """Makes one plan. Afterwards the attributes say what the plan depends on."""

    def __init__(
        self, root: str, directory: str, options: dict[str, Any], store: Store, stream: Stream, session: Session
    ) -> None:
        self.root = root
        self.directory = directory
        self.disk = Disk(root)
        self.packages: list[str] = []
        self.ignore: list[str] = []
        self.plugins: list[str] = []
        self._options = options
        self._stream = stream
        self.keeper = LockKeeper(self.disk, options, store, stream, session)
        self._session = session

    def plan(self, patterns: list[str]) -> Plan:
        """The plan for `patterns`. Raises LoadError, UsageError, ResolutionError, LockError, FetchError."""
        loaded = self._load()
        settings = loaded.workspace.settings
        plan = Plan()
        plan.connections = [connection.row(name) for name, connection in settings.connections.items()]
        self._session.connections.use(plan.connections, self.root)
        bases = BasePlanner(plan, self.keeper, settings)
        models = ModelPlanner(plan, self.keeper)
        environments = EnvironmentPlanner(
            plan,
            self.keeper,
            portable=settings.locks.portable,
            models=ModelEnvironments(self.root, loaded.resolution, models, self._stream),
        )
        environments.server_needs.add(loaded.packages.values())
        packages = PackagePlanner(plan, settings, bases, environments, models)
        for label in loaded.resolution.labels("test"):
            test = loaded.resolution.of(label)
            packages.tests.setdefault(test.deps["package"][0], []).append(test)
        chosen = parse_patterns(patterns, self.directory)
        selected = loaded.select(chosen)
        tests = None
        if self._options.get("test"):
            tests = TestPlanner(plan, packages, models, loaded.packages, loaded.resolution, self._options)
            selected = tests.select(selected, chosen)
        named = {str(label) for label in _named(patterns, self.directory)}
        self._lock_models(loaded, selected, models)
        self._check_paths(loaded, selected)
        self._warn_of_idle(loaded)
        for platform in self._platforms(list(settings.platforms)):
            for label in selected:
                target = loaded.resolution.of(label)
                if tests is not None:
                    goal = tests.goal(target, platform)
                else:
                    goal = self._goal(loaded, target, platform, plan, packages, bases, environments)
                if goal is not None:
                    plan.goals.append(goal)
                elif str(label) in named and not (self._options.get("locking") and _is_part(target)):
                    _check_named(loaded, target, testing=tests is not None)
        plan.goals += list(_indexes(plan))
        self._remember(loaded)
        return plan

    def _lock_models(self, loaded: Loaded, selected: list[Label], models: ModelPlanner) -> None:
        """Have the locks of models that are not in the workspace: their files decide what a package is made of."""
        packages = [loaded.packages[label] for label in selected if label in loaded.packages]
        targets = [target for parts in packages for target in (*parts.models, *parts.inputs)]
        if self._options.get("locking"):
            targets += [target for label in selected if _is_part(target := loaded.resolution.of(label))]
        for target in targets:
            if target.values["uri"] is not None:
                models.locks.of(target)
        if self.keeper.written:
            loaded.look_again()

    def _load(self) -> Loaded:
        """The workspace; where an Azure ML file is built, with the targets it stands for."""
        if not self._options.get("package"):
            return Loaded(self.disk)
        from buildrules.azureml.conversion import Options
        from buildrules.azureml.generated import generate

        found = generate(str(self._options["package"]), Options.of(self._options), self.disk)
        for note in found.notes:
            self._stream.emit(Notice(note))
        return Loaded(self.disk, found.texts, whole=found.whole, made_from=found.made_from)

    def _check_paths(self, loaded: Loaded, selected: list[Label]) -> None:
        problems = Problems()
        checks = PathChecks(self.disk, problems)
        for label in selected:
            if label in loaded.packages:
                checks.package(loaded.packages[label])
            elif loaded.resolution.of(label).provides == "test":
                checks.test(loaded.resolution.of(label))
        problems.raise_all()

    def _warn_of_idle(self, loaded: Loaded) -> None:
        """Say what is accepted and does nothing, so that nobody relies on it."""
        settings = loaded.workspace.settings
        idle = ["workspace.cache"] if "cache" in settings.model_fields_set else []
        for what in idle:
            self._stream.emit(Notice(f"{what} has no effect yet", warning=True))

    def _platforms(self, platforms: list[str]) -> list[str]:
        chosen = self._options.get("platform")
        if not chosen:
            host = self._options.get("host_platform")  # of verbs that start an image, or hand it to an engine here
            return [host] if host in platforms else platforms
        if chosen not in _PLATFORMS:
            raise UsageError(f"no platform '{chosen}'", hint=f"there are {' and '.join(_PLATFORMS)}")
        return [chosen]

    def _goal(
        self,
        loaded: Loaded,
        target: ResolvedTarget,
        platform: str,
        plan: Plan,
        packages: PackagePlanner,
        bases: BasePlanner,
        environments: EnvironmentPlanner,
    ) -> Goal | None:
        label = str(target.label)
        if target.provides == "package":
            return packages.package(loaded.packages[target.label], platform)
        if target.provides == "base":
            (action,) = bases.base(target, platform).actions
            return Goal(label, platform, action, "layers")
        if target.provides == "env":
            base = bases.base(loaded.resolution.of(target.deps["base"][0]), platform)
            env = environments.environment(target, base, platform)
            group = Action(
                id=f"{label} {platform} env",
                target=label,
                kind="group",
                title=f"environment {target.label.name}",
                deps=(*base.actions, *env.actions),
                weight=0.01,
            )
            return Goal(label, platform, plan.add(group), "group")
        return None

    def _remember(self, loaded: Loaded) -> None:
        workspace = loaded.workspace
        self.packages = workspace.packages
        self.ignore = list(workspace.settings.ignore)
        self.plugins = list(workspace.settings.plugins)


def _indexes(plan: Plan) -> Iterator[Goal]:
    """An image index for every package that has images for several platforms."""
    images: dict[str, list[Goal]] = {}
    for goal in plan.goals:
        if goal.kind == "image":
            images.setdefault(goal.label, []).append(goal)
    for label, goals in images.items():
        if len(goals) < 2:
            continue
        action = Action(
            id=f"{label} index",
            target=label,
            kind="index",
            title=f"index of {label}",
            deps=tuple(goal.action for goal in goals),
            weight=0.01,
        )
        platforms = ",".join(goal.platform for goal in goals)
        yield Goal(label, platforms, plan.add(action), "index", goals[0].info)


def _named(patterns: list[str], directory: str) -> list[Label]:
    """The labels among the patterns that name one target."""
    found = parse_patterns(patterns, directory)
    return [label for pattern in found.includes if (label := pattern.label) is not None]


def _check_named(loaded: Loaded, target: ResolvedTarget, *, testing: bool) -> None:
    """Raise UsageError for a target that was named by itself and has no goal, unless it is a package without tests."""
    if testing:
        if target.provides != "package":
            raise not_a_test(target)
    elif target.provides == "test":
        raise UsageError(
            f"'{target.label}' is a test, which is run and not built", hint=f"buildrules test {target.label}"
        )
    else:
        raise UsageError(
            f"'{target.label}' provides {target.provides}, which is only built as part of a package",
            hint=_user_of(loaded, target.label),
        )


def _is_part(target: ResolvedTarget) -> bool:
    """Whether it is a model or an input, which has a lock of its own where it is kept elsewhere."""
    return target.provides in ("model", "input")


def _user_of(loaded: Loaded, label: Label) -> str:
    users = [str(user) for user in loaded.graph.dependents([label]) if user in loaded.packages]
    if users:
        return f"build {users[0]} instead" + (f" (or one of {len(users) - 1} others)" if len(users) > 1 else "")
    return "no package uses it yet; join it with an environment and a server in a model_package"
