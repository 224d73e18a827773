"""The language of `query`, after Bazel's: text becomes a tree of plain tuples. Pure; on the short path.

    expression  one | expression ("+" | "-" | "^" | "union" | "except" | "intersect") one      from left to right
    one         word | "(" expression ")" | "$" name | "let" name "=" expression "in" expression
                | function "(" argument, ... ")" | "set" "(" word ... ")"
    word        letters, digits and ~ * / @ . - _ : $ [ ] (not first: - * and, alone, an operator); or in '' or ""

Source: https://bazel.build/query/language, "Lexical syntax" and "Grammar". What ours lacks of it is in the reference.
"""

from buildrules.errors import Position, UsageError
from buildrules.typed import Any, NamedTuple

EXPRESSION, NUMBER, TEXT = "an expression", "a number", "a text"
FUNCTIONS: "dict[str, tuple[tuple[str, ...], int]]" = {
    "deps": ((EXPRESSION, NUMBER), 1),
    "rdeps": ((EXPRESSION, EXPRESSION, NUMBER), 2),
    "allpaths": ((EXPRESSION, EXPRESSION), 2),
    "somepath": ((EXPRESSION, EXPRESSION), 2),
    "kind": ((TEXT, EXPRESSION), 2),
    "attr": ((TEXT, TEXT, EXPRESSION), 3),
    "filter": ((TEXT, EXPRESSION), 2),
    "inputs": ((EXPRESSION,), 1),
    "tests": ((EXPRESSION,), 1),
}
"""What each function takes, and how many of it at least."""

_OPERATORS = {"+": "+", "union": "+", "-": "-", "except": "-", "^": "^", "intersect": "^"}
_RESERVED = frozenset({"union", "except", "intersect", "let", "in", "set"})
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789~*/@.-_:$[]")
_FIRST = _WORD - frozenset("-*")
_DEEPEST = 200  # expressions in each other, each of which takes a few frames of Python


class Tree(NamedTuple):
    """A node: `kind` is "word", "variable", "let", "set", an operator or a function's name; `at` is its place."""

    kind: str
    at: int
    text: str = ""
    parts: "tuple[Any, ...]" = ()


def wrong(text: str, at: int, message: str, hint: str | None = None) -> UsageError:
    """An error at a place of an expression, with a caret under it."""
    begin = text.rfind("\n", 0, at) + 1
    line = text[begin:].partition("\n")[0]
    column = at - begin
    shown = max(0, column - 100)
    excerpt = f"{line[shown : column + 50]}\n{' ' * (column - shown)}^"
    return UsageError(message, hint=hint, position=Position("query", text.count("\n", 0, at) + 1, column + 1, excerpt))


def parse(text: str) -> Tree:
    """The tree of an expression. Raises UsageError with the place of what is wrong."""
    reader = _Reader(text)
    tree = reader.expression(0)
    word, at, quoted = reader.token
    if word or quoted:
        raise wrong(text, at, f"unexpected '{word}'", "join sets with + (or), - (without) and ^ (and)")
    return tree


