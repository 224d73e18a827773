"""Which targets a command is about, and for which platforms."""

from collections.abc import Collection
from dataclasses import dataclass

from buildrules.analysis.loaded import Loaded
from buildrules.analysis.options import Options
from buildrules.errors import UsageError
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.labels import Label, Patterns, parse_patterns
from buildrules.workspace.tags import with_tags


@dataclass(frozen=True, slots=True)
class Selection:
    """`labels` of the targets, sorted; `named` are those that were given by their own label; `platforms` like
    "linux/amd64", in the order of the goals.
    """

    labels: tuple[Label, ...]
    named: frozenset[Label]
    platforms: tuple[str, ...]


def select(
    loaded: Loaded,
    patterns: list[str],
    directory: str,
    options: Options,
    only: Collection[str] | None = None,
) -> Selection:
    """What `patterns`, written in the workspace-relative `directory`, are about.

    With `only` nothing outside of these packages is selected. Raises UsageError for a pattern that names nothing, for a
    platform there is not, and where `options.done` wants packages that the patterns do not name.
    """
    parsed = parse_patterns(patterns, directory)
    if only is None:
        labels = loaded.select(parsed)
    else:
        labels = parsed.select([label for label in loaded.resolution.labels() if label.package in only])
    if options.test:
        labels = _with_tests(loaded, labels, parsed)
    if options.with_tags:
        labels = tagged(loaded, labels, options.with_tags, known=only is None)
    if options.done is not None and only is None:
        _check_packages(loaded, labels, patterns, options)
    named = frozenset(label for pattern in parsed.includes if (label := pattern.label) is not None)
    return Selection(tuple(labels), named, tuple(options.platforms(loaded.workspace.settings.platforms)))


def _check_packages(loaded: Loaded, labels: list[Label], patterns: list[str], options: Options) -> None:
    """Raise UsageError where no package is among the labels, or several are where one is wanted."""
    targets, names = loaded.resolution, " ".join(patterns)
    found = [str(label) for label in labels if targets.of(label).provides == "package"]
    alone = all(targets.of(label).provides in ("base", "env") for label in labels)  # of others the plan says why not
    if not found and alone:
        on = [str(one) for one in targets.labels("package") if not targets.needed([one]).isdisjoint(labels)]
        ways = f"a package that is made of it: {_some(on)}" if on else "a model_package target"
        raise UsageError(f"'{names}' names no package that could be {options.done}", hint=f"name {ways}")
    if options.one and len(found) > 1:
        raise UsageError(f"'{names}' names {len(found)} packages: {_some(found)}", hint="name one")


def _some(labels: list[str]) -> str:
    return ", ".join(labels[:4]) + (f" and {len(labels) - 4} more" if len(labels) > 4 else "")


def _with_tests(loaded: Loaded, labels: list[Label], patterns: Patterns) -> list[Label]:
    """The labels, and the test targets of the selected packages unless they were left out."""
    chosen = set(labels)
    for test in tests_of(loaded):
        left_out = any(pattern.matches(test.label) for pattern in patterns.excludes)
        if test.deps["package"][0] in chosen and not left_out:
            chosen.add(test.label)
    return sorted(chosen)


def tagged(loaded: Loaded, labels: list[Label], tags: Collection[str], *, known: bool = True) -> list[Label]:
    """Those of the labels that have one of the `tags`, and none of those behind a minus. A test has its package's, too.

    Raises UsageError for a tag that no target has, where all targets are `known`.
    """
    own = {}
    for label in labels:
        target = loaded.resolution.of(label)
        packages = target.deps["package"] if target.provides == "test" else ()
        own[label] = set(target.tags).union(*(loaded.resolution.of(package).tags for package in packages))
    everyone = {tag for target in loaded.resolution.targets.values() for tag in target.tags}
    return with_tags(labels, tags, own, everyone if known else None)


def tests_of(loaded: Loaded) -> list[ResolvedTarget]:
    """All test targets of the workspace."""
    return [loaded.resolution.of(label) for label in loaded.resolution.labels("test")]
