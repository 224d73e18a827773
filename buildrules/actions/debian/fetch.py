"""Fetches locked Debian packages from the mirrors of their archives."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from buildrules.actions.debian.locked import LockedPackage, locked_packages
from buildrules.engine.kind import Context, Row
from buildrules.errors import GoneError, IntegrityError
from buildrules.net.session import Session


def fetch_packages(parts: Sequence[Row], places: Mapping[str, Any], context: Context) -> None:
    """Bring packages (`name`, `version`, `digest`) into the store, in parallel; `places` as of `actions.debian.layers`.

    No network and no configuration is touched if all are there. Raises GoneError where the archive no longer has a
    locked package, IntegrityError for one that is not what was locked, FetchError.
    """
    packages = locked_packages(
        [(part["name"], part["version"], part["digest"].removeprefix("sha256:")) for part in parts], places
    )
    if _missing(packages, context):
        with context.session.own(_Turn).lock:  # a base and what is made of it want the same
            _fetch(_missing(packages, context), places, context)


class _Turn:
    """Who fetches packages in a session; all of them at once, and one after the other."""

    def __init__(self, _: Session) -> None:
        self.lock = threading.Lock()


def _missing(packages: Sequence[LockedPackage], context: Context) -> list[LockedPackage]:
    return [one for one in packages if not context.blobs.has(one.sha256, one.size or None)]


def _fetch(missing: Sequence[LockedPackage], places: Mapping[str, Any], context: Context) -> None:
    if not missing:
        return
    from buildrules.actions.debian.mirrors import base_uris
    from buildrules.actions.debian.transport import Wanted, fetch

    bases = base_uris(places["suite"], places.get("mirrors") or {})
    wanted = []
    for one in missing:
        # apt escapes the plus sign as well: there are servers that read it as a space.
        urls = [(f"{base}/{quote(one.path, safe='/~:')}", by_apt) for base, by_apt in bases[one.archive]]
        wanted.append(Wanted(urls, f"sha256:{one.sha256}", one.size, f"{one.name} {one.version}"))
    lock = str(places.get("lock") or "the lock")
    label = str(places.get("label") or "")
    try:
        fetch(wanted, context)
    except GoneError as error:
        raise GoneError(
            f"a debian package of {lock} is gone from the archive: {error.message}",
            hint=f"run 'buildrules lock{' ' + label if label else ''}' to lock today's versions, or set "
            "workspace.debian.snapshot or workspace.debian.mirror to a mirror that keeps old ones",
        ) from None
    except IntegrityError as error:
        raise IntegrityError(
            f"a debian package is not the one in {lock}: {error.message}",
            hint="the mirror is broken or not to be trusted; use another one",
        ) from None