class _Reader:
    """Reads token by token: `token` is (text, place, whether it was in quotes), ("", end, False) at the end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.token = ("", 0, False)
        self._advance()

    def _advance(self) -> "tuple[str, int, bool]":
        before = self.token
        text, at = self._text, self._at
        while at < len(text) and text[at].isspace():
            at += 1
        end = at
        if at == len(text):
            self.token = ("", at, False)
        elif text[at] in "'\"":
            end = text.find(text[at], at + 1)
            if end < 0:
                raise wrong(text, at, f"a quote {text[at]} without its other end")
            self.token = (text[at + 1 : end], at, True)
            end += 1
        elif text[at] in _FIRST:
            while end < len(text) and text[end] in _WORD:
                end += 1
            self.token = (text[at:end], at, False)
        elif text[at] in "()=,+-^":
            end = at + 1
            self.token = (text[at], at, False)
        else:
            raise wrong(text, at, f"unexpected '{text[at]}'", "a word with other characters stands in quotes")
        self._at = end
        return before

    def _expect(self, sign: str, what: str) -> None:
        word, at, quoted = self.token
        if sign == ")" and not word and not quoted:
            raise wrong(self._text, at, "a ')' is missing" + what[3:])
        if word != sign or quoted:
            raise wrong(self._text, at, f"expected {what}, not {_said(word)}")
        self._advance()

    def expression(self, depth: int) -> Tree:
        """Sets joined by operators."""
        if depth > _DEEPEST:
            raise wrong(self._text, self.token[1], f"more than {_DEEPEST} expressions in each other")
        left = self._one(depth)
        parts: list[Tree] = []  # of `left`, where it was joined here
        changes = 0
        while not self.token[2] and self.token[0] in _OPERATORS:
            word, at, _ = self._advance()
            kind = _OPERATORS[word]
            if not parts or kind != left.kind:
                parts = [left]
                left = Tree(kind, at)
                changes += 1
                if changes > _DEEPEST:
                    raise wrong(self._text, at, f"operators change more than {_DEEPEST} times", "write sets: set(A B)")
            parts.append(self._one(depth))
            left = left._replace(parts=tuple(parts))
        return left

    def _one(self, depth: int) -> Tree:
        word, at, quoted = self._advance()
        if quoted:
            return Tree("word", at, word)
        if word == "(":
            inside = self.expression(depth + 1)
            self._expect(")", "')'")
            return inside
        if word == "let":
            return self._let(at, depth)
        if self.token[:1] == ("(",) and not self.token[2]:
            return self._call(word, at, depth)
        if word[:1] == "$" and len(word) > 1:
            return Tree("variable", at, word[1:])
        if not word or word[0] not in _FIRST or word in _RESERVED:
            hint = "a word that is an operator stands in quotes" if word in _RESERVED else None
            raise wrong(self._text, at, f"expected an expression, not {_said(word)}", hint)
        return Tree("word", at, word)

    def _let(self, at: int, depth: int) -> Tree:
        name, place, quoted = self._advance()
        if quoted or not name.isidentifier():
            raise wrong(self._text, place, f"'{name}' is no name", "let NAME = EXPR in EXPR, and then $NAME")
        self._expect("=", "'='")
        value = self.expression(depth + 1)
        self._expect("in", "'in'")
        return Tree("let", at, name, (value, self.expression(depth + 1)))

    def _call(self, name: str, at: int, depth: int) -> Tree:
        self._advance()
        if name == "set":
            words = []
            while self.token[2] or self.token[0] not in ("", ")"):
                words.append(self._one(depth))
            self._expect(")", "')'")
            return Tree("set", at, parts=tuple(words))
        if name not in FUNCTIONS:
            from difflib import get_close_matches

            close = get_close_matches(name, FUNCTIONS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(FUNCTIONS)}"
            raise wrong(self._text, at, f"there is no function '{name}'", hint)
        takes, least = FUNCTIONS[name]
        parts: list[Any] = []
        for number, what in enumerate(takes):
            if number:
                if number >= least and self.token[0] in (")", "") and not self.token[2]:
                    break
                self._expect(",", f"',' and {what}: {name} takes {_taken(name)}")
            parts.append(self.expression(depth + 1) if what == EXPRESSION else self._plain(what))
        self._expect(")", f"')': {name} takes {_taken(name)}")
        return Tree(name, at, parts=tuple(parts))

    def _plain(self, what: str) -> Tree:
        word, at, quoted = self._advance()
        if not quoted and (not word or word[0] not in _FIRST):
            raise wrong(self._text, at, f"expected {what}, not {_said(word)}")
        if what == NUMBER and not (word.isascii() and word.isdigit() and len(word) < 10):
            raise wrong(self._text, at, f"'{word}' is no number")
        return Tree("text", at, word)


def _said(word: str) -> str:
    return f"'{word}'" if word else "the end"


def _taken(name: str) -> str:
    takes, least = FUNCTIONS[name]
    return ", ".join(f"[{what}]" if number >= least else what for number, what in enumerate(takes))
