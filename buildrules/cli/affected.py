"""Says what a change touches: the quick way, where only sources differ, or by planning both sides of it."""

from buildrules.cli.kept_sources import KeptSources, sources_of_workspace
from buildrules.errors import LockError, UsageError
from buildrules.revisions.git import commit_of
from buildrules.revisions.working import Differing
from buildrules.typed import TYPE_CHECKING, Any, NamedTuple
from buildrules.workspace.root import here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildrules.graph.targets import Targets
    from buildrules.revisions.affected import Made

_ATTRIBUTES = "a .gitattributes differs: files are compared as git keeps them, and it may lay them out otherwise now"


class Asked(NamedTuple):
    """A question: of which patterns, since which revision, what of it counts."""

    patterns: list[str]
    since: str
    committed: bool = False
    testing: bool = False  # tests, instead of what is built
    configurations: tuple[str, ...] = ()
    platform: str | None = None  # instead of those of the workspace
    tags: tuple[str, ...] = ()  # only targets with one of them, and none with one behind a minus


class Answer(NamedTuple):
    """Labels, sorted, of the workspace at `root`. `reasons` are lines that say why, of those that were asked for.

    `tests` has the tests that would run again and their packages, where they were asked for beside what is built.
    """

    labels: list[str]
    reasons: list[str]
    root: str
    tests: dict[str, str] | None = None


def affected(asked: Asked, why: "Sequence[str]" = ()) -> Answer:
    """What differs since a revision, as it lies here or at HEAD. Raises UsageError, LoadError, LockError."""
    root, directory, prefix = here()
    ranged = ".." in asked.since or asked.since.startswith("^")  # git diff would take them, and mean something else
    since = commit_of(root, asked.since) if ranged else asked.since
    looking = Differing(root, since, "HEAD" if asked.committed else None)
    plain = asked.platform is None  # what is kept is of the platforms of the workspace
    known = sources_of_workspace(root, prefix, asked.configurations, testing=asked.testing) if plain else None
    paths = looking.paths()
    if any(path.rpartition("/")[2] == ".gitattributes" for path in paths):
        from buildrules.cli.console import Console
        from buildrules.engine.events import Notice

        Console()(Notice(_ATTRIBUTES, warning=True))
    labels = None if known is None or why else _touched(root, known, asked, looking, paths)
    if labels is not None:
        return Answer(_named(root, prefix, directory, asked, labels), [], root)
    return _compared(root, directory, asked, commit_of(root, since), looking, paths, why)


def with_affected_tests(answer: Answer, asked: Asked) -> Answer:
    """The answer, and the tests that would run again. Raises what `affected` raises."""
    from buildrules.cli.kept_targets import targets_of_workspace

    labels = set(affected(asked._replace(testing=True)).labels)
    targets = targets_of_workspace(answer.root, answer.root + "/", asked.configurations).targets
    numbers = [number for number in targets.written if targets.labels[number] in labels]
    return answer._replace(tests={targets.labels[number]: targets.package(number) for number in numbers})


def _touched(
    root: str, known: KeptSources, asked: Asked, looking: Differing, paths: "Sequence[str]"
) -> list[str] | None:
    """The labels, where both sides have the plan that is `known`; None where they may not."""
    labels = None if looking.links else known.touched(paths, looking.in_place)
    if labels is not None and asked.committed:  # what is known is of the files here: HEAD must have the same plan
        rest = Differing(root, "HEAD")
        labels = None if known.touched(rest.paths(), rest.in_place) is None or rest.links else labels
    if labels is not None:
        looking.check((at, *one[:2]) for at, rows in known.sets.items() for one in rows)
    return labels


def _named(root: str, prefix: str, directory: str, asked: Asked, labels: list[str]) -> list[str]:
    """Those of the labels that the patterns name. Raises UsageError where one names nothing at all."""
    from buildrules.workspace.labels import parse_label, parse_patterns

    if asked.patterns == ["//..."] and not asked.tags:
        return labels
    from buildrules.cli.kept_targets import targets_of_workspace
    from buildrules.cli.query import check_patterns

    known = targets_of_workspace(root, prefix, asked.configurations)
    check_patterns(known, asked.patterns, directory)
    found = parse_patterns(asked.patterns, directory).select(list(map(parse_label, labels)))
    return _tagged(known.targets, list(map(str, found)), asked.tags) if asked.tags else list(map(str, found))


