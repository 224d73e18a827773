"""Answers `query` from the targets that are kept. Where nothing changed, imports are what takes the time: few."""

from buildrules.cli.kept_targets import KeptTargets, targets_of_workspace
from buildrules.errors import UsageError
from buildrules.graph.evaluate import Names, evaluate
from buildrules.graph.targets import Targets
from buildrules.workspace.root import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OUTPUTS = ("label_kind", "label", "json", "graph", "mermaid", "build", "inputs")


def answer(expression: str, output: str, configurations: "Sequence[str]" = ()) -> str:
    """What `query` prints for an expression ("" is all targets) in these configurations.

    Raises UsageError and LoadError.
    """
    root, directory, prefix = here()
    known = targets_of_workspace(root, prefix, configurations)
    names = Names(
        lambda word: select(known, word, directory),
        lambda numbers: _inputs(root, known.targets, numbers, configurations),
    )
    found = evaluate(expression or "//...", known.targets, names)
    targets = known.targets
    if output == "inputs":
        if any(isinstance(item, str) for item in found):
            raise UsageError("--output inputs is for targets", hint="--output label prints files")
        found = list(names.inputs([item for item in found if isinstance(item, int)]))
    elif output not in ("label", "label_kind"):
        from buildrules.cli.query_output import WRITERS

        return WRITERS[output](targets, found)
    wide = output == "label_kind"
    hidden = len(targets.written)
    lines = []
    for item in found:
        if isinstance(item, str):
            lines.append(item)
        elif item < hidden:
            lines.append(f"{targets.labels[item]}  {targets.rules[item]}" if wide else targets.labels[item])
    if not "".join(lines).isprintable():
        from buildrules.cli.harmless import in_lines

        return in_lines(lines)
    return "".join(f"{line}\n" for line in lines)


def select(known: KeptTargets, word: str, directory: str) -> "Sequence[int]":
    """The targets that a pattern names, written in the package `directory`. Raises UsageError where there are none."""
    targets = known.targets
    if word == "//..." and targets.written:
        return targets.written
    from buildrules.workspace.labels import parse_pattern

    pattern = parse_pattern(word, directory)
    if pattern.exclude:
        raise UsageError(f"'{word}' leaves targets out", hint="write EXPR - PATTERN")
    labels = targets.labels
    if pattern.name is not None:
        text = f"//{pattern.package}:{pattern.name}"
        found = [number for number in targets.written if labels[number] == text]
    else:
        start = f"//{pattern.package}:"
        below = (start, f"//{pattern.package}/" if pattern.package else "//") if pattern.below else start
        found = [number for number in targets.written if labels[number].startswith(below)]
    if not found:
        from buildrules.analysis.targets import hint_for
        from buildrules.workspace.labels import parse_label

        every = [parse_label(labels[number]) for number in targets.written]
        hint = hint_for(pattern.package, pattern.name, every, known.packages)
        raise UsageError(f"no target matches '{pattern}'", hint=hint)
    return found


def check_patterns(known: KeptTargets, patterns: "Sequence[str]", directory: str) -> None:
    """Raise UsageError for a pattern that names nothing, unless it leaves targets out."""
    for pattern in patterns:
        if not pattern.startswith("-"):
            select(known, pattern, directory)


def _inputs(root: str, targets: Targets, numbers: "Sequence[int]", configurations: "Sequence[str]") -> list[str]:
    from buildrules.guest.inputs import opened

    named = [number for number in numbers if number in targets.written]
    made = [number for number in named if targets.detail(number)[0] in ("package", "base", "env")]
    return opened(
        root, [targets.labels[number] for number in made or named], configurations
    )  # parts come with what they are parts of
