"""Texts that others had a part in, without what a terminal would obey."""

from collections.abc import Iterable


def harmless(text: str) -> str:
    """`text` with everything that is not printed, but for newlines and tabs, written as Python's escapes."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def in_line(text: str) -> str:
    """`text` as one line: a line break, say in the name of a file that it has, is escaped as well."""
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def in_lines(texts: Iterable[str]) -> str:
    """Each of the texts as one line."""
    return "".join(f"{in_line(text)}\n" for text in texts)
