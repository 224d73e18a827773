"""What every action of a plan is made of, with files by git's names for their content: nothing is built or hashed.

It is the walk that makes a key (`engine.key`). What a dependency makes is not known, so what it is made of stands for
it: two plans agree in a shape where their keys would, but for early cutoff.
"""

import os
import stat
from collections.abc import Callable, Mapping

from buildrules.engine.action import Outputs, SourceFile, SourceSet
from buildrules.engine.key import Walker
from buildrules.engine.plan import Plan
from buildrules.engine.step import Dependency, Step
from buildrules.typed import NamedTuple
from buildrules.workspace.globs import expand


class Shape(NamedTuple):
    """`key` is a digest of what the walk of an action saw, `sees`, and of what is below."""

    key: str
    sees: Mapping[str, str]


Content = Callable[[str], "tuple[str, int] | None"]
"""Workspace-relative path of a file, with no link in it -> a name of its content, and its size; None: left out."""


def shapes(plan: Plan, root: str, content: Content, version: Callable[[str], int | str]) -> dict[str, Shape]:
    """The shapes of the actions that the goals need, by id, each after what it needs.

    Empty folders are left out: git has none. Raises ActionError and LoadError as `expand` does.
    """
    walker = Walker()
    found: dict[str, Shape] = {}
    made: dict[str, Outputs] = {}
    read: dict[SourceSet, list[SourceFile]] = {}
    for name in plan.needed():
        action = plan.actions[name]
        for source in action.sources:
            if source not in read:
                read[source] = list(_files(root, source, content))
        roles = action.roles or ("",) * len(action.deps)
        deps = [Dependency(role, made[dep]) for role, dep in zip(roles, action.deps, strict=True)]
        sources = [read[source] for source in action.sources]
        listing = walker.walk(Step(action.kind, version(action.kind), "", action.params, sources, deps))
        found[name] = Shape(listing.key(), listing.sees)
        made[name] = Outputs(values={"made of": found[name].key})
    return found


def _files(root: str, source: SourceSet, content: Content) -> "list[SourceFile]":
    keep = source.layer_prefix is not None
    rows = []
    real: dict[str, str] = {}
    for path, name, status in expand(root, source.directory, source.include, source.exclude, keep)[0]:
        if stat.S_ISLNK(status.st_mode):
            link = os.readlink(os.path.join(root, path))
            rows.append(SourceFile(path, name, 0, 0o777, "", link=link))
            continue
        if stat.S_ISDIR(status.st_mode):
            continue
        folder, _, last = path.rpartition("/")
        if folder not in real:
            real[folder] = os.path.relpath(os.path.realpath(os.path.join(root, folder)), root)
        place = os.path.normpath(os.path.join(real[folder], last))
        if os.path.islink(os.path.join(root, place)):
            place = os.path.relpath(os.path.realpath(os.path.join(root, place)), root)
        known = content(place)
        if known is not None:
            mode = 0o755 if status.st_mode & 0o100 else 0o644
            rows.append(SourceFile(path, name, known[1], mode, known[0]))
    return rows