def _tagged(targets: "Targets", labels: list[str], tags: "Sequence[str]") -> list[str]:
    """As `analysis.selection.tagged`, of targets as they are kept."""
    from buildrules.workspace.tags import with_tags

    numbers = {targets.labels[number]: number for number in targets.written}
    tagged = {label: set(targets.detail(number)[3].get("tags") or ()) for label, number in numbers.items()}
    own = {
        label: tagged[label] | tagged[targets.package(numbers[label])] if label in numbers else set()
        for label in labels
    }
    return with_tags(labels, tags, own, set().union(*tagged.values()))


def _compared(
    root: str,
    directory: str,
    asked: Asked,
    commit: str,
    looking: Differing,
    paths: "Sequence[str]",
    why: "Sequence[str]",
) -> Answer:
    """The exact way: both sides are planned, and what their actions are made of is compared.

    Where only sources differ, one side is enough, and is kept for the next question.
    """
    from buildrules.cli.console import Console
    from buildrules.cli.kept_sources import keep_sources
    from buildrules.cli.revision import Comparing, at
    from buildrules.engine.remember import now
    from buildrules.net.session import Session
    from buildrules.revisions.affected import affected as differ
    from buildrules.revisions.working import changes
    from buildrules.store.store import Store

    options: dict[str, Any] = {"configurations": asked.configurations, "platform": asked.platform}
    options |= {"test": True} if asked.testing else {}
    store, session, console = Store(), Session(), Console()
    try:
        comparing = Comparing(root, directory, options, store, session, console)
        if not asked.committed:
            began, differing = now(), changes(root, paths)
            try:
                side = comparing.here(["//..."], lambda: tree, differing)
                if asked.platform is None:
                    known = keep_sources(side, began, testing=asked.testing)
                    labels = None if why else _touched(root, known, asked, looking, paths)
                    if labels is not None:
                        return Answer(_named(root, root + "/", directory, asked, labels), [], root)
            except LockError:
                side = comparing.here(asked.patterns, lambda: tree, differing)  # the locks of others do not matter
        with at(root, commit, store) as (tree, folder):
            if asked.committed:
                with at(root, "HEAD", store) as (later, other):
                    after = comparing.there(asked.patterns, later, other).made
            else:
                after = side.made
            before = comparing.before(tree, folder, {label for label, _ in after.goals()})
            looking.check(
                source[:3]
                for made in (before, after)
                for action in made.plan.actions.values()
                for source in action.sources
            )
    finally:
        console.close()
        session.close()
        store.close()
    labels = _named(root, root + "/", directory, asked, differ(before, after))
    return Answer(labels, [line for label in why for line in _reasons(before, after, label, asked)], root)


def _reasons(before: "Made", after: "Made", label: str, asked: Asked) -> list[str]:
    from buildrules.actions.params import TOLD
    from buildrules.engine.changes import Names, differences
    from buildrules.revisions.affected import changed_actions

    label = next((goal for goal, _ in after.goals() if goal in (label, f"//{label.lstrip('/')}")), label)
    if label not in {goal for goal, _ in after.goals()}:
        known = sorted({goal for goal, _ in after.goals()})
        from buildrules.workspace.suggest import did_you_mean

        raise UsageError(f"nothing is built for '{label}'", hint=did_you_mean(label, known))
    lines = []
    for name, old in changed_actions(before, after, label):
        action = after.plan.actions[name]
        lines.append(f"  {action.title}{'' if old else ': new'}")
        if old is not None:
            names = Names(TOLD.get(action.kind, {}), [after.plan.actions[dep].title for dep in action.deps])
            found = differences(action, dict(before.shapes[old].sees), dict(after.shapes[name].sees), names)
            lines += [f"      {line}" for line in found if '"made of"' not in line]
    return [f"{label}: {'changed' if lines else 'not affected'} since {asked.since}", *lines]
