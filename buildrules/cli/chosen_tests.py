"""Which tests a command line of `test` means, where it does not mean all: those that a change touches, or failed, or a
part of them."""

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

from buildrules.authoring.paths import display
from buildrules.errors import UsageError
from buildrules.workspace.root import read_file


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
    timings: Sequence[str] = (),
    configurations: tuple[str, ...] = (),
    platform: str | None = None,
) -> Chosen:
    """`timings` are reports of tests to divide by (else by requests). Raises UsageError, and what `affected` raises."""
    from buildrules.cli.affected import Asked, affected
    from buildrules.cli.kept_targets import targets_of_workspace
    from buildrules.cli.query import check_patterns
    from buildrules.cli.took import failed_tests
    from buildrules.revisions.affected import shards
    from buildrules.workspace.labels import parse_label, parse_patterns

    known = targets_of_workspace(root, root + "/", configurations)
    targets = known.targets
    check_patterns(known, patterns, directory)
    meant = parse_patterns(patterns, directory)
    asks: dict[str, int] = {}  # how many requests a test has
    for number in targets.written:
        label = targets.labels[number]
        provides, _, _, values, _, _ = targets.detail(number)
        own, package = parse_label(label), parse_label(targets.package(number))
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
        took = seconds_in(timings) if timings else {label: float(asks[label]) for label in labels}
        labels = shards(labels, count, took)[number - 1]
        why = f"{why} in part {number} of {count}"
    return Chosen(labels, why)


def seconds_in(paths: Sequence[str]) -> dict[str, float]:
    """Seconds by label, of the tests in files that `test --json` printed. Raises UsageError."""
    took: dict[str, float] = {}
    for path in paths:
        try:
            for test in json.loads(read_file(path))["tests"]:
                if "seconds" in test:  # it passed, now or before
                    label, seconds = str(test["label"]), float(test["seconds"])
                    if not 0 <= seconds < math.inf:
                        raise ValueError
                    took[label] = max(took.get(label, 0.0), seconds)
        except OSError as error:
            raise UsageError(
                f"cannot read '{display(path)}': {(error.strerror or str(error)).lower()}",
                hint="parts that other jobs divide otherwise would leave tests out; without --timings requests count",
            ) from error
        except (ValueError, TypeError, LookupError, RecursionError):
            raise UsageError(
                f"'{display(path)}' is no report of tests", hint="buildrules test //... --json > timings.json"
            ) from None
    return took


def shard_of(text: str) -> tuple[int, int]:
    """Read "2/5". Raises UsageError."""
    number, slash, count = text.partition("/")
    if slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit() and len(count) < 5:
        one, other = int(number), int(count)
        if 1 <= one <= other:
            return one, other
    raise UsageError(f"'{text}' is no part of tests", hint="write 1/4 for the first of four parts")
