"""How sources are compiled for a base, by the base's own Python, as this machine can run it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.actions.python.target import minor_of
from buildrules.errors import ResolutionError
from buildrules.locking.debian import lock as locks
from buildrules.locking.locks import Bytecode, LockedBase
from buildrules.oci.parts.deb import DROP

_RUNS = re.compile(r"libc6|libexpat1|zlib1g|(lib)?python3\.[0-9]+-minimal")
_LIBRARY = re.compile(r"(lib)?python3(\.[0-9]+)?(-minimal|-stdlib|-distutils|-lib2to3|-venv)?")
_DECIDES = re.compile(r"(lib)?python3\.[0-9]+-minimal")


def of_debian(base: LockedBase, here: LockedBase | None, mirrors: Mapping[str, Any]) -> Bytecode:
    """Of a `debian_base` with Python. `here` is the same for this machine, None where there is none.

    `mirrors` are those of the workspace. Raises ResolutionError where this machine has no equal interpreter.
    """
    if here is None:
        raise ResolutionError("no bytecode is put into its images: no Python of Debian runs on this machine")
    ours, theirs = _versions(base), _versions(here)
    if ours != theirs:
        raise ResolutionError(
            f"no bytecode is put into its images: its Python is {ours}, and that of {here.platform}, which would"
            f" compile here, {theirs}; 'buildrules lock {base.target.label}' locks both anew"
        )
    minor = minor_of(base.python or "")
    places = [
        locks.layer_places(one.lock, mirrors, path, str(one.target.label))
        for one in (here, base)
        if one.lock is not None
        for path in one.locks
    ]
    packages = {sha256: place for found in places for sha256, place in found["packages"].items()}
    runs = _parts(here, _RUNS)
    library = _parts(base, _LIBRARY)
    used = {part["digest"].removeprefix("sha256:") for part in (*runs, *library)}
    return Bytecode(
        interpreter=f"debian {ours}",
        library=f"usr/lib/python{minor}",
        sources=library,
        places={
            **places[-1],
            "packages": {sha256: place for sha256, place in packages.items() if sha256 in used},
            "interpreter": {"parts": runs, "program": f"usr/bin/python{minor}"},
        },
    )


def _versions(base: LockedBase) -> str:
    """What decides about bytecode, in words: the same on all architectures."""
    assert base.lock is not None
    found = sorted(f"{one.name} {one.version}" for one in base.lock.packages if _DECIDES.fullmatch(one.name))
    return ", ".join(found)


def _parts(base: LockedBase, names: "re.Pattern[str]") -> Sequence[Mapping[str, Any]]:
    assert base.lock is not None
    return [
        {"kind": "deb", "name": one.name, "version": one.version, "digest": f"sha256:{one.sha256}", "drop": DROP}
        for one in base.lock.packages
        if names.fullmatch(one.name)
    ]
