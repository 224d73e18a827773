"""Plans the layers of conda packages."""

from collections.abc import Iterator

from buildrules.engine.action import Action
from buildrules.locking.conda.lock import CondaLock, places
from buildrules.locking.locks import LockedEnvironment
from buildrules.plan.partition import partition

LAYERS = 40
"""At most. An environment of conda packages and wheels has no more of both than one of wheels."""
_BYTES_PER_SECOND = 30e6  # for weights only


def conda_layers(env: LockedEnvironment, lock: CondaLock, root: str) -> Iterator[Action]:
    """A layer for each package that is large, and some for the small ones. `root` is the workspace's."""
    by_name = {one.name: one for one in lock.packages}
    rows = [{"name": one.name, "version": one.version, "size": one.size} for one in lock.packages]
    for title, group in partition(rows, LAYERS, what="conda packages"):
        packages = [by_name[row["name"]] for row in group]
        yield Action(
            id=f"{env.target.label} {env.base.platform} conda {title if len(group) > 1 else packages[0].name}",
            target=str(env.target.label),
            kind="conda_layer",
            title=title,
            params=lock.params(packages)._asdict(),
            places=places(packages, root),
            weight=0.02 + sum(one.size for one in packages) / _BYTES_PER_SECOND,
        )
