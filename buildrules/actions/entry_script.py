"""The kind "entry_script": does a scoring script define the functions its server calls?"""

import re
from collections.abc import Iterator

from buildrules.actions.params import ScriptParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError, Position
from buildrules.lints.script import UNREADABLE, mistake_of, parsed
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import ast

_LARGEST = 4 << 20  # bytes; what is larger is data
_SHOWN = 150  # characters of a line
_DYNAMIC = frozenset({"exec", "eval", "globals", "locals", "vars", "setattr"})


class EntryScript:
    """Params: `functions`, names the script must bind at its top level, `server`, whom to name as their caller, and
    `python`, the version in the image ("3.11", None where that is not known).

    The one source is the script. Outputs nothing. Raises ActionError, with a position in the script, for a function
    that is nowhere defined, imported or assigned, and for a script that is no Python. A script that may bind names in
    ways that cannot be seen (`from x import *`, `globals()`, `exec` and their like), or that may be written for a
    newer Python than this one, passes.
    """

    name = "entry_script"
    version = 2
    traits = Traits()

    def run(self, step: Step, context: Context) -> Outputs:
        """Read the script and look."""
        import os

        params = read(ScriptParams, step.params)
        for file in step.files:
            with open(os.path.join(context.workspace, file.path), "rb") as stream:
                text = stream.read(_LARGEST + 1)
            context.count(read=len(text))
            if len(text) > _LARGEST:
                continue
            _check_syntax(text, file.path, params.python)
            found = names_of(text)
            if found is not None:
                for wanted in params.functions:
                    if wanted not in found:
                        raise _missing(wanted, found, file.path, text, params.server)
        return Outputs()


def _check_syntax(text: bytes, path: str, python: str | None) -> None:
    """Raise ActionError where the image's Python cannot read the script."""
    try:
        parsed(text)
    except UNREADABLE as error:
        mistake = mistake_of(error, python)
        if mistake is not None:
            raise ActionError(
                f"the script is not Python {python}: {mistake.reason}",
                hint="the server could not load it",
                position=Position(path, mistake.line, mistake.column, _line(text, mistake.line)),
            ) from error


def _missing(wanted: str, found: dict[str, int], path: str, text: bytes, server: str) -> ActionError:
    close = next((name for name in found if name.lower().replace("_", "") == wanted), None)
    line = found[close] if close is not None else 1
    hint = f"the server '{server}' calls it; "
    hint += f"rename '{close}'" if close is not None else "define it, or name another entry_script"
    return ActionError(
        f"the script has no function '{wanted}'", hint=hint, position=Position(path, line, 1, _line(text, line))
    )


def _line(text: bytes, number: int) -> str:
    """A line as an error shows it: its beginning, without what stands in its literals, which may be a password."""
    lines = text.decode(errors="replace").splitlines()
    shown = lines[number - 1][:_SHOWN] if number <= len(lines) else ""
    return re.sub(r"(['\"])(?:(?!\1).)+(\1|$)", r"\1...\1", shown)


def names_of(text: bytes) -> dict[str, int] | None:
    """The names a module binds at its top level, and the lines; None if that cannot be told."""
    import ast

    try:
        tree = parsed(text)
    except UNREADABLE:
        return None
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return None
        if isinstance(node, ast.Name) and node.id in _DYNAMIC:
            return None
        if isinstance(node, ast.Attribute) and (node.attr == "__dict__" or ast.unparse(node) == "sys.modules"):
            return None
        if isinstance(node, ast.Global):
            found.update(dict.fromkeys(node.names, node.lineno))
    for node in _top_level(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node.lineno
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update({alias.asname or alias.name.partition(".")[0]: node.lineno for alias in node.names})
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = node.lineno
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            found[node.name] = node.lineno
    return None if "__getattr__" in found else found


def _top_level(tree: "ast.Module") -> "Iterator[ast.AST]":
    """Every node that runs in the module's own scope."""
    import ast

    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))
