"""What a build with a new plan leaves in the state of its workspace for the next command."""

import marshal

from buildrules.cli.carried import Carried
from buildrules.cli.request import Request
from buildrules.engine.build import Build
from buildrules.engine.inputs import Inputs
from buildrules.engine.kept import KeptAction, kept_of
from buildrules.engine.plan import plain
from buildrules.engine.remember import base_of
from buildrules.engine.resumed import Frame
from buildrules.state.location import identity, state_path
from buildrules.state.reader import Known, key_of
from buildrules.state.writer import watch, write_base
from buildrules.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from buildrules.analysis.interface import Interfaces


class PlannedFrom(NamedTuple):
    """What a new plan was made from, as later commands have to know it."""

    inputs: Inputs
    interfaces: "Interfaces"  # of all packages; none where targets were made of a file of Azure ML
    readers: set[str] | None  # whom of the workspace the goals depend on; None for everybody
    plugins: list[str]
    ignore: list[str]


def _kept(name: str, build: Build, carried: Carried | None) -> KeptAction:
    """An action of the plan. One that was taken over has its files as they were then: another action may have read
    them since, and after an edit.
    """
    if carried is not None and name in carried.taken:
        return carried.kept[carried.numbers[name]]._replace(action=build.plan.actions[name])
    return kept_of(build, name, ())


def write_build(
    root: str,
    words: tuple[str, ...],
    request: Request,
    made: PlannedFrom,
    build: Build,
    carried: Carried | None,
    answer: tuple[list[str], Frame],
) -> None:
    """Keep all that a build with a new plan looked at and made; `answer` are the pieces and the frame of its answer."""
    inputs = made.inputs
    names = [name for name in build.plan.everything() if build.outcomes[name].outputs is not None]
    sides = {name: side for name, side in build.plan.sides.items() if build.outcomes[name].outputs is not None}
    actions = [_kept(name, build, carried) for name in names]
    others: list[Known] = []
    stale: set[int] = set()
    facts = dict(inputs.facts)
    if carried is not None:
        others, older = carried.others(words, facts)
        needed, forgotten = carried.only(words, others, {*names})
        stale = {len(actions) + at for at, number in enumerate(needed) if number in carried.stale | forgotten}
        actions += [carried.kept[number] for number in needed]
        for one in older:
            facts[one.at] = facts[one.at].with_older(one) if one.at in facts else one
    base, order = base_of(root, inputs.began, facts, actions, stale)
    numbers = {one.action.id: number for number, one in enumerate(actions)}
    groups = None
    if made.readers is not None:
        groups = {order[place] for place, whose in inputs.readers.items() if not whose.isdisjoint(made.readers)}
        groups |= {order[place] for name in names for place in actions[numbers[name]].folders()}
    goals = [goal for goal in build.plan.goals if goal.action in numbers]
    head = (
        words,
        None if groups is None else watch(sorted(groups), base.groups),
        tuple(numbers[goal.action] for goal in goals),
        tuple(numbers[name] for name in sides),
        *answer,
        (),
    )
    interfaces = marshal.dumps(made.interfaces)  # these and the goals are read by few, one by one
    rest = {
        "request": tuple(request),
        "goals": [marshal.dumps(plain(goal)) for goal in goals],
        "sides": [tuple(side) for side in sides.values()],
        "connections": build.plan.connections,
        "cache": build.plan.cache,
        "executor": build.plan.executor,
        "plugins": made.plugins,
        "ignore": made.ignore,
        "interfaces": interfaces,
        "actions": len(names) - len(sides),
    }
    requests = [(key_of(words), marshal.dumps(head), marshal.dumps(rest))]
    ran = {numbers[name] for name in names if build.outcomes[name] is not build.previous.get(name)}
    for other in others:
        assert carried is not None
        moved = carried.moved(other, numbers, order, base, ran)
        if moved is not None:
            rest_of = {**carried.state.rest(other), "interfaces": interfaces}
            requests.append((other.key, marshal.dumps(moved.head()), marshal.dumps(rest_of)))
    wanted = identity(root, request.option("configurations", ()))
    write_base(state_path(root, wanted), wanted, base._replace(requests=requests))
