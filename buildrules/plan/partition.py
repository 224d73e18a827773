"""Which wheels share a layer, so that changing one small dependency changes one layer.

Twenty of ninety wheels hold 95 % of the bytes: those get layers of their own, and so do NVIDIA's, whatever their size:
they change together with the CUDA that they are for, and packages share them. The others share a few buckets, chosen by
a hash of the name alone, so that no wheel's bucket depends on which other wheels there are.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from packaging.utils import canonicalize_name

HEAVY = 1 << 20
BUCKETS = 4
BUDGET = 64
MOST = 99
_LIBRARIES, _TOOLS = "nvidia-", "nvidia-ml-py"
"""How the names of NVIDIA's libraries begin, and of what only asks a driver. Both are part of images' digests: who
changes them changes the layers of images that are built already."""

Wheel = Mapping[str, Any]


def partition(
    wheels: Sequence[Wheel], budget: int = BUDGET, heavy: int = HEAVY, *, what: str = "wheels"
) -> list[tuple[str, list[Wheel]]]:
    """Groups of wheels, each one layer, as (title, wheels by name). No group is empty; there are at most `budget`.

    A wheel is a mapping with at least `name`, `version` and `size` (bytes). One of `heavy` bytes, or of NVIDIA's,
    stands alone; where that makes too many layers, the limit doubles until they fit. The rest go to 4 buckets by the
    sha256 of their normalised names, called after `what`. Heavy wheels come first, by name, then the buckets. `budget`
    is held between 1 and 99; below 4 there are as many buckets as it allows.
    """
    budget = max(1, min(budget, MOST))
    buckets = min(BUCKETS, budget)
    ordered = sorted(wheels, key=lambda wheel: (canonicalize_name(wheel["name"]), str(wheel["version"])))
    limit = heavy
    while sum(_weight(wheel, heavy) >= limit for wheel in ordered) > budget - buckets:
        limit *= 2
    groups: list[tuple[str, list[Wheel]]] = []
    small: list[list[Wheel]] = [[] for _ in range(buckets)]
    for wheel in ordered:
        if _weight(wheel, heavy) >= limit:
            groups.append((f"{canonicalize_name(wheel['name'])} {wheel['version']}", [wheel]))
        else:
            small[hashlib.sha256(canonicalize_name(wheel["name"]).encode()).digest()[0] % buckets].append(wheel)
    groups.extend((f"small {what} {number + 1}", bucket) for number, bucket in enumerate(small) if bucket)
    return groups


def _weight(wheel: Wheel, heavy: int) -> int:
    """By what a wheel gets a layer of its own: its size, and of NVIDIA's libraries at least `heavy`."""
    size: int = wheel["size"]
    name = canonicalize_name(wheel["name"])
    return max(size, heavy) if name.startswith(_LIBRARIES) and not name.startswith(_TOOLS) else size
