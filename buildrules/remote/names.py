"""What records and content are called where they are kept: keys and digests, and paths made of them.

    ac/ab/<64 hex>               a record
    cas/sha256/ab/<64 hex>       content

Shared by folders and object stores, so that one can be copied into the other. Records and digests come from elsewhere:
a path is made of nothing but hex digits.
"""

import re

from buildrules.oci.descriptor import is_digest

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
RECORDS = "ac"
CONTENT = "cas/sha256"


def is_key(text: str) -> bool:
    """Whether it is 64 hex digits."""
    return _HEX.fullmatch(text) is not None


def hex_key(key: str) -> str:
    """A key, as part of a path. Raises ValueError for anything but 64 hex digits."""
    if not is_key(key):
        raise ValueError(f"not a key: {key!r}")
    return key


def hex_name(digest: str) -> str:
    """The hex digits of a digest, as part of a path. Raises ValueError for anything but `sha256:` and 64 hex digits."""
    if not is_digest(digest):
        raise ValueError(f"not a digest: {digest!r}")
    return digest.removeprefix("sha256:")


def record_path(key: str) -> str:
    """Where a record is. Raises ValueError."""
    return f"{RECORDS}/{hex_key(key)[:2]}/{key}"


def content_path(digest: str) -> str:
    """Where content is. Raises ValueError."""
    name = hex_name(digest)
    return f"{CONTENT}/{name[:2]}/{name}"


def named(path: str) -> tuple[str, str] | None:
    """(kind, name) of an `Entry` for such a path; None for anything else that lies there."""
    folder, _, name = path.rpartition("/")
    top, _, start = folder.rpartition("/")
    if not is_key(name) or start != name[:2] or top not in (RECORDS, CONTENT):
        return None
    return ("record", name) if top == RECORDS else ("content", f"sha256:{name}")
