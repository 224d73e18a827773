"""Who an image runs as: its `User` looked up in its own files (OCI image specification 1.1, config.md, "User")."""

from collections.abc import Iterator
from typing import NamedTuple

from buildrules.errors import ServingError
from buildrules.serving.rootfs.paths import read_text


class User(NamedTuple):
    """Numbers, supplementary groups, and the home directory ("/" where nothing says)."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def find_user(root: str, text: str) -> User:
    """The user `text` ("name", "uid", either with ":group"; "" is root) of the image laid out at `root`.

    Raises ServingError for a name that the image does not know.
    """
    name, _, group = text.partition(":")
    row = next((row for row in _rows(root, "etc/passwd", 7) if name in (row[0], row[2])), None) if name else None
    if not name:
        row = next((row for row in _rows(root, "etc/passwd", 7) if row[2] == "0"), None)
        name = "0"
    if row is None and not _number(name):
        raise ServingError(f"the image's user {name!r} is not in its /etc/passwd", hint="set `user:` to a number")
    uid = int(row[2]) if row is not None else int(name)
    gid = int(row[3]) if row is not None and _number(row[3]) else 0
    groups: tuple[int, ...] = ()
    if group:
        gid = _group(root, group)
    elif row is not None:
        members = (item for item in _rows(root, "etc/group", 4) if row[0] in item[3].split(","))
        groups = tuple(sorted({int(item[2]) for item in members if _number(item[2])}))
    return User(uid, gid, groups, (row[5] if row is not None else "") or "/")


def _group(root: str, name: str) -> int:
    if _number(name):
        return int(name)
    for row in _rows(root, "etc/group", 4):
        if row[0] == name and _number(row[2]):
            return int(row[2])
    raise ServingError(f"the image's group {name!r} is not in its /etc/group", hint="set `user:` to numbers")


def _rows(root: str, path: str, fields: int) -> Iterator[list[str]]:
    for line in read_text(root, path).splitlines():
        row = line.split(":")
        if len(row) == fields and (fields != 7 or _number(row[2])):
            yield row


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 1 << 31
