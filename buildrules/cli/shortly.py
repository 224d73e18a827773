"""Command lines that only ask, without click, whose import takes longer than their answers."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def shortly(argv: list[str]) -> int | None:
    """Answer a `query` or an `affected` of few plain options; None where there is more to a command line.

    Raises what the answers and `write` raise.
    """
    ask = {"query": _query, "affected": _affected}[argv[0]](argv[1:])
    if ask is None:
        return None
    try:
        return write(ask())
    except KeyboardInterrupt:
        sys.stderr.write("\nerror: interrupted\n")
        return 130


def _query(argv: list[str]) -> "Callable[[], str] | None":
    from buildrules.cli import query

    found = _given(argv, ("output",))
    output = found[1].get("output", query.OUTPUTS[0]) if found else ""
    if found is None or output not in query.OUTPUTS:
        return None
    expression = " ".join(found[0])
    return lambda: query.answer(expression, output)


def _affected(argv: list[str]) -> "Callable[[], str] | None":
    found = _given(argv, ("output", "since"))
    if found is None or found[1].get("output", "labels") != "labels" or not found[1].get("since"):
        return None
    from buildrules.cli.affected import Asked, affected

    asked = Asked(found[0] or ["//..."], found[1]["since"])
    return lambda: "".join(f"{label}\n" for label in affected(asked).labels)


def _given(argv: list[str], options: tuple[str, ...]) -> "tuple[list[str], dict[str, str]] | None":
    """The words and the values of `options`, which have one; None where there is another option."""
    words: list[str] = []
    values: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if word == "-o" or (word.startswith("--") and name in options and not equals):
            name, value = "output" if word == "-o" else name, next(rest, "")
        elif word[:1] == "-" and not (word.startswith("--") and equals and name in options):
            return None
        elif not word.startswith("--"):
            words.append(word)
            continue
        values[name] = value
    return words, values


def write(text: str) -> int:
    """Print an answer; the exit code. Raises UnheardError where nobody hears it."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        from buildrules.cli.output import unheard

        raise unheard(sys.stdout, error) from error
    return 0
