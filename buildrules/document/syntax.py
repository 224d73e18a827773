"""Why a text is no YAML, in plainer words than those of PyYAML's parser."""

import re
from typing import Any

from buildrules.document.source import Source
from buildrules.errors import LoadError, Position

STRAY = "an unquoted `*` or `&` begins an alias or anchor", 'a text that starts with * or & needs quotes: "*.py"'
"""Message and hint."""
_NO_VALUE = {
    ":": 'a label that starts with a colon needs quotes inside braces or brackets: ":name"',
    ",": "nothing stands before this comma",
    "": "a `{` or `[` is not closed",
}
"""Hints about what stands inside braces where a value is expected: by its first character, "" for the end."""
_UNSPACED = re.compile(r"\s*(?:- )?[\w-]+:[^\s/]")


def syntax_error(source: Source, error: Any) -> LoadError:
    """The error for what the parser raised, a `yaml.MarkedYAMLError`."""
    mark = error.problem_mark or error.context_mark
    position = _marked(source, mark)
    problem = str(error.problem or error.context or "cannot be read").lower()
    context = str(error.context)
    here = source.text[mark.index : mark.index + 1] if mark else ""
    hint = None
    if context.startswith("while increasing"):  # libyaml's own bound: it reads ahead of the events it gives out
        problem = "this is nested too deeply"
    elif "cannot start any token" in problem:
        hint = "indent with spaces, and quote texts that start with % @ or `"
    elif "mapping values are not allowed" in problem:
        hint = "a `: ` inside a text needs quotes around the text; or the line is indented too far"
        if mark and mark.line and _UNSPACED.match(source.lines[mark.line - 1]):
            hint = f"write a space after the colon of line {mark.line}"
    elif "alias" in context or "anchor" in context:
        problem, hint = STRAY
    elif "unexpected end of stream" in problem:
        hint = "a quote is not closed"
    elif problem.startswith("did not find expected ',' or"):
        return _unclosed(_marked(source, error.context_mark), position, problem[-2], here)
    elif "did not find expected" in problem and error.context:
        problem = f"{context}: {problem}"
        if context == "while parsing a flow node":
            hint = _NO_VALUE.get(here)
        elif here in ("}", "]"):
            hint = f"there is one `{here}` too many"
        elif context == "while parsing a block mapping":
            hint = "is it indented as the other keys of its map are?"
    return LoadError(problem, hint=hint, position=position)


def _marked(source: Source, mark: Any) -> Position:
    if mark is None:
        return Position(source.path, 1)
    if mark.line >= len(source.lines) > 0:  # libyaml puts the end of a file behind its last line
        return source.position(len(source.lines), len(source.lines[-1]) + 1)
    return source.position(mark.line + 1, mark.column + 1)


def _unclosed(opened: Position, stopped: Position, close: str, here: str) -> LoadError:
    """A list or map in braces that neither ends nor goes on with a comma where it must."""
    opening = "{" if close == "}" else "["
    if here and here in "}]":
        hint = f"the `{opening}` in column {opened.column} of line {opened.line} is not closed"
        return LoadError(f"expected `{close}`, not `{here}`", hint=hint, position=stopped)
    if opened.line == stopped.line and here:
        hint = f"write a comma between entries, or close the `{opening}` in column {opened.column}"
        return LoadError(f"expected `,` or `{close}` before this", hint=hint, position=stopped)
    message = f"this `{opening}` is not closed, or a comma is missing in it"
    hint = f"it was read up to line {stopped.line}, where `,` or `{close}` must stand"
    return LoadError(message, hint=hint, position=opened)
