"""How sources are compiled for a base, by the base's own Python, as this machine can run it."""

import re
from collections.abc import Mapping
from typing import Any

from buildrules.actions.oci_base import fetch_layers
from buildrules.actions.python.interpreter import LAYER, Interpreters
from buildrules.actions.python.target import minor_of
from buildrules.engine.kind import Context
from buildrules.errors import ResolutionError
from buildrules.locking.debian import lock as debian
from buildrules.locking.locks import Bytecode, LockedBase
from buildrules.locking.standalone import lock as standalone
from buildrules.oci.parts.deb import DROP
from buildrules.oci.parts.python import DROP as UNUSED
from buildrules.oci.parts.python import PREFIX, interpreter_of
from buildrules.workspace.settings import Settings

_RUNS = re.compile(r"libc6|libexpat1|zlib1g|(lib)?python3\.[0-9]+-minimal")
LIBC = re.compile(r"libc6")
_LIBRARY = re.compile(r"(lib)?python3(\.[0-9]+)?(-minimal|-stdlib|-distutils|-lib2to3|-venv)?")
_DECIDES = re.compile(r"(lib)?python3\.[0-9]+-minimal")

_LARGEST = 1 << 30  # bytes of the layers of an image of others that are fetched for the Python in it

Part = Mapping[str, Any]


def bytecode(base: LockedBase, here: LockedBase | None, settings: Settings, context: Context) -> Bytecode | None:
    """Of a base; `here` is the same for this machine, None where there is none. None where it has no Python.

    The layers of an image of others are fetched, to look whether its Python can be run without it. Raises
    ResolutionError where this machine has no equal interpreter, ActionError where the image has none that runs, and
    what fetching raises.
    """
    if base.python is None:
        return None
    if here is None:
        raise ResolutionError("its Python does not run on this machine")
    ours, theirs = _version(base), _version(here)
    if ours != theirs:
        raise ResolutionError(
            f"its Python is {ours}, and that of {here.platform}, which would"
            f" compile here, {theirs}; 'buildrules lock {base.target.label}' locks both anew"
        )
    if base.digest:
        return _of_image(base, here, ours, settings, context)
    if base.standalone is not None:
        name = interpreter_of(base.standalone.python)
        program, library, sources = f"{PREFIX}/bin/{name}", f"{PREFIX}/lib/{name}", [_archive(base)]
        runs = [_archive(here), *debs(here.lowest, LIBC)]  # on an image of others it is this machine's libc
    else:
        name = f"python{minor_of(base.python)}"
        program, library, sources = f"usr/bin/{name}", f"usr/lib/{name}", debs(base, _LIBRARY)
        runs = debs(here, _RUNS)
    used = {part["digest"].removeprefix("sha256:") for part in (*runs, *sources)}
    places: dict[str, Any] = {"interpreter": {"parts": runs, "program": program}}
    for one in (here.lowest, here, base.lowest, base):
        for key, value in places_of(one, settings, context.workspace).items():
            known = key in ("packages", "standalone")  # by sha256
            kept = {sha256: place for sha256, place in value.items() if sha256 in used} if known else value
            places[key] = {**places.get(key, {}), **kept} if known else kept
    return Bytecode(ours, library, sources, places)


def _of_image(base: LockedBase, here: LockedBase, version: str, settings: Settings, context: Context) -> Bytecode:
    if sum(layer.size for layer in here.layers) > _LARGEST:
        raise ResolutionError("its Python would have to be fetched, with more than 1 GiB of layers")
    rows = {one.platform: [{**layer.to_dict(), "kind": LAYER} for layer in one.layers] for one in (here, base)}
    images = {
        layer.digest: {
            "reference": one.reference,
            "digest": one.digest,
            "default_registry": settings.default_registry,
        }
        for one in (here, base)
        for layer in one.layers
    }
    runs = {"parts": rows[here.platform], "program": base.interpreter.lstrip("/")}
    fetch_layers(rows[here.platform], {"images": images}, context)
    home = context.session.own(Interpreters).of(runs, context).home
    assert base.python is not None
    library = f"{home}/lib/python{minor_of(base.python)}"
    name = f"{version} at {base.interpreter} of image {base.digest}"
    return Bytecode(name, library, rows[base.platform], {"interpreter": runs, "images": images})


def _version(base: LockedBase) -> str:
    """What decides about bytecode, in words: the same on all architectures."""
    if base.standalone is not None:
        lock = base.standalone
        return f"CPython {lock.python} ({lock.build or lock.sha256})"
    if base.lock is None:
        exact = base.python is not None and base.python.count(".") > 1
        return f"CPython {base.python}" + ("" if exact else f" of {base.platform}")
    return ", ".join(sorted(f"{one.name} {one.version}" for one in base.lock.packages if _DECIDES.fullmatch(one.name)))


def _archive(base: LockedBase) -> Part:
    lock = base.standalone
    assert lock is not None
    return {
        "kind": "python",
        "digest": f"sha256:{lock.sha256}",
        "python": lock.python,
        "prefix": PREFIX,
        "drop": list(UNUSED),
    }


def debs(base: LockedBase, names: "re.Pattern[str]") -> list[Part]:
    """The Debian packages of a base that have these names, as parts of a recipe."""
    return [
        {"kind": "deb", "name": one.name, "version": one.version, "digest": f"sha256:{one.sha256}", "drop": DROP}
        for one in (base.lock.packages if base.lock is not None else ())
        if names.fullmatch(one.name)
    ]


def places_of(base: LockedBase, settings: Settings, root: str) -> dict[str, Any]:
    """Where the content of a base is fetched from, without that of the one below."""
    path, label = next(iter(base.own_locks), ""), str(base.target.label)
    if base.standalone is not None:
        return standalone.places(base.standalone, settings.python.mirror, root, path, label)
    if base.lock is not None:
        return debian.layer_places(base.lock, settings.debian.mirrors(), path, label)
    return {}
