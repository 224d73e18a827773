"""Reading TOML that others wrote: bounded, and with one kind of error for whatever is wrong with it.

`tomllib` takes about a kilobyte for each part of a table's name, so a small file of names would fill the memory. What
makes values is counted before it is read.
"""

from typing import Any

MOST = 16 << 20
"""Bytes of a file: the lock of a large workspace has five million."""
_MOST_MARKS = 1_000_000
_MOST_DOTS = 40  # of one name: a name takes the square of them

_SILENT = (
    rb'"""(?:[^"\\]|\\.|"{1,2}+(?!"))*+(?:"{3,5}|\Z)',
    rb"'''(?:[^']|'{1,2}+(?!'))*+(?:'{3,5}|\Z)",
    rb'"(?:[^"\\\n]|\\.)*+"?',
    rb"'[^'\n]*+'?",
    rb"#[^\n]*+",
)
"""Texts and comments. What is not closed ends with the line or the file, so that nothing is looked at twice."""


def read_toml(data: bytes | str) -> dict[str, Any]:
    """The tables. Raises ValueError for what is no TOML, is nested too deeply, or makes too many values or names."""
    import re
    import tomllib

    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise ValueError(f"its line {error.object[: error.start].count(10) + 1} is not UTF-8") from None
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > MOST:
        raise ValueError(f"it has more than {MOST >> 20} MiB")
    marks = sum(map(raw.count, (b'"', b"'", b"#")))
    if marks <= _MOST_MARKS:
        bare = re.sub(b"|".join(_SILENT), b"_", raw, flags=re.DOTALL)
        tables = len(re.findall(rb"^[ \t]*\[", bare, re.MULTILINE))
        marks = sum(map(bare.count, (b"[", b"{", b"=", b","))) + 6 * (tables + bare.count(b"."))
        if re.search(rb"(?<![^.,=\[\]{}\n])(?:[^.,=\[\]{}\n]*+\.){%d}" % _MOST_DOTS, bare):
            raise ValueError(f"a name in it has more than {_MOST_DOTS} dots")
    if marks > _MOST_MARKS:
        raise ValueError("it holds more values than can be meant")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
