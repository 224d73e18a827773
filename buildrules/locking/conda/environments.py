"""Locks the conda packages of environments, upon which their wheels stand."""

import os
from dataclasses import replace

from buildrules.actions.python.target import minor_of
from buildrules.errors import LoadError, Position
from buildrules.locking.conda.channels import DEFAULT_CHANNEL, channel_url
from buildrules.locking.conda.lock import PREFIX, CondaLock, lock_name, read_lock, write_lock
from buildrules.locking.conda.solve import PYTHON_HINT, CondaRequest, make_lock
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedBase, LockedConda
from buildrules.locking.python.collector import Asked, CondaAsked, Requirements
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.disk import CONTENT


def lock_conda(
    target: ResolvedTarget, found: Requirements, base: LockedBase, keeper: LockKeeper
) -> tuple[LockedConda, LockedBase]:
    """The conda packages of `target` on `base`, which `found` asks for, and `base` with their Python.

    Raises LoadError for what its file says wrongly, ResolutionError and what `solve.make_lock` raises.
    """
    values, session = target.values, keeper.session
    keeper.disk.by(target.label).note(CONTENT, *found.files)
    specs, channels, folder = found.conda or CondaAsked([], [], "")
    if (python := values["python"]) is not None:
        place = target.position_of("python")
        assert place is not None
        specs = [one for one in specs if one.name != "python"]
        specs = [*specs, Asked(f"python {python if python[:1] in '<>=!~' else f'{python}.*'}", place)]
    if not specs:
        raise target.error(
            "conda_file", f"{target.label} asks for no conda package", f"name a `conda_file`; {PYTHON_HINT}"
        )
    here = folder
    if values["channels"] is not None:
        channels = [Asked(text, _place(target, number)) for number, text in enumerate(values["channels"])]
        here = target.label.package
    channels = channels or [Asked(DEFAULT_CHANNEL, _place(target, None))]
    served = {one.name: one.target for one in session.connections if one.type == "conda_channel"}
    places: dict[str, Position] = {}  # of the channels, by address
    for one in channels:
        if (url := channel_url(one, keeper.root, here, served)) is not None:
            places.setdefault(url, one.position)
    taken_from: dict[str, str] = {}
    for spec in specs:  # as in conda, a channel that a package names is asked after the others
        if (named := spec.channel) is not None:
            url = channel_url(named, keeper.root, folder, served)
            if url is None:
                raise LoadError(f"{named.text!r} is not a channel", position=spec.position)
            places.setdefault(url, spec.position)
            taken_from[spec.text] = url
    request = CondaRequest(
        name=target.lock_name,
        root=keeper.root,
        platform=base.platform,
        glibc=base.glibc,
        specs=specs,
        channels=list(places),
        cuda=values["cuda"] or (values["gpu"] or {}).get("cuda") or "",
        places=places,
        taken_from=taken_from,
    )
    path = _path(target, base.platform)

    def make(old: CondaLock | None) -> CondaLock:
        for note in found.notes:  # before the solver may fail for what they say
            keeper.warn(note)
        return make_lock(request, session, old, keeper.upgrade)

    lock = keeper.obtain(
        path,
        _what(target),
        read=read_lock,
        stale=lambda old: "what it is asked to hold has changed" if old.inputs != request.digest() else None,
        make=make,
        write=write_lock,
        of=target.label,
        on=(base.target.label,),
        versions=lambda lock: lock.versions(),
    )
    interpreter = f"/{PREFIX}/bin/python{minor_of(lock.python)}"
    there = replace(
        base, python=lock.python, interpreter=interpreter, bytecode=None, uncompiled="", free_threaded=False
    )
    return LockedConda(lock, path, keeper.digest(path)), there


def require(target: ResolvedTarget, platform: str, keeper: LockKeeper) -> None:
    """With `--locked`: refuse the conda lock of `target` if it is not there."""
    keeper.require(_path(target, platform), _what(target))


def _path(target: ResolvedTarget, platform: str) -> str:
    return os.path.join(target.label.package, lock_name(target.lock_name, platform))


def _what(target: ResolvedTarget) -> str:
    return f"the conda packages of {target.label}"


def _place(target: ResolvedTarget, number: int | None) -> Position:
    found = target.position_of("channels", number)
    assert found is not None
    return found
