"""What an expression of `query` means: a set of targets, or of files. Pure; on the short path."""

from buildrules.graph.expression import Tree, parse, wrong
from buildrules.graph.targets import Targets
from buildrules.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Sequence

Item = int | str
"""A target by its number, or a file by its workspace-relative path."""


class Names(NamedTuple):
    """What an expression's words stand for: `select` gives the numbers of targets, `inputs` the files of targets.

    `select` raises UsageError for what names nothing.
    """

    select: "Callable[[str], Collection[int]]"
    inputs: "Callable[[Sequence[int]], Collection[str]]"


def evaluate(text: str, targets: Targets, names: Names) -> list[Item]:
    """What the expression `text` stands for, sorted; the targets of a path in its order. Raises UsageError."""
    tree = parse(text)
    found = _Evaluation(text, targets, names).of(tree, {})
    if tree.kind == "somepath":
        return list(found)
    files = sorted(item for item in found if isinstance(item, str))
    return [*sorted(item for item in found if isinstance(item, int)), *files]


class _Evaluation:
    def __init__(self, text: str, targets: Targets, names: Names) -> None:
        self._text = text
        self._targets = targets
        self._names = names

    def of(self, tree: Tree, variables: "dict[str, dict[Item, None]]") -> "dict[Item, None]":
        """The items of a tree, as keys."""
        return dict.fromkeys(getattr(self, _METHODS.get(tree.kind, tree.kind))(tree, variables))

    def _targets_of(self, tree: Tree, variables: "dict[str, dict[Item, None]]") -> "list[int]":
        found = self.of(tree, variables)
        files = [item for item in found if isinstance(item, str)]
        if files:
            raise wrong(self._text, tree.at, f"'{files[0]}' is a file, and here targets are meant")
        return [item for item in found if isinstance(item, int)]

    def word(self, tree: Tree, _: "Any") -> "Collection[Item]":
        from buildrules.errors import BuildrulesError

        try:
            return self._names.select(tree.text)
        except BuildrulesError as error:
            raise wrong(self._text, tree.at, error.message, error.hint) from None

    def variable(self, tree: Tree, variables: "dict[str, dict[Item, None]]") -> "Collection[Item]":
        if tree.text not in variables:
            known = ", ".join(f"${name}" for name in variables)
            hint = f"there are {known}" if known else f"let {tree.text} = EXPR in ..."
            raise wrong(self._text, tree.at, f"there is no variable '${tree.text}'", hint)
        return variables[tree.text]

    def let(self, tree: Tree, variables: "dict[str, dict[Item, None]]") -> "Collection[Item]":
        value, inside = tree.parts
        return self.of(inside, {**variables, tree.text: self.of(value, variables)})

    def words(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        return [item for word in tree.parts for item in self.of(word, variables)]

    def joined(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        left, *others = (self.of(part, variables) for part in tree.parts)
        for right in others:
            if tree.kind == "+":
                left.update(right)
            else:
                left = {item: None for item in left if (item in right) == (tree.kind == "^")}
        return left

    def deps(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        start = self._targets_of(tree.parts[0], variables)
        return self._targets.reach(start, self._targets.needs, _depth(tree, 1))

    def rdeps(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        universe = self._targets_of(tree.parts[0], variables)
        inside = self._targets.reach(universe, self._targets.needs)
        start = inside.intersection(self._targets_of(tree.parts[1], variables))
        edges = self._targets.needed_by
        if len(inside) < len(edges):
            edges = [[other for other in needed if other in inside] for needed in edges]
        return self._targets.reach(start, edges, _depth(tree, 2))

    def allpaths(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        start, end = (self._targets_of(part, variables) for part in tree.parts)
        return self._targets.reach(start, self._targets.needs) & self._targets.reach(end, self._targets.needed_by)

    def somepath(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        start, end = (self._targets_of(part, variables) for part in tree.parts)
        before: dict[int, int | None] = dict.fromkeys(sorted(start))
        fresh, ends = list(before), set(end)
        for number in fresh:  # which grows meanwhile: breadth first, so that the path is a shortest one
            if number in ends:
                path: list[Item] = []
                at: int | None = number
                while at is not None:
                    path.append(at)
                    at = before[at]
                return path[::-1]
            for other in self._targets.needs[number]:
                if other not in before:
                    before[other] = number
                    fresh.append(other)
        return []

    def kind(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        pattern = self._pattern(tree.parts[0])
        rules = self._targets.rules
        return [item for item in self._targets_of(tree.parts[1], variables) if pattern.search(rules[item])]

    def attr(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        name = tree.parts[0].text
        pattern = self._pattern(tree.parts[1])
        found = self._targets_of(tree.parts[2], variables)
        values = {item: self._targets.detail(item)[3] for item in found}
        if found and not any(name in known for known in values.values()):
            from difflib import get_close_matches

            known = sorted({other for value in values.values() for other in value})
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"they have {', '.join(known)}"
            raise wrong(self._text, tree.parts[0].at, f"none of these targets has an attribute '{name}'", hint)
        return [item for item in found if name in values[item] and pattern.search(shown(values[item][name]))]

    def filter(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        pattern = self._pattern(tree.parts[0])
        labels = self._targets.labels
        found = self.of(tree.parts[1], variables)
        return [item for item in found if pattern.search(labels[item] if isinstance(item, int) else item)]

    def inputs(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        return self._names.inputs(self._targets_of(tree.parts[0], variables))

    def tests(self, tree: Tree, variables: "Any") -> "Collection[Item]":
        """The tests among these, those of packages among them, and the packages that bring a request along."""
        targets, found = self._targets, []
        for item in self._targets_of(tree.parts[0], variables):
            if targets.detail(item)[3].get("sample_request") is not None:
                found.append(item)
            for other in (item, *targets.needed_by[item]):
                if targets.detail(other)[0] == "test":
                    found.append(other)
        return found

    def _pattern(self, tree: Tree) -> "re.Pattern[str]":
        import re

        try:
            return re.compile(tree.text)
        except (re.error, OverflowError, RecursionError) as error:
            raise wrong(self._text, tree.at, f"'{tree.text}' is no regular expression: {error}") from None


def _depth(tree: Tree, number: int) -> int | None:
    return int(tree.parts[number].text) if len(tree.parts) > number else None


def shown(value: "Any") -> str:
    """The value of an attribute as `attr` sees it: Bazel's form of lists and booleans."""
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {shown(one)}' for key, one in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)


_METHODS = {**dict.fromkeys("+-^", "joined"), "set": "words"}  # of the other kinds by their names
