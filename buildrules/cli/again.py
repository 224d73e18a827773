"""The plan of packages whose BUILD.yaml was edited, put in the place of what the state of the workspace has of them.

That is right while nothing else can notice: no other package names a target of theirs, and they have the same targets
as before, that name the same others (`analysis.interface`). Whatever speaks against it, an error among it, is left to a
plan of everything, which says it exactly.
"""

import marshal
import os
from collections.abc import Collection

from buildrules.cli.request import Request
from buildrules.cli.table import VERBS
from buildrules.engine.inputs import Facts, Search
from buildrules.engine.kept import KeptAction
from buildrules.engine.plan import Plan, plain
from buildrules.engine.resumed import Resumed
from buildrules.engine.sources import Seen
from buildrules.errors import BuildrulesError
from buildrules.net.session import Session
from buildrules.store.store import Store
from buildrules.typed import TYPE_CHECKING
from buildrules.workspace.root import BUILD_FILE

if TYPE_CHECKING:
    from buildrules.engine.events import Event

MOST = 20
"""Packages beyond which a plan of everything is as fast."""


Again = tuple[dict[int, KeptAction], dict[int, Facts]]
"""What became of the edited packages: actions by number that are others now, and facts by group of rows."""


def edited_package(facts: Facts, root: str, search: Search | None) -> bool:
    """Whether in this directory the BUILD.yaml of a package says something else, and nothing but it."""
    others = {name: digest for name, digest in facts.files.items() if name != BUILD_FILE}
    return bool(facts.at) and len(others) < len(facts.files) and facts._replace(files=others).hold(root, search)


def plan_again(
    root: str,
    directory: str,
    request: Request,
    store: Store,
    session: Session,
    resumed: Resumed,
    edited: dict[str, int],
) -> Again | None:
    """Plan the `edited` packages (with the groups of their directories) anew; None where that is not enough."""
    from buildrules.cli.looked_at import inputs_of
    from buildrules.engine.events import Notice, Stream
    from buildrules.prepared import prepare

    known = marshal.loads(resumed.rest["interfaces"])  # noqa: S302 - made by ourselves
    options = {**request.options, "locked": True}
    named = any(name not in known or known[name][1] for name in edited)
    if len(edited) > MOST or named or options.get("package") or options.get("test"):
        return None
    said: list[Notice] = []

    def listen(event: "Event") -> None:
        if isinstance(event, Notice):
            said.append(event)

    try:
        prepared = prepare(root, directory, request.patterns, options, store, Stream(listen), session, edited.keys())
        plan = prepared.plan()
    except BuildrulesError:
        return None
    plan.narrow(VERBS[request.verb].sides)
    shown = prepared.interfaces()
    if said or any(known[name] != shown[name] for name in edited):
        return None
    numbers = _numbers(resumed, plan, edited)
    if numbers is None or not _covered(resumed, numbers, edited):
        return None
    actions = _actions(resumed, plan, numbers)
    if actions is None:
        return None
    inputs = inputs_of(root, resumed.began, prepared.disk, prepared.keeper.digests, [])
    facts = _facts(resumed, edited, numbers.values(), inputs.facts)
    return None if facts is None else (actions, facts)


def _package(label: str) -> str:
    return label.removeprefix("//").partition(":")[0]


def _numbers(resumed: Resumed, plan: Plan, edited: Collection[str]) -> dict[str, int] | None:
    """The numbers of the plan's actions; None where it has other goals or actions than were kept for these packages."""
    known, rest = resumed.known, resumed.rest
    goals = [(at, marshal.loads(row)) for at, row in enumerate(rest["goals"])]  # noqa: S302 - made by ourselves
    mine = [(at, row) for at, row in goals if _package(row[0]) in edited]
    sides = [number for number, row in zip(known.sides, rest["sides"], strict=True) if _package(row[1]) in edited]
    if [plain(goal) for goal in plan.goals] != [row for _, row in mine]:
        return None
    below = resumed.kept.below([*(known.goals[at] for at, _ in mine), *sides])
    numbers = {resumed.kept[number].action.id: number for number in below}
    return numbers if numbers.keys() == set(plan.everything()) else None


def _covered(resumed: Resumed, numbers: dict[str, int], edited: Collection[str]) -> bool:
    """Whether all that other command lines made of these packages is in the plan, too."""
    planned = set(numbers.values())
    for request in resumed.state.requests():
        rest = resumed.state.rest(request)
        goals = [marshal.loads(row)[0] for row in rest["goals"]]  # noqa: S302 - made by ourselves
        labels = [*goals, *(row[1] for row in rest["sides"])]
        for number, label in zip((*request.goals, *request.sides), labels, strict=True):
            if _package(label) in edited and number not in planned:
                return False
    return True


def _actions(resumed: Resumed, plan: Plan, numbers: dict[str, int]) -> dict[int, KeptAction] | None:
    """The actions that are others than before; None where one needs others than before."""
    found: dict[int, KeptAction] = {}
    for name, number in numbers.items():
        one, action = resumed.kept[number], plan.actions[name]
        if one.action.deps != action.deps:
            return None
        if one.action != action:  # be it only in what says where something lies
            same = one.action.sources == action.sources
            seen = one.seen if same else tuple(Seen([], {}) for _ in action.sources)
            found[number] = one._replace(action=action, seen=seen)
    return found


def _facts(
    resumed: Resumed, edited: dict[str, int], numbers: Collection[int], found: dict[str, Facts]
) -> dict[int, Facts] | None:
    """The facts of the packages' directories, by group, with what the new plan looked at; None where a group is new.

    Other directories were looked at by the plan before, for the same locks. None also where the new plan found
    something else there, though nothing in them differs: it may have changed, and back again.
    """
    inside = {at for at in found if any(at == name or at.startswith(f"{name}/") for name in edited)}
    outside = [found[at] for at in found.keys() - inside]
    wanted = {os.fsencode(f"{new.at}/{name}".strip("/") or ".") for new in outside for name in new.rows}
    for group in resumed.state.groups_with(wanted):
        old = Facts(*resumed.state.group(group)[0])
        if old.at in found and old.at not in inside and not found[old.at].agree(resumed.found.get(old.at, old)):
            return None
    groups = dict(edited)
    for number in numbers:
        for group in resumed.kept[number].groups:
            groups.setdefault(resumed.state.group(group)[0][0], group)
    facts: dict[int, Facts] = {}
    for directory in inside:
        if directory not in groups:
            return None
        old = resumed.found.get(directory) or Facts(*resumed.state.group(groups[directory])[0])
        others = {name: digest for name, digest in old.files.items() if name != BUILD_FILE}
        new = found[directory]
        if not new.agree(old._replace(files=others)):
            return None
        facts[groups[directory]] = old._replace(
            files={**old.files, **new.files},
            shapes={**old.shapes, **new.shapes},
            names=new.names or old.names,
            rows={**old.rows, **new.rows},
        )
    return facts
