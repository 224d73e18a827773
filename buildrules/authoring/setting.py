"""One more value in a list of a BUILD.yaml's settings; all else stays as it was written."""

from buildrules.authoring.text import scalar
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, UsageError


def with_listed(text: str, path: str, names: tuple[str, ...], value: str) -> str:
    """`text`, a BUILD.yaml that `path` (for errors) names, with `value` in the list below the keys `names`.

    Lists and maps that are not there are made; nothing changes where the list has it. Raises LoadError for what is no
    YAML, UsageError where the file is written in a way that nothing can be put into.
    """
    node, left = _deepest(_read(text, path), names)
    if not left and value in [item.text for item in node.items]:
        return text
    lines = text.splitlines(keepends=True)
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    added = "".join(_added(lines, node, left, value))
    try:
        found, missing = _deepest(_read(added, path), names)
    except LoadError:
        found, missing = node, names
    if missing or value not in [item.text for item in found.items]:
        raise UsageError(
            f"'{path}' is written in a way that nothing can be put into",
            hint=f"add it yourself: {'.'.join(names)}: [{scalar(value, flow=True)}]",
        )
    return added


def _read(text: str, path: str) -> Node:
    problems = Problems()
    node = parse(path, text.encode(), problems)
    problems.raise_all()
    if node is None or node.kind != "map":
        raise UsageError(f"'{path}' holds no map", hint="a workspace begins with `workspace:`")
    return node


def _deepest(node: Node, names: tuple[str, ...]) -> tuple[Node, tuple[str, ...]]:
    """The innermost node of those that are there, and the names of those that are not."""
    for number, name in enumerate(names):
        inner = node.entries.get(name)
        if inner is None or inner.is_null:
            return node, names[number:]
        if inner.kind != ("list" if number == len(names) - 1 else "map"):
            raise inner.error(f"`{name}` is {inner.describe()}, which nothing can be added to")
        node = inner
    return node, ()


def _added(lines: list[str], node: Node, left: tuple[str, ...], value: str) -> list[str]:
    """The lines with the value put into `node`, below the names that are `left`."""
    row = lines[node.line - 1]
    if row[node.column - 1] in "[{":  # where it ends is not known, where it begins is
        inner = _flow(left, value) + (", " if node.items or node.entries else "")
        return _inserted(lines, node.line - 1, f"{row[: node.column]}{inner}{row[node.column :]}", instead=1)
    if not left:
        return _inserted(lines, node.items[-1].line, f"{' ' * (node.column - 1)}- {scalar(value)}\n")
    null = node.keys.get(left[0])
    if null is not None:  # the key stands there, and nothing behind it
        return _inserted(lines, null.line, _block(left[1:], value, null.column + 1))
    indent = next(iter(node.keys.values())).column - 1
    return _inserted(
        lines, _end(lines, max(key.line for key in node.keys.values()), indent), _block(left, value, indent)
    )


def _inserted(lines: list[str], place: int, text: str, instead: int = 0) -> list[str]:
    return [*lines[:place], text, *lines[place + instead :]]


def _end(lines: list[str], start: int, indent: int) -> int:
    """The index behind the last line of a map in blocks, whose last key stands in the line `start`."""
    end = start
    for number, line in enumerate(lines[start:], start + 1):
        said = line.strip() and not line.lstrip().startswith("#")  # a comment behind it belongs to what follows
        if said and len(line) - len(line.lstrip()) <= indent:
            break
        end = number if said else end
    return end


def _block(names: tuple[str, ...], value: str, indent: int) -> str:
    if not names:
        return f"{' ' * indent}- {scalar(value)}\n"
    if len(names) == 1:
        return f"{' ' * indent}{names[0]}: [{scalar(value, flow=True)}]\n"
    return f"{' ' * indent}{names[0]}:\n{_block(names[1:], value, indent + 2)}"


def _flow(names: tuple[str, ...], value: str) -> str:
    """What stands within the braces or brackets of a map, or list."""
    if not names:
        return scalar(value, flow=True)
    inner = _flow(names[1:], value)
    return f"{names[0]}: " + (f"{{{inner}}}" if names[1:] else f"[{inner}]")
