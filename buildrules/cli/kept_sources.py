"""Which goals of a workspace are made of which files, as the last plan of all had it: what a changed source touches.

While nothing that decides the plan has changed, and none of it is among the changes in question, both sides of a change
have this plan.
"""

import marshal
import os

from buildrules.cli.kept_rows import keep, kept
from buildrules.state.reader import ACTION, UNREADABLE
from buildrules.typed import TYPE_CHECKING, NamedTuple
from buildrules.workspace.root import BUILD_FILE, MISSPELT, VENV_MARK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from buildrules.cli.revision import Side

_NAMES = frozenset({BUILD_FILE, VENV_MARK, *MISSPELT})


class KeptSources(NamedTuple):
    """`goals` are their labels; `sets` the source sets by their directory, each with the numbers of goals it is in.

    `read` are the files that decide the plan by what they say, `looked_at` those that do by being there; `listed` the
    directories of which it mattered what they hold; `linked` those that links lead to.
    """

    goals: list[str]
    sets: dict[str, list[tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]]]
    read: frozenset[str]
    looked_at: frozenset[str]
    listed: frozenset[str]
    linked: tuple[str, ...]

    def touched(self, paths: "Iterable[str]", in_place: "Collection[str]") -> list[str] | None:
        """The goals that have one of these files, sorted; None where that does not say all.

        Those `in_place` are files that were files before.
        """
        from buildrules.workspace.globs import selects

        found: set[int] = set()
        for path in paths:
            directory, _, name = path.rpartition("/")
            if path in self.looked_at and path not in in_place:
                return None
            if name in _NAMES or path in self.read or directory in self.listed or path.startswith(self.linked):
                return None
            inside = name
            while True:
                for include, exclude, goals in self.sets.get(directory, ()):
                    if not found.issuperset(goals) and selects(inside, include, exclude):
                        found.update(goals)
                if not directory:
                    break
                directory, _, last = directory.rpartition("/")
                inside = f"{last}/{inside}"
        return [self.goals[number] for number in sorted(found)]


def sources_of_workspace(
    root: str, prefix: str, configurations: "Sequence[str]" = (), *, testing: bool
) -> KeptSources | None:
    """What was kept for these configurations, while it holds. `prefix` leads from the current directory to the
    workspace."""
    state = kept(root, prefix, _ending(testing), configurations)
    if state is None:
        return None
    try:
        return KeptSources(*marshal.loads(state.raw(ACTION, 1)))  # noqa: S302 - made here, and checked
    except UNREADABLE:
        return None


def keep_sources(side: "Side", began: int, *, testing: bool) -> KeptSources:
    """Keep what a plan of all targets, as they lie here, says; returns it."""
    from buildrules.cli.looked_at import inputs_of
    from buildrules.graph.model import ACTION as NODE
    from buildrules.workspace.globs import expand

    prepared, plan, root = side.prepared, side.plan, side.root
    settings = prepared.loaded.workspace.settings
    facts = inputs_of(root, began, prepared.disk, prepared.keeper.digests, list(settings.plugins)).facts
    labels = sorted({goal.label for goal in plan.goals}, key=lambda label: label[2:].split(":"))
    numbers = {label: number for number, label in enumerate(labels)}
    users: dict[tuple[str, tuple[str, ...], tuple[str, ...]], set[int]] = {}
    linked: set[str] = set()
    for goal in plan.goals:
        for name in plan.graph.order([goal.action], NODE):
            for source in plan.actions[name].sources:
                key = (source.directory, source.include, source.exclude)
                if key not in users:
                    users[key] = set()
                    for path, _, _ in expand(root, *key, source.layer_prefix is not None)[0]:
                        real = os.path.relpath(os.path.realpath(os.path.join(root, path)), root)
                        if real != path:
                            linked.add(real)
                users[key].add(numbers[goal.label])
    sets: dict[str, list[tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]]] = {}
    for (directory, include, exclude), goals in users.items():
        sets.setdefault(directory, []).append((include, exclude, tuple(sorted(goals))))
    read = frozenset(os.path.join(one.at, name) for one in facts.values() for name in one.files)
    looked_at = frozenset(os.path.join(one.at, name) for one in facts.values() for name in one.shapes if name)
    listed = {one.at for one in facts.values() if one.names is not None}
    above = {os.path.dirname(path) + "/" for path in linked}
    row = (labels, sets, read, looked_at, frozenset(listed), tuple(sorted(above)))
    keep(root, _ending(testing), began, facts, settings.ignore, [marshal.dumps(row)], prepared.options.configurations)
    return KeptSources(*row)


def _ending(testing: bool) -> str:
    return "tests" if testing else "sources"
