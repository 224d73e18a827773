"""Actions as the state of a workspace keeps them, and what has to be done where some of it changed.

An edit decodes what it touches: rows that differ lead to groups, these to the actions that read there, these to what
needs them. Nothing else is looked at.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from buildrules.engine.action import Action, Outputs, SourceFile
from buildrules.engine.build import Before, Build, Outcome, Recall
from buildrules.engine.cache import foresee, lacking
from buildrules.engine.events import Status
from buildrules.engine.key import walk
from buildrules.engine.plan import Plan, action_of, plain
from buildrules.engine.sources import Seen, SourceReader
from buildrules.engine.step import Step, step_of
from buildrules.graph.model import ordered
from buildrules.state.reader import Known, State
from buildrules.store.blobs import Blobs
from buildrules.typed import Any, NamedTuple


class KeptAction(NamedTuple):
    """An action with what its last build saw and made. The stat of a file is None where it is not to be trusted."""

    action: Action
    version: int | str  # of its kind
    key: str
    outputs: Outputs
    reasons: tuple[str, ...]  # why it last ran, or was taken from the store
    seen: tuple[Seen, ...]  # by source set
    groups: tuple[int, ...]  # of rows, that it depends on

    def to_data(self) -> tuple[Any, ...]:
        """Plain values, for marshal."""
        seen = tuple([(tuple(map(tuple, files)), directories) for files, directories in self.seen])
        return plain(self.action), self.version, self.key, self.outputs.to_dict(), self.reasons, seen, self.groups

    @classmethod
    def from_data(cls, data: Sequence[Any]) -> "KeptAction":
        """Read what `to_data` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        action, version, key, outputs, reasons, seen, groups = data
        sets = tuple(Seen([SourceFile(*row) for row in files], dict(directories)) for files, directories in seen)
        return cls(action_of(action), version, key, Outputs.from_dict(outputs), reasons, sets, groups)

    def outcome(self) -> Outcome:
        """As of an action that did not have to be looked at."""
        return Outcome(Status.UNCHANGED, self.key, self.outputs, self.reasons)

    def warm(self, reader: SourceReader) -> None:
        """Tell `reader` what is known of its files."""
        for source, (files, _) in zip(self.action.sources, self.seen, strict=True):
            reader.warm(source, files)

    def folders(self) -> set[str]:
        """The directories that its files lie in, and those that were searched for them (workspace-relative)."""
        found: set[str] = set()
        for files, directories in self.seen:
            found.update(directories)
            found.update(os.path.dirname(file.path) for file in files)
        return found


class Brief(NamedTuple):
    """An action with what it made, without what it saw."""

    action: Action
    key: str
    outputs: Outputs
    reasons: tuple[str, ...]


def kept_of(build: Build, name: str, groups: tuple[int, ...]) -> KeptAction:
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
    version, reasons = build.kinds.version(action.kind), tuple(outcome.reasons)
    return KeptAction(action, version, outcome.key, outcome.outputs, reasons, tuple(seen), groups)


