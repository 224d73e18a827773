"""From targets and locks to a plan: each target becomes actions. Pure: no disk, no network, no variables."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from buildrules.analysis.loaded import Loaded
from buildrules.analysis.options import Options
from buildrules.analysis.selection import Selection
from buildrules.analysis.targets import dependents
from buildrules.engine.action import Action
from buildrules.engine.plan import Goal, Plan
from buildrules.errors import UsageError
from buildrules.graph.model import TARGET
from buildrules.locking.locks import Locks
from buildrules.plan.model import ModelPlanner
from buildrules.plan.package import PackagePlanner
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.labels import Label

if TYPE_CHECKING:
    from buildrules.plan.testing import TestPlanner


def make_plan(loaded: Loaded, locks: Locks, selection: Selection, options: Options, root: str) -> Plan:
    """The plan for `selection`, from what `locks` found out about the world. `root` is the absolute workspace root.

    Raises LoadError for what cannot be placed, UsageError for a target that is named and makes nothing by
    itself.
    """
    plan = Plan(loaded.graph.copy())
    settings = loaded.workspace.settings
    plan.connections = settings.rows()
    plan.cache = settings.shared_cache()
    plan.executor = settings.executor_row()
    models = ModelPlanner(plan, locks)
    packages = PackagePlanner(plan, loaded, locks, models, root, options.source_date_epoch)
    tests = _tests(plan, packages, locks, loaded, options) if options.test else None
    for platform in selection.platforms:
        for label in selection.labels:
            target = loaded.resolution.of(label)
            goal = tests.goal(target, platform) if tests else _goal(plan, packages, locks, target, platform)
            if goal is not None:
                plan.goals.append(goal)
            elif label in selection.named:
                check_named(loaded, target, testing=tests is not None)
    plan.goals += list(_indexes(plan))
    _tie(plan, loaded)
    return plan


def join(plan: Plan, others: Iterable[Plan]) -> None:
    """Add to a plan those of the same targets on other platforms."""
    indexes = {goal.label for goal in plan.goals if goal.kind == "index"}
    for other in others:
        for action in other.actions.values():
            plan.add(action)
        for node, needs in other.graph.needs.items():
            plan.graph.add(node, other.graph.kinds[node], needs)
        plan.goals += other.goals
        plan.sides |= other.sides
        plan.notes += [note for note in other.notes if note not in plan.notes]
    plan.goals += [goal for goal in _indexes(plan) if goal.label not in indexes]


def _tie(plan: Plan, loaded: Loaded) -> None:
    """Say in the graph which actions each target needs."""
    labels = {str(label): label for label in loaded.graph.kinds}
    for action in plan.actions.values():
        if action.target in labels and action.id not in plan.sides:  # lints stand beside what is made
            plan.graph.add(labels[action.target], TARGET, {action.id: "step"})


def _tests(plan: Plan, packages: PackagePlanner, locks: Locks, loaded: Loaded, options: Options) -> "TestPlanner":
    from buildrules.plan.testing import TestPlanner  # which knows all that serves

    return TestPlanner(plan, packages, locks, loaded, options)


def _goal(plan: Plan, packages: PackagePlanner, locks: Locks, target: ResolvedTarget, platform: str) -> Goal | None:
    label = str(target.label)
    if target.provides == "package":
        return packages.package(target.label, platform)
    if target.provides == "base":
        layers = tuple(packages.base(locks.bases[target.label, platform]))
        return _layers(plan, label, platform, f"base {target.label.name}", layers)
    if target.provides == "env":
        env = locks.environments[target.label, platform]
        layers = (*packages.base(env.base), *packages.environment(env))
        return _layers(plan, label, platform, f"environment {target.label.name}", layers)
    return None


def _layers(plan: Plan, label: str, platform: str, title: str, layers: tuple[str, ...]) -> Goal:
    """The goal of what is no image: the layers of one action, or of several."""
    if len(layers) == 1:
        return Goal(label, platform, layers[0], "layers")
    name = f"{label} {platform} {title.partition(' ')[0]}"
    group = Action(id=f"{name} layers", target=label, kind="group", title=title, deps=layers, weight=0.01)
    return Goal(label, platform, plan.add(group), "group")


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


def check_named(loaded: Loaded, target: ResolvedTarget, *, testing: bool) -> None:
    """Raise UsageError for a target that was named by itself and has no goal, unless it is a package without tests."""
    if testing:
        if target.provides != "package":
            raise UsageError(
                f"'{target.label}' provides {target.provides}, which cannot be tested",
                hint="test the package it is part of",
            )
    elif target.provides == "test":
        raise UsageError(
            f"'{target.label}' is a test, which is run and not built", hint=f"buildrules test {target.label}"
        )
    else:
        raise UsageError(
            f"'{target.label}' provides {target.provides}, which is only built as part of a package",
            hint=user_of(loaded, target.label),
        )


def user_of(loaded: Loaded, label: Label) -> str:
    """A hint: the packages that a target is part of."""
    users = [str(user) for user in dependents(loaded.graph, [label]) if user in loaded.packages]
    if users:
        return f"name {users[0]} instead" + (f" (or one of {len(users) - 1} others)" if len(users) > 1 else "")
    return "no package uses it yet; join it with an environment and a server in a model_package"
