"""Whether wheels that are here already bring one file twice: said as soon as they are locked together.

Nothing is fetched for it. A build looks at all wheels of an image before it lays them (`actions.python.installed`), and
so at those that are not here yet, that are built from source, or that cannot be read.
"""

import contextlib
import os
from typing import TYPE_CHECKING

from buildrules.actions.python.installed import Distribution, check_paths
from buildrules.errors import ActionError, IntegrityError
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedEnvironment, Locks
from buildrules.locking.python.locked import WHEEL
from buildrules.oci import recipe
from buildrules.rules.contribution import VENV
from buildrules.workspace.root import check_inside

if TYPE_CHECKING:
    from buildrules.locking.python.locked import LockedFile


def check_owners(locks: Locks, keeper: LockKeeper, *, whole: bool) -> None:
    """Raise ActionError, with the place of the environment, where wheels of one image are in each other's way.

    Those of the store and of the workspace are looked at: of locks that were made now, with `whole` of all.
    """
    images = [*(parts.installed for parts in locks.packages.values()), *([env] for env in locks.environments.values())]
    images = [envs for envs in images if whole or any(env.path in keeper.made for env in envs)]
    different = {tuple((env.path, env.target.label) for env in envs): envs for envs in images if envs}
    known: dict[tuple[str, str], Distribution | None] = {}  # by sha256 and Python
    for number, envs in enumerate(different.values()):
        keeper.context.progress("looking at the files of wheels", number, len(different))
        _check(envs, keeper, known)


def _check(
    envs: list[LockedEnvironment], keeper: LockKeeper, known: dict[tuple[str, str], Distribution | None]
) -> None:
    env, found = envs[0], []
    for name, file in ((one.name, one.file) for each in envs for one in each.added if one.kind == WHEEL):
        key = (file.sha256 if file else "", env.lock.target.python_name)
        if file is not None and key not in known:
            known[key] = _distribution(file, key[1], keeper)
        if (one := known.get(key)) is not None:
            found.append((name in env.prefer, one))
    found.sort(key=lambda row: row[0])  # what is preferred is laid last
    try:
        with env.target.errors_at("requirements"):
            check_paths([one for _, one in found], frozenset(env.prefer))
    except ActionError:
        blobs = keeper.context.blobs
        digests = [str(one.part["digest"]) for _, one in found if one.archive.startswith(blobs.root)]
        if all(map(blobs.right, digests)):  # else the store is damaged, which builds mend
            raise


def _distribution(file: "LockedFile", python: str, keeper: LockKeeper) -> Distribution | None:
    """What a wheel says of itself; None where it is not here, or cannot be read."""
    digest = f"sha256:{file.sha256}"
    path = keeper.context.blobs.local(digest)
    if path is None and file.path is not None:
        path = os.path.join(keeper.root, file.path)
        check_inside(keeper.root, file.path)
    if path is None or not os.path.isfile(path):
        return None
    with contextlib.suppress(IntegrityError, OSError):
        return Distribution(recipe.wheel(digest, file.filename, VENV.strip("/"), python), path)
    return None
