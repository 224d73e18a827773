"""A kept plan that goes on: what is known of a command line, what of it is touched, and what the build changed."""

import marshal
from collections.abc import Mapping

from buildrules.engine.build import Build
from buildrules.engine.inputs import Facts
from buildrules.engine.kept import Kept, KeptAction, Touched, kept_of
from buildrules.engine.remember import Drafts, Looked, now
from buildrules.state.location import identity
from buildrules.state.reader import Known, State, open_state
from buildrules.state.writer import Entry, append, compact, is_long
from buildrules.typed import Any

Frame = tuple[str, str, str]


class Resumed:
    """A plan that goes on: what is known, which rows differ, and what of it that touches."""

    def __init__(self, state: State, known: Known, groups: list[int]) -> None:
        self.state = state
        self.known = known
        self.groups = groups
        self.kept = Kept(state)
        self.rest = state.rest(known)
        self.began = now()
        self.found: dict[str, Facts] = {}  # by directory, where they are newer than what the state has
        self.goals: list[int] = []  # positions of the goals that are looked at
        self.numbers: dict[str, int] = {}  # of the actions in the plan, by id
        self.touched: Touched


def append_build(resumed: Resumed, build: Build, root: str, pieces: list[str], frame: Frame) -> None:
    """Keep what a build that went on changed. `pieces` are of the goals of its plan."""
    state, kept, known, touched = resumed.state, resumed.kept, resumed.known, resumed.touched
    built: dict[int, KeptAction] = {}
    failed = {number for number in touched.run if build.outcomes[kept[number].action.id].outputs is None}
    for number in {*touched.looked, *touched.run} - failed:
        one = kept[number]
        if number not in touched.run:
            if one.action.id not in build.plan.actions:
                build.plan.add(one.action)
            build.outcomes.setdefault(one.action.id, one.outcome())
        built[number] = kept_of(build, one.action.id, one.groups)
    patch: dict[int, Any] = {
        at: piece for at, piece in zip(resumed.goals, pieces, strict=True) if known.pieces[at] != piece
    }
    if known.frame != frame:
        patch[-1] = frame
    entry = _entry_of(root, resumed, built, touched.stale | failed, patch)
    if not (entry.groups or entry.actions or patch or known.outdated or any(entry.stale)):
        return
    if append(state, entry) and is_long(state):
        wanted = identity(root, state.identity()[4])
        again = open_state(state.path, wanted)
        if again is not None:
            compact(again, wanted)


def _entry_of(
    root: str, resumed: Resumed, built: Mapping[int, KeptAction], stale: set[int], patch: dict[int, Any]
) -> Entry:
    """What one build changed.

    `built` are the actions that were looked at or ran; `stale` those that nobody asked for; `patch` is what the pieces
    of the answer have anew.
    """
    state, kept, request, began = resumed.state, resumed.kept, resumed.known, resumed.began
    drafts = Drafts(state, resumed.found)
    for group in resumed.groups:
        drafts.renew(group)
    moved = {number for number, one in built.items() if one.folders() != kept[number].folders()}
    for number in moved.union(built).intersection(state.stale):
        for group in built[number].groups:
            drafts.renew(group)  # its rows were taken as they were when it became stale
    for number in moved:
        for group in built[number].groups:
            drafts.directories.setdefault(Facts(*state.group(group)[0]).at, group)
    drafts.begin_searched()
    numbered = dict(built)
    for number in moved:
        near = built[number].groups
        folders = sorted(built[number].folders())
        numbered[number] = built[number]._replace(groups=tuple(drafts.begin(directory, near) for directory in folders))
    looked: dict[int, Looked] = {}
    for group, draft in drafts.groups.items():
        for number in {*drafts.readers[group], *(number for number, one in numbered.items() if group in one.groups)}:
            if number not in looked:
                looked[number] = Looked(numbered.get(number) or kept[number])
            draft.add(number, looked[number], trusted=number in numbered or number not in stale)
    rows = {group: draft.row(root, began, searched=request.watch is None) for group, draft in drafts.groups.items()}
    return Entry(
        {
            group: (row.number, row.paths, row.record, tuple(sorted(drafts.beside.get(group, ()))))
            for group, row in rows.items()
        },
        {number: marshal.dumps(one.to_data()) for number, one in numbered.items()},
        (tuple(sorted(stale - state.stale)), tuple(sorted(state.stale - stale))),
        tuple(sorted(number for number, one in built.items() if one.key != kept[number].key)),
        (request.key, tuple(request.goals[at] for at in resumed.goals)),
        patch,
    )
