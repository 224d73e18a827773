"""Texts that others had a part in, without what a terminal would obey."""


def harmless(text: str) -> str:
    """`text` with everything that is not printed, but for newlines and tabs, written as Python's escapes."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
