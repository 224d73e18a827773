"""What a host declares: a file with a line for each input.

`PATH` is a file of the workspace, relative to its root; `PATH/` an empty folder of it; `sha256:HEX  PATH` content with
that digest, at a path relative to the working directory. Two spaces, as sha256sum writes them.
"""

import os
import re
from dataclasses import dataclass
from filecmp import cmp

from buildrules.errors import UsageError
from buildrules.state.rows import open_regular

_CONTENT = re.compile(r"sha256:([0-9a-f]{64})  (.+)")
_NEARLY = re.compile(r"sha256:[0-9a-fA-F]{64}[ \t*]+\S")
_BLOB = re.compile(r"/blobs/sha256/([0-9a-f]{64})$")


def blob_of(path: str) -> str | None:
    """The digest (hex) of a file in an image layout, by its path; None for other files."""
    found = _BLOB.search(path)
    return found and found[1]


@dataclass(frozen=True, slots=True)
class Declared:
    """`files` and `folders` are workspace-relative, without slashes at their ends; `content` has absolute paths without
    links, by hex digest."""

    files: frozenset[str]
    folders: frozenset[str]
    content: dict[str, str]


def read_declared(path: str) -> Declared:
    """Read such a file. Raises UsageError naming the line that is wrong, or where content is not there."""
    try:
        with open(open_regular(path), encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise UsageError(f"cannot read the inputs {path!r}: {(error.strerror or str(error)).lower()}") from None
    files: set[str] = set()
    folders: set[str] = set()
    content: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if (found := _CONTENT.fullmatch(line)) is not None:
            if "\0" in found[2] or not os.path.isfile(real := os.path.realpath(found[2])):
                raise UsageError(f"{where}: there is no file {found[2]!r}", hint=f"the host declares it: {line[:80]!r}")
            other = content.setdefault(found[1], real)
            if other != real and not _same(other, real):
                hint = "the host says the same digest of both; fetch them anew"
                raise UsageError(f"{where}: {found[2]!r} differs from {other!r}", hint=hint)
        elif _NEARLY.match(line):
            hint = "write 'sha256:', 64 hex digits in lower case, two spaces and the path"
            raise UsageError(f"{where}: {line[:80]!r} is neither content nor a path of a workspace", hint=hint)
        elif line:
            name = line.removesuffix("/")
            if not {"", ".", ".."}.isdisjoint(name.split("/")) or "\0" in name:
                hint = "write a path relative to the workspace, as 'buildrules guest inputs' prints it"
                raise UsageError(f"{where}: {line!r} is no path of a workspace", hint=hint)
            (folders if line.endswith("/") else files).add(name)
    return Declared(frozenset(files), frozenset(folders), content)


def _same(path: str, other: str) -> bool:
    try:
        return cmp(path, other, shallow=False)
    except OSError:
        return False
