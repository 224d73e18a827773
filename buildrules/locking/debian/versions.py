"""Debian version order, as dpkg has it (Debian Policy 5.6.12 and `lib/dpkg/version.c`)."""

import re
from functools import lru_cache

_PIECES = re.compile(r"(\D*)(\d*)")

Part = tuple[tuple[tuple[int, ...], int], ...]
Key = tuple[int, Part, Part]


def _weight(character: str) -> int:
    """Order of a character in a non-digit piece: `~` before the end, the end before letters, letters before others."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _part(text: str) -> Part:
    """Alternating non-digit and digit pieces; the last is empty, since the expression also matches at the end.

    0 closes each non-digit piece, so that `~` sorts before the end. No text is the same as 0.
    """
    return tuple(
        ((*(_weight(character) for character in letters), 0), int(digits or 0))
        for letters, digits in _PIECES.findall(text or "0")
    )


@lru_cache(maxsize=65536)
def key(version: str) -> Key:
    """A sort key: `key(a) < key(b)` where dpkg says that version `a` is earlier than `b`."""
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", epoch
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    number = int(epoch) if epoch.isdecimal() else 0
    return number, _part(upstream), _part(revision)


def compare(left: str, right: str) -> int:
    """-1, 0 or 1, as `left` is earlier than, equal to or later than `right`."""
    one, two = key(left), key(right)
    return (one > two) - (one < two)


def satisfies(version: str, relation: str, wanted: str) -> bool:
    """Whether `version` stands in `relation` (`<<`, `<=`, `=`, `>=`, `>>`, or "" for any) to `wanted`."""
    if not relation:
        return True
    order = compare(version, wanted)
    return {"<<": order < 0, "<=": order <= 0, "=": order == 0, ">=": order >= 0, ">>": order > 0}[relation]
