"""Where a build writes, which is nowhere that a host keeps its inputs: only what the guest wrote is ever removed."""

import json
import os
import shutil

from buildrules.errors import UsageError
from buildrules.guest.declared import Declared
from buildrules.oci.whole_file import writing

_OWN = "name a folder that holds nothing else, such as '--out out/app'"


def check_out(root: str, declared: Declared, out: str, depfile: str | None) -> None:
    """Raise UsageError where the folder `out` is the workspace or holds an input, or `depfile` is one."""
    top, place = os.path.realpath(root), os.path.realpath(out)
    if os.path.lexists(out) and not os.path.isdir(out):
        raise UsageError(f"cannot write the result {out!r}: it is no folder", hint=_OWN)
    if f"{top}/".startswith(f"{place.rstrip('/')}/"):
        raise UsageError(f"cannot write the result {out!r}: the workspace lies there", hint=_OWN)
    below = [path for path in declared.content.values() if path.startswith(f"{place}/")]
    if place.startswith(f"{top.rstrip('/')}/"):
        folder = f"{os.path.relpath(place, top)}/"
        below += [path for path in sorted(declared.files | declared.folders) if f"{path}/".startswith(folder)]
    if below:
        raise UsageError(f"cannot write the result {out!r}: the input '{below[0]}' lies there", hint=_OWN)
    if depfile is not None:
        real = os.path.realpath(depfile)
        named = os.path.join(os.path.realpath(os.path.dirname(depfile)), os.path.basename(depfile))
        files = {os.path.relpath(path, top) for path in (real, named)}
        if real in declared.content.values() or not declared.files.isdisjoint(files):
            raise UsageError(f"cannot write the depfile {depfile!r}: it is an input", hint="name another file")


def make_way(out: str, layout: bool) -> None:
    """Make the folder `out`, and remove the layout of an earlier build: what is there follows from the inputs alone.

    It is known by descriptor.json beside it, which is written before it. Raises UsageError where that cannot be done,
    or where a `layout` is wanted and something else lies in its place.
    """
    place = os.path.join(out, "layout")
    with writing("result", out):
        os.makedirs(out, exist_ok=True)
        if not os.path.lexists(place) or (os.path.isdir(place) and not os.listdir(place)):
            return  # Bazel makes the folders of its outputs
        if _is_ours(out, place):
            shutil.rmtree(place)
        elif layout:
            raise UsageError(f"cannot write the layout {place!r}: something else is there", hint=_OWN)


def _is_ours(out: str, place: str) -> bool:
    try:
        with open(os.path.join(out, "descriptor.json"), "rb") as file:
            digest = json.load(file)["digest"]
        if not os.path.lexists(index := os.path.join(place, "index.json")):  # a build that was killed
            return not os.path.islink(place) and os.listdir(place) == ["blobs"]
        with open(index, "rb") as file:
            entries = json.load(file)["manifests"]
        return not os.path.islink(place) and {entry["digest"] for entry in entries} == {digest}
    except (OSError, ValueError, LookupError, TypeError):
        return False
