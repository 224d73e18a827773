"""What a green build looked at and made, as the state of its workspace keeps it.

A group holds the paths of one directory: files that actions read, what the plan looked at, and the directory itself
where it mattered which names it holds. Actions and groups go by number.
"""

import marshal
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from buildrules.engine.action import SourceFile
from buildrules.engine.inputs import Facts
from buildrules.engine.kept import Kept, KeptAction
from buildrules.state.reader import Request, State
from buildrules.state.rows import RACY, RACY_NS, Stat, fold, row_of
from buildrules.state.writer import Base, Entry, GroupRow, joined


class Draft:
    """A group that is being put together."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.actions: set[int] = set()
        self._listed = facts.names is not None or "" in facts.shapes  # otherwise than by the search for packages
        self._searched = facts.searched is not None
        self._files: dict[str, Stat | None] = {}  # by workspace-relative path
        self._others: set[str] = set()
        for name in {*facts.files, *facts.shapes} - {""}:
            absent = facts.shapes.get(name) == "nothing" and name not in facts.files
            if not (absent and self._listed):  # what is not there is answered for by the directory's own row
                self._others.add(os.path.join(facts.at, name))

    def add(self, number: int, looked: "Looked", *, trusted: bool = True) -> None:
        """Take what an action looked at here; without `trusted` its rows are those of now, for it is not up to date."""
        files = looked.files.get(self.facts.at)
        if self.facts.at in looked.listed:
            self._listed = True
            self.actions.add(number)
        for file in files or ():
            self.actions.add(number)
            if trusted:
                self._files[file.path] = file.stat
            else:
                self._others.add(file.path)

    def row(self, root: str, began: int, *, searched: bool = True) -> GroupRow:
        """As it is written. What was modified after `began` (ns), or shortly before, is not trusted.

        Without `searched` nobody looked whether the directory still means the same to the search for packages: then
        it is trusted for those only whom that does not concern.
        """
        rows: list[tuple[str, Stat | None]] = []
        racy = unsure = False
        if self._searched or self._listed:
            row = row_of(os.path.join(root, self.facts.at))
            seen = self._searched or self.facts.names is not None or "" in self.facts.shapes
            unsure = seen if row is None else max(row[3:]) > began - RACY_NS
            rows.append((self.facts.at or ".", row))
        skip = int(self._searched and not self._listed)
        racy = unsure and not skip
        for path in sorted({*self._files, *self._others}):
            if path in self._files:
                row = self._files[path]
                racy = racy or row is None
            else:
                row = row_of(os.path.join(root, path))
                if row is None:
                    name = os.path.basename(path)  # of what was there when it was looked at, perhaps
                    racy = racy or name in self.facts.files or self.facts.shapes.get(name) == "file"
                else:
                    racy = racy or max(row[3:]) > began - RACY_NS
            rows.append((path, row))
        own = RACY if racy else fold(row for _, row in rows[skip:])
        unsure = racy or unsure or (self._searched and not searched)
        number = RACY if unsure else fold(row for _, row in rows)
        paths = joined(os.fsencode(path) for path, _ in rows)
        return GroupRow(paths, number, marshal.dumps((tuple(self.facts), tuple(sorted(self.actions)), own, skip)))


class Looked:
    """What an action looked at, by directory: its files, and the directories that were searched for them."""

    def __init__(self, one: KeptAction) -> None:
        self.files: dict[str, list[SourceFile]] = {}
        self.listed: set[str] = set()
        for files, directories in one.seen:
            self.listed.update(directories)
            for file in files:
                self.files.setdefault(os.path.dirname(file.path), []).append(file)

    def folders(self) -> list[str]:
        """All of these directories, sorted."""
        return sorted(self.listed.union(self.files))


def base_of(
    root: str,
    began: int,
    facts: Mapping[str, Facts],
    actions: Sequence[KeptAction],
    stale: Collection[int],
) -> tuple[Base, dict[str, int]]:
    """A state without requests, and the number of the group of each directory. `stale` are numbers of actions."""
    drafts = {directory: Draft(found) for directory, found in facts.items()}
    numbered: list[KeptAction] = []
    order: dict[str, int] = {directory: number for number, directory in enumerate(drafts)}
    for number, one in enumerate(actions):
        looked = Looked(one)
        folders = looked.folders()
        for directory in folders:
            if directory not in drafts:
                order[directory] = len(drafts)
                drafts[directory] = Draft(Facts(directory, {}, {}, None, None))
            drafts[directory].add(number, looked, trusted=number not in stale)
        numbered.append(one._replace(groups=tuple(order[directory] for directory in folders)))
    numbers = {one.action.id: number for number, one in enumerate(actions)}
    needs = [tuple(dict.fromkeys(numbers[dep] for dep in one.action.deps)) for one in actions]
    needed_by: list[list[int]] = [[] for _ in actions]
    for number, needed in enumerate(needs):
        for dep in needed:
            needed_by[dep].append(number)
    base = Base(
        [draft.row(root, began) for draft in drafts.values()],
        [marshal.dumps((needs[number], tuple(needed_by[number]))) for number in range(len(actions))],
        [marshal.dumps(one.to_data()) for one in numbered],
        [],
        tuple(stale),
    )
    return base, order


def entry_of(
    root: str,
    began: int,
    state: State,
    kept: Kept,
    groups: Iterable[int],
    built: Mapping[int, KeptAction],
    stale: set[int],
    found: Iterable[Facts],
    request: Request,
    told: tuple[int, ...],
    patch: dict[int, Any],
) -> Entry:
    """What one build changed.

    `groups` had other rows than before; `built` are the actions that were looked at or ran; `stale` those that nobody
    asked for; `found` directories that were searched for packages for the first time; `told` are the goals whose
    pieces of the answer were made anew, `patch` what it has anew.
    """
    drafts: dict[int, Draft] = {}
    directories: dict[str, int] = {}
    beside: dict[int, set[int]] = {}  # of new groups
    readers: dict[int, tuple[int, ...]] = {}
    searched = {facts.at: facts for facts in found}

    def renew(group: int) -> None:
        if group not in drafts:
            values, readers[group] = state.group(group)
            facts = Facts(*values)
            again = searched.get(facts.at)
            drafts[group] = Draft(facts if again is None else again)
            directories[facts.at] = group

    def begin(directory: str, near: Iterable[int]) -> None:
        group = directories.get(directory)
        if group is None:
            group = directories[directory] = state.group_count + len(beside)
            drafts[group] = Draft(searched.get(directory, Facts(directory, {}, {}, None, None)))
            beside[group], readers[group] = set(), ()
        if group in beside:
            beside[group].update(near)

    for group in groups:
        renew(group)
    moved = {number for number, one in built.items() if one.folders() != kept[number].folders()}
    for number in moved.union(built).intersection(state.stale):
        for group in built[number].groups:
            renew(group)  # its rows were taken as they were when it became stale
    for number in moved:
        for group in built[number].groups:
            directories.setdefault(Facts(*state.group(group)[0]).at, group)
    for directory in sorted(searched):
        begin(directory, _present(directories.get(os.path.dirname(directory))))
    numbered = dict(built)
    for number in moved:
        folders = sorted(built[number].folders())
        for directory in folders:
            begin(directory, built[number].groups)
        numbered[number] = built[number]._replace(groups=tuple(directories[directory] for directory in folders))
    looked: dict[int, Looked] = {}
    for group, draft in drafts.items():
        for number in {*readers[group], *(number for number, one in numbered.items() if group in one.groups)}:
            if number not in looked:
                looked[number] = Looked(numbered.get(number) or kept[number])
            draft.add(number, looked[number], trusted=number in numbered)
    rows = {group: draft.row(root, began, searched=request.watch is None) for group, draft in drafts.items()}
    return Entry(
        {
            group: (row.number, row.paths, row.record, tuple(sorted(beside.get(group, ()))))
            for group, row in rows.items()
        },
        {number: marshal.dumps(one.to_data()) for number, one in numbered.items()},
        (tuple(sorted(stale - state.stale)), tuple(sorted(state.stale - stale))),
        tuple(sorted(number for number, one in built.items() if one.key != kept[number].key)),
        (request.key, told),
        patch,
    )


def now() -> int:
    """The time in ns, as rows are compared with it."""
    return time.time_ns()


def _present(group: int | None) -> tuple[int, ...]:
    return () if group is None else (group,)
