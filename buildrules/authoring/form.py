"""A BUILD.yaml in its usual form: `rule` first, two spaces a level, one blank line at most, no line that is too long.

What is written as a block stays one; what is written in braces is put into one line where that is not too long, else
taken apart. How a scalar is written is its author's: quotes decide what it means. Comments stay at what they are about.
YAML's own libraries lose them where keys change their order, so lines are made here, from the places of nodes.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, Position

if TYPE_CHECKING:
    import yaml

    Pair = tuple[yaml.Node, yaml.Node]

_WIDTH = 120
_BREAKS = "\x85\u2028\u2029"  # breaks of lines in YAML 1.1, and characters in 1.2


class _Comment(NamedTuple):
    line: int  # from 0, as of PyYAML's marks
    column: int
    text: str  # from the "#" on
    gap: int  # blanks before it
    alone: bool  # nothing else is in its line


def usual_form(path: str, text: str) -> str:
    """The text in its usual form. Raises LoadError for what cannot be read; `path` is where that is."""
    problems = Problems()
    before = parse(path, text.encode(), problems)
    odd = next((at for at, char in enumerate(text) if char in _BREAKS), None)
    if odd is not None:
        line = text.count("\n", 0, odd) + 1
        hint = f"write it as an escape in double quotes: \\u{ord(text[odd]):04x}"
        problems.add(f"'{path}' has a line break that only some programs see", hint=hint, position=Position(path, line))
    problems.raise_all()
    clean = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    form = _Form(clean)
    made = "\n".join(form.lines()).lstrip("\n")
    made += "\n" if made else ""
    after = parse(path, made.encode(), Problems())
    if _meaning(after) != _meaning(before) or _Form(made).said() != form.said():
        raise LoadError(
            f"'{path}' cannot be put into its usual form without changing what it says",
            hint="write its texts of several lines as a block: `key: |`",
            position=Position(path, 1),
        )
    return made


def _meaning(node: Node | None) -> Any:
    """What a node says, whatever its form and the order of its keys."""
    if node is None:
        return None
    if node.kind == "scalar":
        return node.text, node.plain
    if node.kind == "list":
        return [_meaning(item) for item in node.items]
    return {key: _meaning(item) for key, item in node.entries.items()}


class _Form:
    """Makes the lines of a text anew, in the order of its nodes; comments are used up on the way."""

    def __init__(self, text: str) -> None:
        import yaml

        self._lines = text.split("\n")
        self._root = yaml.compose(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
        self._kept: set[int] = set()  # lines that are content of a scalar, blank ones at its end among them
        self._comments = sorted(self._find_comments())
        self._targets: set[int] = set()  # ids of the nodes of targets
        for key, value in self._root.value if isinstance(self._root, yaml.MappingNode) else ():
            # behind a text that keeps the blank lines at its end nothing may come to stand that had some before it
            if key.value == "targets" and isinstance(value, yaml.MappingNode) and not self._keeps():
                self._targets = {id(target) for _, target in value.value}

    def said(self) -> list[str]:
        """The texts of all comments, sorted."""
        return sorted(comment.text for comment in self._find_comments())

    def lines(self) -> list[str]:
        """All lines."""
        import yaml

        if not isinstance(self._root, yaml.CollectionNode):
            return "\n".join(line.rstrip() for line in self._lines).rstrip("\n").split("\n")
        begin = next((at for at in range(self._root.start_mark.line) if self._lines[at].rstrip() == "---"), None)
        head = [] if begin is None else [*self._before(begin, 0), "---"]
        return [*head, *self._block(self._root, 0, len(self._lines), 0)]

    def _keeps(self) -> bool:
        blocks = (node.start_mark for node in _scalars(self._root) if node.style in ("|", ">"))
        return any("+" in self._lines[at.line][at.column : at.column + 3] for at in blocks)

    # -- comments and blank lines -------------------------------------------------------------------------------------

    def _find_comments(self) -> Iterator[_Comment]:
        inside: dict[int, list[tuple[int, int]]] = {}  # columns of a line that are a scalar's
        for node in _scalars(self._root):
            start, end = node.start_mark, node.end_mark
            last = end.line
            if node.style in ("|", ">"):
                last = end.line if end.column else end.line - 1
                header = self._lines[start.line][start.column :].partition("#")[0]
                while "+" not in header and last > start.line and not self._lines[last].strip():
                    last -= 1
            for line in range(start.line, last + 1):
                first = start.column if line == start.line else 0
                block = node.style in ("|", ">") or line < end.line
                inside.setdefault(line, []).append((first, 1 << 30 if block else end.column))
                if line > start.line:
                    self._kept.add(line)
        for number, text in enumerate(self._lines):
            at = text.find("#")
            while at >= 0:
                taken = any(first <= at < end for first, end in inside.get(number, ()))
                if not taken and (at == 0 or text[at - 1] in " \t"):
                    before = text[:at].rstrip()
                    yield _Comment(number, at, text[at:].rstrip(), at - len(before), not before)
                    break
                at = text.find("#", at + 1)

    def _blank(self, line: int) -> list[str]:
        """A blank line, where one stands above this line."""
        above = line - 1
        return [""] if above >= 0 and not self._lines[above].strip() and above not in self._kept else []

    def _before(self, line: int, indent: int, column: int = 0) -> list[str]:
        """The comments that come next before `line`, in this column or further right, as lines of their own."""
        found: list[str] = []
        while self._comments and self._comments[0].line < line and self._comments[0].column >= column:
            comment = self._comments.pop(0)
            found += [*(self._blank(comment.line) if comment.alone else []), " " * indent + comment.text]
        return found

    def _on(self, line: int) -> str:
        """The comment at the end of a line."""
        if self._comments and self._comments[0].line == line and not self._comments[0].alone:
            comment = self._comments.pop(0)
            return " " * comment.gap + comment.text
        return ""

    # -- nodes --------------------------------------------------------------------------------------------------------

    def _block(self, node: "yaml.CollectionNode", indent: int, until: int, column: int) -> list[str]:
        """A map or a list as a block. What follows begins in line `until`; its comments begin left of `column`."""
        import yaml

        if node.flow_style:
            until, column = node.end_mark.line + 1, 0
        parts: list[list[str]] = []
        first = 0  # which part becomes the first one
        for at, item in enumerate(node.value):
            key = item[0] if isinstance(node, yaml.MappingNode) else item
            line = key.start_mark.line
            following = node.value[at + 1] if at + 1 < len(node.value) else None
            end = until if following is None else _start(following)
            part = [*self._before(line, indent), *self._blank(line)]
            if isinstance(node, yaml.MappingNode):
                part += self._entry(
                    f"{' ' * indent}{self._text(key, indent)[0]}:", item[1], indent, end, key.start_mark
                )
                if key.value == "rule" and id(node) in self._targets:
                    first = at
            else:
                part += self._item(item, indent, end)
            parts.append(part)
        parts.insert(0, parts.pop(first))
        rest = self._before(until, indent, max(column, 0 if node.flow_style else node.start_mark.column))
        made = [line for part in parts for line in part] + rest
        while indent and made and not made[0]:
            del made[0]
        return made

    def _entry(self, head: str, value: "yaml.Node", indent: int, until: int, place: "yaml.Mark") -> list[str]:
        """A value behind `head`, which stood at `place` and stands at `indent` now."""
        import yaml

        if isinstance(value, yaml.ScalarNode):
            texts = self._text(value, indent)
            line = value.end_mark.line if value.style not in ("|", ">") else -1
            texts[0] = f"{head} {texts[0]}" if texts[0] else head
            texts[-1] += self._on(line)
            return texts
        assert isinstance(value, yaml.CollectionNode)
        line = self._flow(value)
        if not value.value or (line and len(f"{head} {line}") <= _WIDTH):
            return [f"{head} {line}" + self._on(value.end_mark.line)]
        return [head + self._on(place.line), *self._block(value, indent + 2, until, place.column + 1)]

    def _item(self, item: "yaml.Node", indent: int, until: int) -> list[str]:
        """An item of a list."""
        import yaml

        head = " " * indent + "-"
        if isinstance(item, yaml.ScalarNode) or not item.value:
            return self._entry(head, item, indent, until, item.start_mark)
        assert isinstance(item, yaml.CollectionNode)
        if (line := self._flow(item)) and len(f"{head} {line}") <= _WIDTH:
            return [f"{head} {line}" + self._on(item.end_mark.line)]
        made = self._block(item, indent + 2, until, item.start_mark.column)
        at = next(number for number, text in enumerate(made) if text and text.lstrip()[0] != "#")
        made[:at] = [text[2:] for text in made[:at]]
        made[at] = f"{head} {made[at].lstrip()}"
        return made

    def _flow(self, node: "yaml.Node") -> str:
        """A node that is written in braces in one line; "" where it is a block, or has comments or lines inside."""
        import yaml

        if isinstance(node, yaml.ScalarNode):
            return self._text(node, 0)[0] if node.start_mark.line == node.end_mark.line else ""
        assert isinstance(node, yaml.CollectionNode)
        start, end = node.start_mark, node.end_mark
        if not node.flow_style or any(start.line <= one.line < end.line for one in self._comments):
            return ""
        if isinstance(node, yaml.MappingNode):
            pairs = (
                sorted(node.value, key=lambda pair: pair[0].value != "rule")
                if id(node) in self._targets
                else node.value
            )
            texts = [self._pair(*pair) for pair in pairs]
        else:
            texts = [self._flow(item) for item in node.value]
        if not all(texts):
            return ""
        inside = ", ".join(texts)
        return f"{{{inside}}}" if isinstance(node, yaml.MappingNode) else f"[{inside}]"

    def _pair(self, key: "yaml.Node", value: "yaml.Node") -> str:
        text = self._flow(value)
        empty = value.start_mark.index == value.end_mark.index
        return f"{self._flow(key)}: {text}" if text else f"{self._flow(key)}:" if empty else ""

    def _text(self, node: "yaml.ScalarNode", indent: int) -> list[str]:
        """A scalar as it was written: its first line, and others further in than `indent`."""
        start, end = node.start_mark, node.end_mark
        if node.style in ("|", ">"):
            return self._block_scalar(node, indent)
        if start.line == end.line:
            return [self._lines[start.line][start.column : end.column]]
        last = self._lines[end.line][: end.column]
        lines = [self._lines[start.line][start.column :], *self._lines[start.line + 1 : end.line], last]
        inner = " " * (indent + 2)
        return [lines[0].rstrip(), *(inner + line.strip() if line.strip() else "" for line in lines[1:])]

    def _block_scalar(self, node: "yaml.ScalarNode", indent: int) -> list[str]:
        start = node.start_mark
        header = self._lines[start.line][start.column :].rstrip()
        content = []
        for number in range(start.line + 1, len(self._lines)):
            if number not in self._kept:
                break
            content.append(self._lines[number])
        depths = [len(line) - len(line.lstrip(" ")) for line in content if line.strip()]
        digit = next((int(char) for char in header.partition("#")[0] if char.isdigit()), None)
        if digit is not None:  # relative to what is around it: as deep as it was
            header = header.replace(str(digit), "2", 1)
            depth = min(depths, default=0)
            column = _leading(self._lines[start.line]) + digit
            depth = min(column, depth) if depths else column
        else:
            depth = depths[0] if depths else max(map(len, content), default=0)
        inner = " " * (indent + 2)
        return [header, *(inner + line[depth:] if len(line) > depth else "" for line in content)]


def _start(item: "yaml.Node | Pair") -> int:
    return (item[0] if isinstance(item, tuple) else item).start_mark.line


def _leading(line: str) -> int:
    """Blanks and dashes that a line begins with."""
    return len(line) - len(line.lstrip(" -"))


def _scalars(node: "yaml.Node | None") -> "Iterator[yaml.ScalarNode]":
    import yaml

    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(key)
            yield from _scalars(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
