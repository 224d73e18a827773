"""What `buildrules why` says against something else than the last build: a git revision, or the nearest record."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from buildrules.actions.registry import Kinds
from buildrules.cli.invocation import Invocation
from buildrules.cli.revision import Comparing, at
from buildrules.engine import kind
from buildrules.engine.action import Action
from buildrules.engine.changes import INPUT, Names, differences
from buildrules.engine.inspection import Need, inspect
from buildrules.engine.kept import Kept
from buildrules.engine.key import walk
from buildrules.engine.plan import Plan
from buildrules.net.session import Session
from buildrules.revisions.working import Differing, changes
from buildrules.state.location import identity, state_path
from buildrules.state.reader import UNREADABLE, open_state
from buildrules.store.store import Store

_LINES = 5
_CHOSEN = ("platform", "configurations")
"""The options that decide what a plan is."""


def since_lines(
    root: str, directory: str, patterns: list[str], revision: str, options: Mapping[str, Any]
) -> Iterator[str]:
    """How the steps of a target differ from those at a git revision. Raises as `Comparing` does."""
    verbose = bool(options["verbose"])
    with contextlib.closing(Session()) as session, contextlib.closing(Store()) as store:
        comparing = Comparing(root, directory, {name: options[name] for name in _CHOSEN}, store, session)
        with at(root, revision, store) as (tree, folder):
            there = comparing.there(patterns, tree, folder)
            looking = Differing(root, tree.commit)
            here = comparing.here(patterns, lambda: tree, changes(root, looking.paths()))
            actions = [action for side in (there, here) for action in side.plan.actions.values()]
            looking.check(source[:3] for action in actions for source in action.sources)
        yield from (f"{goal.label}  {goal.platform}  since {tree.commit[:12]}" for goal in here.plan.goals)
        same = following = 0
        for name, shape in here.shapes.items():
            action, old = here.plan.actions[name], there.shapes.get(name)
            if old == shape:
                same += 1
                continue
            if old is None:
                yield f"  + {action.title}"
                continue
            told = differences(
                action, dict(old.sees), dict(shape.sees), names_of(session.own(Kinds), here.plan, action)
            )
            own = [line for line in told if not line.startswith(INPUT)]
            following += not own
            if own or verbose:
                yield f"  ~ {action.title}"
                yield from _marked(own or told, verbose)
        yield from (f"  - {there.plan.actions[name].title}" for name in there.shapes if name not in here.shapes)
        if following and not verbose:
            yield f"  {following} more are other ones by that"
        yield f"  {same} steps are as they were"


class _Near(NamedTuple):
    """What was made once: whose it is, and what its key saw."""

    whose: str
    sees: Mapping[str, str]


def nearest_lines(invocation: Invocation, *, verbose: bool) -> Iterator[str]:
    """How each step that would run differs from what shares most with it, of this workspace or the shared cache."""
    findings = inspect(invocation.run, invocation.unlocked)
    running = [name for name, finding in findings.items() if finding.need is Need.RUN]
    configurations = invocation.request.option("configurations", ())
    known = _known(invocation.root, configurations, {invocation.plan.actions[name].kind for name in running})
    yield from (f"{goal.label}  {goal.platform}" for goal in invocation.plan.goals)
    for name in running:
        action, sees = invocation.plan.actions[name], findings[name].sees
        near = list(known.get(action.kind, ()))
        elsewhere = invocation.sharing.nearest(action.target, action.title) if invocation.sharing is not None else None
        if elsewhere is not None:
            near.append(
                _Near("in the shared cache" + f", by {elsewhere.writer}" * bool(elsewhere.writer), elsewhere.sees)
            )
        if not near:
            yield f"  {action.title}: would run; nothing like it was made here"
            continue
        found = max(near, key=lambda one: len(one.sees.items() & sees.items()))
        shared = len(found.sees.items() & sees.items())
        yield f"  {action.title}: would run; the nearest is {found.whose}, {shared} of {len(sees)} inputs are the same"
        told = differences(action, dict(found.sees), sees, names_of(invocation.kinds, invocation.plan, action))
        yield from _marked(told, verbose)
    rest = sum(finding.need in (Need.WAIT, Need.LOCK) for finding in findings.values())
    if rest:
        yield f"  {rest} depend on what is not known yet"
    if not running and not rest:
        yield "  nothing would run: every step has a record"


def _known(root: str, configurations: Sequence[str], kinds: set[str]) -> dict[str, list[_Near]]:
    """The actions of some kinds that the state of the workspace keeps."""
    found: dict[str, list[_Near]] = {}
    wanted = identity(root, tuple(configurations))
    state = open_state(state_path(root, wanted), wanted)
    if state is None:
        return found
    with contextlib.closing(state), contextlib.suppress(*UNREADABLE):
        kept = Kept(state)
        for number in range(state.action_count):
            action = kept[number].action
            if action.kind in kinds:
                one = _Near(f"'{action.title}' of {action.target}", walk(kept.step(number)).sees)
                found.setdefault(action.kind, []).append(one)
    return found


def names_of(kinds: kind.Kinds, plan: Plan, action: Action) -> Names:
    """What people call the parts of an action of a plan."""
    return Names(kinds.told(action.kind), [plan.actions[dep].title for dep in action.deps])


def _marked(lines: Sequence[str], verbose: bool) -> Iterator[str]:
    """Lines with `+` for what is new, `-` for what is gone, `~` for what is another."""
    marks = ("+" if line.endswith(" is new") else "-" if line.endswith(" is gone") else "~" for line in lines)
    return first_of([f"{mark} {line}" for mark, line in zip(marks, lines, strict=True)], verbose=verbose)


def first_of(lines: Sequence[str], *, verbose: bool) -> Iterator[str]:
    """Lines, indented; without `verbose` the first of them, and how many there are more."""
    yield from (f"      {line}" for line in (lines if verbose else lines[:_LINES]))
    if len(lines) > _LINES and not verbose:
        yield f"      and {len(lines) - _LINES} more (--verbose shows all)"
