"""What a green build looked at and made, as the state of its workspace keeps it.

A group holds the paths of one directory: files that actions read, what the plan looked at, and the directory itself
where it mattered which names it holds. Actions and groups go by number.
"""

import marshal
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from buildrules.engine.action import SourceFile
from buildrules.engine.inputs import Facts, no_facts
from buildrules.engine.kept import KeptAction
from buildrules.state.reader import State
from buildrules.state.rows import RACY, RACY_NS, Stat, fold, modified, row_of
from buildrules.state.writer import Base, GroupRow, joined


class Draft:
    """A group that is being put together."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.actions: set[int] = set()
        self._listed = facts.names is not None or "" in facts.shapes  # otherwise than by the search for packages
        self._searched = facts.searched is not None
        self._looks = {facts.rows[""]} if "" in facts.rows else set()  # of the directory, each from before a listing
        self._files: dict[str, Stat | None] = {}  # by workspace-relative path
        self._planned: dict[str, Stat | None] = {}  # of what the plan looked at
        self._stale: set[str] = set()
        for name in {*facts.files, *facts.shapes} - {""}:
            absent = facts.shapes.get(name) == "nothing" and name not in facts.files
            if not (absent and self._listed):  # what is not there is answered for by the directory's own row
                self._planned[os.path.join(facts.at, name)] = facts.rows.get(name)

    def add(self, number: int, looked: "Looked", *, trusted: bool = True) -> None:
        """Take what an action looked at here; without `trusted` its rows are those of now, for it is not up to date."""
        files = looked.files.get(self.facts.at)
        if self.facts.at in looked.listed:
            self._listed = True
            self.actions.add(number)
            if trusted:
                self._looks |= looked.listed[self.facts.at]
        for file in files or ():
            self.actions.add(number)
            if not trusted:
                self._stale.add(file.path)
            elif self._files.setdefault(file.path, self._planned.get(file.path, file.stat)) != file.stat:
                self._files[file.path] = None  # it changed between the two looks

    def row(self, root: str, began: int, *, searched: bool = True) -> GroupRow:
        """As it is written. What was modified after `began` (ns), or shortly before, is not trusted, nor what changed
        between two looks at it.

        Without `searched` nobody looked whether the directory still means the same to the search for packages: then
        it is trusted for those only whom that does not concern.
        """
        rows: list[tuple[str, Stat | None]] = []
        racy = unsure = False
        if self._searched or self._listed:
            row, *others = self._looks or {row_of(os.path.join(root, self.facts.at))}
            seen = self._searched or self.facts.names is not None or "" in self.facts.shapes
            unsure = bool(others) or (seen if row is None else modified(row, began) > began - RACY_NS)
            rows.append((self.facts.at or ".", row))
        skip = int(self._searched and not self._listed)
        racy = unsure and not skip
        for path in sorted({*self._files, *self._planned, *self._stale}):
            if path in self._files:
                row = self._files[path]
                racy = racy or row is None
            else:
                row = self._planned[path] if path in self._planned else row_of(os.path.join(root, path))
                if row is None:
                    name = os.path.basename(path)  # of what was there when it was looked at, perhaps
                    racy = racy or name in self.facts.files or self.facts.shapes.get(name) == "file"
                else:
                    racy = racy or modified(row, began) > began - RACY_NS
            rows.append((path, row))
        own = RACY if racy else fold(row for _, row in rows[skip:])
        unsure = racy or unsure or (self._searched and not searched)
        number = RACY if unsure else fold(row for _, row in rows)
        paths = joined(os.fsencode(path) for path, _ in rows)
        return GroupRow(paths, number, marshal.dumps((tuple(self.facts), tuple(sorted(self.actions)), own, skip)))


class Looked:
    """What an action looked at, by directory: its files, and the directories that were searched for them with the rows
    that they had before.
    """

    def __init__(self, one: KeptAction) -> None:
        self.files: dict[str, list[SourceFile]] = {}
        self.listed: dict[str, set[Stat | None]] = {}
        for files, directories in one.seen:
            for directory, row in directories.items():
                self.listed.setdefault(directory, set()).add(row)
            for file in files:
                self.files.setdefault(os.path.dirname(file.path), []).append(file)

    def folders(self) -> list[str]:
        """All of these directories, sorted."""
        return sorted({*self.listed, *self.files})


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
                drafts[directory] = Draft(no_facts(directory))
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


class Drafts:
    """The groups that one build changed, or was the first to need. `found` are facts newer than those of the state.

    By number of a group `groups` are its drafts, `readers` the actions that looked at it, and `beside`, of new ones,
    the groups that they came beside; `directories` are the numbers of groups by directory.
    """

    def __init__(self, state: State, found: Mapping[str, Facts]) -> None:
        self._state = state
        self._found = found
        self.groups: dict[int, Draft] = {}
        self.readers: dict[int, tuple[int, ...]] = {}
        self.beside: dict[int, set[int]] = {}
        self.directories: dict[str, int] = {}

    def renew(self, group: int) -> None:
        """Put a group of the state together anew."""
        if group not in self.groups:
            values, self.readers[group] = self._state.group(group)
            facts = Facts(*values)
            self.groups[group] = Draft(self._found.get(facts.at, facts))
            self.directories[facts.at] = group

    def begin(self, directory: str, near: Iterable[int]) -> int:
        """The number of the group of a directory, a new one that came beside those `near` if it has none."""
        group = self.directories.get(directory)
        if group is None:
            group = self.directories[directory] = self._state.group_count + len(self.beside)
            self.groups[group] = Draft(self._found.get(directory) or no_facts(directory))
            self.beside[group], self.readers[group] = set(), ()
        if group in self.beside:
            self.beside[group].update(near)
        return group

    def begin_searched(self) -> None:
        """Begin groups for the directories that were searched for the first time."""
        for directory in sorted(self._found):
            above = self.directories.get(os.path.dirname(directory))
            self.begin(directory, () if above is None else (above,))


def now() -> int:
    """The time in ns, as rows are compared with it."""
    return time.time_ns()
