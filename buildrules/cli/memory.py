"""What a command takes from the state of its workspace, and what it leaves there for the next."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from buildrules.cli.plugins import plugin_files
from buildrules.engine.build import Build, Outcome
from buildrules.engine.cache import lacking
from buildrules.engine.explanations import Explanations
from buildrules.engine.inputs import Facts, Inputs
from buildrules.engine.kept import Kept, KeptAction
from buildrules.engine.plan import bare, plain
from buildrules.engine.remember import base_of, entry_of
from buildrules.engine.sources import Seen
from buildrules.state.location import identity, state_path
from buildrules.state.reader import Damaged, State, key_of, open_state
from buildrules.state.reader import Request as Known
from buildrules.state.writer import Base, append, compact, is_long, watch, write_base
from buildrules.workspace.root import find_packages, look

if TYPE_CHECKING:
    from buildrules.cli.invocation import Invocation, Resumed
    from buildrules.workspace.disk import Disk

Frame = tuple[str, str, str]


class Search:
    """What directories mean to the search for packages, as it was remembered and as it is now."""

    def __init__(self, root: str, ignore: list[str]) -> None:
        self._root = root
        self._ignore = ignore

    def __call__(self, directory: str) -> Any:
        """See `engine.inputs.Search`."""
        return look(self._root, directory)

    def new_below(self, facts: Facts) -> list[Facts] | None:
        """The facts of a directory that has other folders in it, and of those, where no package came or went.

        None where anything else is not as it was: then there has to be a new plan.
        """
        now = self(facts.at)
        before = facts.searched
        if before is None or now is None or now[1:] != before[1:]:
            return None
        if not facts.hold(self._root, None):
            return None
        found = [facts._replace(searched=now)]
        for name in sorted({*now[0]} - {*before[0]}):
            directory = f"{facts.at}/{name}" if facts.at else name
            if directory in self._ignore:
                continue
            below = find_packages(self._root, self._ignore, start=directory)
            if below.packages or below.misspelt or below.nested:
                return None
            found += [Facts(path, {}, {}, None, listing) for path, listing in below.listings.items()]
        return found


def inputs_of(root: str, began: int, disk: "Disk", digests: Mapping[str, str], plugins: list[str]) -> Inputs:
    """What a plan that was begun then was made from. `digests` are those of locks, as the plan took them."""
    from buildrules.workspace.disk import CONTENT, NAMES, SEARCHED, SHAPE

    inputs = Inputs(root, began)
    readers: dict[tuple[str, str], set[str]] = {}
    for what in (CONTENT, NAMES, SHAPE):
        for path, reader in disk.readers(what):
            readers.setdefault((what, path), set()).add(_reader_of(path, reader))
    for (what, path), for_whom in readers.items():
        at = _inside(root, path)
        known = disk.digests.get(path) or digests.get(path, "")[7:] or None
        names = disk.found.get((NAMES, path))
        if what == CONTENT and (known or os.path.isfile(os.path.join(root, path))):
            inputs.content(at, known, for_whom)
        elif what == NAMES and names:
            inputs.names(at, names, for_whom)
        else:
            inputs.shape(at, for_whom, disk.found.get((SHAPE, path)))
    for path in plugin_files(root) if plugins else ():
        inputs.content(_inside(root, path), None, {""})
    for path in disk.seen(SEARCHED):
        inputs.searched(path, disk.listings[path], ())
    return inputs


def _inside(root: str, path: str) -> str:
    """A path as a group keeps it: relative to the workspace, by way of `..` where it lies outside."""
    return os.path.relpath(path, root) if path.startswith("/") else path


def _reader_of(path: str, reader: str) -> str:
    """A lock matters to the package it lies beside."""
    directory, name = os.path.split(path)
    lock = name.endswith(".lock") or (name.startswith("pylock.") and name.endswith(".toml"))
    return f"//{directory}" if lock and not reader else reader


def explanations_of(root: str) -> Explanations:
    """Why the actions of a workspace were last built."""
    wanted = identity(root)
    state = open_state(state_path(root, wanted), wanted)
    if state is None:
        return Explanations()
    try:
        numbers = {state.action(number)[0][0]: number for number in range(state.action_count)}
    except Damaged:
        return Explanations()
    return Explanations(Kept(state).recall(numbers))


class Settled:
    """The actions of a state that a new plan has as well. `holds` says whether other plans made from it still are."""

    def __init__(self, state: State, root: str) -> None:
        self.state = state
        self.kept = Kept(state)
        everything = Known(0, ((), None, (), (), [], ("", "", ""), ()))
        self.groups = state.changed(everything, root + "/")
        direct = {number for group in self.groups for number in state.group(group)[1]} | state.stale
        self.stale = self.kept.above(direct)
        self.numbers = {state.action(number)[0][0]: number for number in range(state.action_count)}
        search = Search(root, [])
        self.holds = all(Facts(*state.group(group)[0]).hold(root, search) for group in self.groups)

    def apply(self, build: Build, *, whole: bool) -> None:
        """Tell `build` what is known: of each action what it was, of those that nothing touched that they are done.

        With `whole` the blobs of everything are going to be used.
        """
        previous: dict[str, Outcome] = {}
        names = build.plan.everything()
        for name in names:
            number = self.numbers.get(name)
            if number is None:
                continue
            one, action = self.kept[number], build.plan.actions[name]
            previous[name] = one.outcome()
            one.warm(build.sources)
            if number in self.stale or bare(one.action) != bare(action) or one.version != build.versions(action.kind):
                continue
            if all(dep in build.outcomes for dep in action.deps) and not (
                whole and lacking(one.outputs, build.here.blobs)
            ):
                build.outcomes[name] = previous[name]
        build.previous = previous
        build.explanations = Explanations(self.kept.recall(self.numbers))
        stack = [name for name in names if name not in build.outcomes]
        while stack:
            for dep in build.plan.actions[stack.pop()].deps:
                known = build.outcomes.get(dep)
                if known is not None and known.outputs is not None and lacking(known.outputs, build.here.blobs):
                    del build.outcomes[dep]
                    stack.append(dep)


def _built(build: Build, name: str, groups: tuple[int, ...]) -> KeptAction:
    """What is kept of an action that was looked at."""
    action, outcome = build.plan.actions[name], build.outcomes[name]
    assert outcome.outputs is not None
    racy, root = build.store.index.racy, build.here.workspace
    seen = []
    for source in action.sources:
        files, directories = build.sources.seen[source]
        trusted = [
            file._replace(stat=None) if racy and os.path.join(root, file.path) in racy else file for file in files
        ]
        seen.append(Seen(trusted, directories))
    version, reasons = build.versions(action.kind), tuple(outcome.reasons)
    return KeptAction(action, version, outcome.key, outcome.outputs, reasons, tuple(seen), groups)


def append_build(resumed: "Resumed", build: Build, root: str, pieces: list[str], frame: Frame) -> None:
    """Keep what a build that went on changed. `pieces` are of the goals of its plan."""
    state, kept, known, touched = resumed.state, resumed.kept, resumed.known, resumed.touched
    built: dict[int, KeptAction] = {}
    failed = {number for number in touched.run if build.outcomes[kept[number].action.id].outputs is None}
    for number in {*touched.looked, *touched.run} - failed:
        one = kept[number]
        if number in touched.run:
            built[number] = _built(build, one.action.id, one.groups)
        else:
            if one.action.id not in build.plan.actions:
                build.plan.add(one.action)
            build.outcomes.setdefault(one.action.id, one.outcome())
            built[number] = _built(build, one.action.id, one.groups)
    patch: dict[int, Any] = {
        at: piece for at, piece in zip(resumed.goals, pieces, strict=True) if known.pieces[at] != piece
    }
    if known.frame != frame:
        patch[-1] = frame
    entry = entry_of(
        root,
        resumed.began,
        state,
        kept,
        resumed.groups,
        built,
        touched.stale | failed,
        resumed.found,
        known,
        tuple(known.goals[at] for at in resumed.goals),
        patch,
    )
    if not (entry.groups or entry.actions or patch or known.outdated or any(entry.stale)):
        return
    if append(state, entry) and is_long(state):
        again = open_state(state.path, identity(root))
        if again is not None:
            compact(again, identity(root))


def write_build(
    invocation: "Invocation", inputs: Inputs, settled: Settled | None, pieces: list[str], frame: Frame
) -> None:
    """Keep all that a build with a new plan looked at and made."""
    import marshal

    build, root = invocation.run, invocation.root
    names = [name for name in build.plan.everything() if build.outcomes[name].outputs is not None]
    sides = {name: side for name, side in build.plan.sides.items() if build.outcomes[name].outputs is not None}
    actions: list[KeptAction] = []
    for name in names:
        number = None if settled is None else settled.numbers.get(name)
        if (
            settled is not None
            and number is not None
            and build.outcomes[name] is build.previous.get(name)
            and (all(source not in build.sources.seen for source in build.plan.actions[name].sources))
        ):
            actions.append(settled.kept[number]._replace(action=build.plan.actions[name]))
        else:
            actions.append(_built(build, name, ()))
    others, carried = _carried(settled, {*names}, invocation.words) if settled is not None else ([], [])
    stale = set()
    if settled is not None:
        stale = {len(actions) + at for at, number in enumerate(carried) if number in settled.stale}
        actions += [settled.kept[number] for number in carried]
    facts = dict(inputs.facts)
    for older in _facts_of(settled, others):
        facts[older.at] = facts[older.at].with_older(older) if older.at in facts else older
    base, order = base_of(root, inputs.began, facts, actions, stale)
    numbers = {one.action.id: number for number, one in enumerate(actions)}
    groups = None
    if invocation.readers is not None:
        groups = {order[place] for place, whose in inputs.readers.items() if not whose.isdisjoint(invocation.readers)}
        groups |= {order[place] for name in names for place in actions[numbers[name]].folders()}
    goals = [goal for goal in build.plan.goals if goal.action in numbers]
    head = (
        invocation.words,
        None if groups is None else watch(sorted(groups), base.groups),
        tuple(numbers[goal.action] for goal in goals),
        tuple(numbers[name] for name in sides),
        pieces,
        frame,
        (),
    )
    rest = {
        "request": invocation.request.to_data(),
        "goals": [plain(goal) for goal in goals],
        "sides": [tuple(side) for side in sides.values()],
        "connections": build.plan.connections,
        "plugins": invocation.plugins,
        "ignore": invocation.ignore,
        "interfaces": invocation.interfaces,
        "actions": len(names) - len(sides),
    }
    requests = [(key_of(invocation.words), marshal.dumps(head), marshal.dumps(rest))]
    ran = {numbers[name] for name in names if build.outcomes[name] is not build.previous.get(name)}
    for other in others:
        moved = _moved(settled, other, numbers, order, base, ran)
        if moved is not None and settled is not None:
            rest_of = {**settled.state.rest(other), "interfaces": invocation.interfaces}
            requests.append((other.key, marshal.dumps(moved.head()), marshal.dumps(rest_of)))
    wanted = identity(root)
    write_base(state_path(root, wanted), wanted, base._replace(requests=requests))


def _carried(settled: Settled, names: set[str], words: tuple[str, ...]) -> tuple[list[Known], list[int]]:
    """The other requests of a state that may stay, and the actions that only they need."""
    if not settled.holds:
        return [], []
    others = [request for request in settled.state.requests() if request.words != words]
    needed = settled.kept.below(number for request in others for number in (*request.goals, *request.sides))
    return others, [number for number in sorted(needed) if settled.kept[number].action.id not in names]


def _facts_of(settled: Settled | None, requests: list[Known]) -> list[Facts]:
    """What the plans of other requests were made from: it still holds, and goes on mattering."""
    if settled is None or not requests:
        return []
    groups: set[int] = set()
    for request in requests:
        watched = settled.state.watched(request)
        groups.update(range(settled.state.group_count) if watched is None else watched)
    return [Facts(*settled.state.group(group)[0]) for group in sorted(groups)]


def _moved(
    settled: Settled | None,
    request: Known,
    numbers: Mapping[str, int],
    order: Mapping[str, int],
    base: Base,
    ran: set[int],
) -> Known | None:
    """A request with the numbers of a new base, None where something it needs is not there any more."""
    assert settled is not None

    def new(olds: Iterable[int]) -> tuple[int, ...]:
        return tuple(numbers[settled.kept[old].action.id] for old in olds)

    try:
        outdated = {*new(request.outdated), *ran}
        request.goals, request.sides = new(request.goals), new(request.sides)
        request.outdated = tuple(number for number in request.goals if number in outdated)
        watched = settled.state.watched(request)
        if watched is not None:
            places = [order[Facts(*settled.state.group(group)[0]).at] for group in watched]
            request.watch = watch(sorted(places), base.groups)
    except KeyError:
        return None
    return request
