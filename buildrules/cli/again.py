"""The plan of packages whose BUILD.yaml was edited, put in the place of what the state of the workspace has of them.

That is right while nothing else can notice: no other package names a target of theirs, and they have the same targets
as before, that name the same others (`analysis.interface`). Whatever speaks against it, an error among it, is left to a
plan of everything, which says it exactly.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from buildrules.engine.inputs import Facts, Search
from buildrules.engine.kept import KeptAction
from buildrules.engine.plan import Plan, plain
from buildrules.engine.sources import Seen
from buildrules.errors import BuildrulesError
from buildrules.workspace.root import BUILD_FILE

if TYPE_CHECKING:
    from buildrules.cli.invocation import Invocation, Resumed
    from buildrules.engine.events import Event

__all__ = ["Again", "edited_package", "plan_again"]

MOST = 20
"""Packages beyond which a plan of everything is as fast."""


class Again(NamedTuple):
    """What became of the edited packages: actions by number that are others now, and facts by group of rows."""

    actions: dict[int, KeptAction]
    facts: dict[int, Facts]


def edited_package(facts: Facts, root: str, search: Search | None) -> bool:
    """Whether in this directory the BUILD.yaml of a package says something else, and nothing but it."""
    others = {name: digest for name, digest in facts.files.items() if name != BUILD_FILE}
    return bool(facts.at) and len(others) < len(facts.files) and facts._replace(files=others).hold(root, search)


def plan_again(invocation: "Invocation", resumed: "Resumed", edited: dict[str, int]) -> Again | None:
    """Plan the `edited` packages (with the groups of their directories) anew; None where that is not enough."""
    from buildrules.analysis.interface import interfaces
    from buildrules.cli.memory import inputs_of
    from buildrules.cli.planning import Planning
    from buildrules.engine.events import Notice, Stream

    known, options = resumed.rest["interfaces"], {**invocation.request.options, "locked": True}
    named = any(name not in known or known[name][1] for name in edited)
    if len(edited) > MOST or named or options.get("package") or options.get("test"):
        return None
    said: list[Notice] = []

    def listen(event: "Event") -> None:
        if isinstance(event, Notice):
            said.append(event)

    try:
        planning = Planning(
            invocation.root,
            invocation.directory,
            invocation.request.patterns,
            options,
            invocation.store,
            Stream(listen),
            invocation.session,
            edited.keys(),
        )
        plan = planning.plan()
    except BuildrulesError:
        return None
    if invocation.request.verb != "build":
        plan.sides = {}
    shown = interfaces(planning.loaded)
    if said or any(known[name] != shown[name] for name in edited):
        return None
    numbers = _numbers(resumed, plan, edited)
    if numbers is None or not _covered(resumed, numbers, edited):
        return None
    actions = _actions(resumed, plan, numbers)
    if actions is None:
        return None
    inputs = inputs_of(invocation.root, resumed.began, planning.disk, planning.keeper.digests, [])
    facts = _facts(resumed, edited, numbers.values(), inputs.facts)
    return None if facts is None else Again(actions, facts)


def _package(label: str) -> str:
    return label.removeprefix("//").partition(":")[0]


def _numbers(resumed: "Resumed", plan: Plan, edited: Collection[str]) -> dict[str, int] | None:
    """The numbers of the plan's actions; None where it has other goals or actions than were kept for these packages."""
    known, rest = resumed.known, resumed.rest
    mine = [at for at, row in enumerate(rest["goals"]) if _package(row[0]) in edited]
    sides = [number for number, row in zip(known.sides, rest["sides"], strict=True) if _package(row[1]) in edited]
    if [plain(goal) for goal in plan.goals] != [tuple(rest["goals"][at]) for at in mine]:
        return None
    below = resumed.kept.below([*(known.goals[at] for at in mine), *sides])
    numbers = {resumed.kept[number].action.id: number for number in below}
    return numbers if numbers.keys() == set(plan.everything()) else None


def _covered(resumed: "Resumed", numbers: dict[str, int], edited: Collection[str]) -> bool:
    """Whether all that other command lines made of these packages is in the plan, too."""
    planned = set(numbers.values())
    for request in resumed.state.requests():
        rest = resumed.state.rest(request)
        labels = [*(row[0] for row in rest["goals"]), *(row[1] for row in rest["sides"])]
        for number, label in zip((*request.goals, *request.sides), labels, strict=True):
            if _package(label) in edited and number not in planned:
                return False
    return True


def _actions(resumed: "Resumed", plan: Plan, numbers: dict[str, int]) -> dict[int, KeptAction] | None:
    """The actions that are others than before; None where one needs others than before."""
    found: dict[int, KeptAction] = {}
    for name, number in numbers.items():
        one, action = resumed.kept[number], plan.actions[name]
        if one.action.deps != action.deps:
            return None
        if one.action != action:  # be it only in what says where something lies
            same = one.action.sources == action.sources
            seen = one.seen if same else tuple(Seen([], []) for _ in action.sources)
            found[number] = one._replace(action=action, seen=seen)
    return found


def _facts(
    resumed: "Resumed", edited: dict[str, int], numbers: Collection[int], found: dict[str, Facts]
) -> dict[int, Facts] | None:
    """The facts of the packages' directories, by group, with what the new plan looked at; None where a group is new.

    Other directories were looked at by the plan before, for the same locks, and nothing in them differs.
    """
    groups = dict(edited)
    for number in numbers:
        for group in resumed.kept[number].groups:
            groups.setdefault(resumed.state.group(group)[0][0], group)
    facts: dict[int, Facts] = {}
    for directory, new in found.items():
        if not any(directory == name or directory.startswith(f"{name}/") for name in edited):
            continue
        if directory not in groups:
            return None
        old = Facts(*resumed.state.group(groups[directory])[0])
        facts[groups[directory]] = old._replace(
            files={**old.files, **new.files}, shapes={**old.shapes, **new.shapes}, names=new.names or old.names
        )
    return facts
