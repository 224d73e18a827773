"""Which tests a command line of `test` means, where it does not mean all: those that a change touches, or failed, or a
part of them."""

from typing import NamedTuple

from buildrules.errors import UsageError


class Chosen(NamedTuple):
    """`labels` of tests, and of packages for the tests that they have of themselves; `why` is what people call them."""

    labels: list[str]
    why: str


def chosen(
    root: str,
    directory: str,
    patterns: list[str],
    *,
    since: str | None,
    failed: bool,
    shard: tuple[int, int] | None,
    configurations: tuple[str, ...] = (),
    platform: str | None = None,
) -> Chosen:
    """Raises UsageError, and what `affected` raises."""
    from buildrules.cli.affected import Asked, affected
    from buildrules.cli.kept_targets import targets_of_workspace
    from buildrules.cli.query import select
    from buildrules.cli.took import failed_tests
    from buildrules.revisions.affected import shards
    from buildrules.workspace.labels import parse_label, parse_patterns

    known = targets_of_workspace(root, root + "/", configurations)
    targets = known.targets
    for pattern in patterns:
        if not pattern.startswith("-"):
            select(known, pattern, directory)
    meant = parse_patterns(patterns, directory)
    asks: dict[str, int] = {}  # how many requests a test has
    for number in targets.written:
        label = targets.labels[number]
        provides, _, _, values, _, _ = targets.detail(number)
        own = parse_label(label)
        package = parse_label(str(values["package"])) if provides == "test" else own
        left_out = any(pattern.matches(own) for pattern in meant.excludes)
        if provides in ("package", "test") and not left_out and (meant.matches(own) or meant.matches(package)):
            asks[label] = len(values.get("requests") or ()) or 1
    labels, why = list(asks), "tests"
    if since is not None:
        asked = Asked(["//..."], since, False, True, configurations, platform)
        touched = set(affected(asked).labels)
        labels, why = [label for label in labels if label in touched], f"tests affected since {since}"
    if failed:
        before = set(failed_tests(root))
        labels, why = [label for label in labels if label in before], "tests that failed before"
    if shard is not None:
        number, count = shard
        labels = shards(labels, count, {label: float(asks[label]) for label in labels})[number - 1]
        why = f"{why} in part {number} of {count}"
    return Chosen(labels, why)


def shard_of(text: str) -> tuple[int, int]:
    """Read "2/5". Raises UsageError."""
    number, slash, count = text.partition("/")
    if slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit() and len(count) < 5:
        one, other = int(number), int(count)
        if 1 <= one <= other:
            return one, other
    raise UsageError(f"'{text}' is no part of tests", hint="write 1/4 for the first of four parts")