class Kept:
    """The actions of a state, each decoded at its first use. Raises Damaged, and ValueError and the like."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._actions: dict[int, KeptAction] = {}
        self._links: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def __getitem__(self, number: int) -> KeptAction:
        found = self._actions.get(number)
        if found is None:
            found = self._actions[number] = KeptAction.from_data(self._state.action(number))
        return found

    def brief(self, number: int) -> Brief:
        """An action without its files, which takes a third of the time; it is not remembered."""
        action, _, key, outputs, reasons, _, _ = self._state.action(number)
        return Brief(action_of(action), key, Outputs.from_dict(outputs), reasons)

    def replace(self, number: int, one: KeptAction) -> None:
        """Have another action from now on, as a new plan has it; the state is not changed."""
        self._actions[number] = one

    def needs(self, number: int) -> tuple[int, ...]:
        """What an action needs."""
        return self._both(number)[0]

    def needed_by(self, number: int) -> tuple[int, ...]:
        """What needs an action."""
        return self._both(number)[1]

    def _both(self, number: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        found = self._links.get(number)
        if found is None:
            found = self._links[number] = self._state.links(number)
        return found

    def step(self, number: int, files: Sequence[Sequence[SourceFile]] | None = None) -> Step:
        """An action as it was last looked at, or with other files, on what it needs as that is kept."""
        one = self[number]
        made = {(need := self[dep]).action.id: need.outputs for dep in self.needs(number)}
        sources = [seen.files for seen in one.seen] if files is None else files
        return step_of(one.action, one.version, sources, [made[dep] for dep in one.action.deps])

    def recall(self, numbers: Mapping[str, int]) -> Recall:
        """What is known of the actions with these ids and numbers."""

        def before(name: str) -> Before | None:
            number = numbers.get(name)
            if number is None:
                return None
            one = self[number]
            return Before(one.key, lambda: walk(self.step(number)).sees, one.reasons)

        return before

    def above(self, numbers: Iterable[int]) -> set[int]:
        """These and all that needs them."""
        return _reached(numbers, self.needed_by)

    def below(self, numbers: Iterable[int], within: set[int] | None = None) -> set[int]:
        """These and all they need; with `within` no further than it reaches."""
        return _reached(numbers, self.needs, within)

    def order(self, numbers: Iterable[int]) -> list[int]:
        """These, each after all of them that it needs."""
        wanted = set(numbers)
        return [number for number in ordered(sorted(wanted), self.needs) if number in wanted]

    def plan(self, numbers: Iterable[int]) -> Plan:
        """The actions with these numbers, without goals."""
        plan = Plan()
        for number in numbers:
            plan.add(self[number].action)
        return plan


def _reached(
    numbers: Iterable[int], following: Callable[[int], tuple[int, ...]], within: set[int] | None = None
) -> set[int]:
    stack = [number for number in numbers if within is None or number in within]
    found = set(stack)
    while stack:
        for number in following(stack.pop()):
            if number not in found and (within is None or number in within):
                found.add(number)
                stack.append(number)
    return found


class Touched:
    """What changed rows touch of what is asked for, found without running anything.

    `looked` are the actions that were looked at again, with their files; `run` those that have another key now, and
    what needs them of all that is asked for. `stale` are the actions that nobody asked for and that are not up to date:
    a later command must not take them for unchanged because this one renewed the rows they read.
    """

    def __init__(
        self,
        kept: Kept,
        request: Known,
        direct: set[int],
        reader: SourceReader,
        versions: Callable[[str], int | str],
        blobs: Blobs,
        *,
        whole: bool,
    ) -> None:
        """`direct` are the actions that read what changed, or were stale. With `whole` the blobs of everything that is
        asked for are going to be used; what lacks one runs again. Raises BuildrulesError where sources cannot be read.
        """
        self.looked: dict[int, list[list[SourceFile]]] = {}
        self.run: set[int] = set()
        self._kept, self._reader, self._versions, self._blobs = kept, reader, versions, blobs
        goals = (*request.goals, *request.sides)
        gone = self._lacking(kept.below(request.goals)) if whole else set()
        asked = kept.below(goals, kept.above(direct | gone))
        other = gone & asked
        self.run = kept.above(other) & asked
        for number in kept.order(direct & asked):
            if number not in self.run and self._differs(number):
                other.add(number)
                self.run = kept.above(other) & asked
        while gone := self._lacking({name for number in self.run for name in kept.needs(number)} - self.run):
            other |= gone
            self.run = kept.above(other) & kept.below(goals, kept.above(direct | other))
        self.stale = kept.above(other | (direct - asked)) - self.run

    def _differs(self, number: int) -> bool:
        """Whether an action, all of whose dependencies are as they were, has another key now."""
        one = self._kept[number]
        one.warm(self._reader)
        files = self.looked[number] = [self._reader.read(source) for source in one.action.sources]
        step = self._kept.step(number, files)._replace(version=self._versions(one.action.kind))
        return walk(step).key() != one.key

    def _lacking(self, numbers: Iterable[int]) -> set[int]:
        wanted = list(numbers)
        foresee((self._kept[number].outputs for number in wanted), self._blobs)
        return {number for number in wanted if lacking(self._kept[number].outputs, self._blobs)}
