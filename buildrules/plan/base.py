"""Plans bases: Debian roots and images of others."""

from buildrules.actions.params import BaseParams
from buildrules.engine.action import Action
from buildrules.locking.locks import LockedBase
from buildrules.workspace.settings import Settings


def base_action(base: LockedBase, settings: Settings) -> Action:
    """The action that makes the layers of a base."""
    target = base.target
    if base.lock is None:
        return Action(
            id=f"{target.label} {base.platform} base",
            target=str(target.label),
            kind="oci_base",
            title=f"base {target.label.name}",
            params=BaseParams(base.digest, base.platform, target.values["python"])._asdict(),
            places={"reference": base.reference, "digest": base.digest, "default_registry": settings.default_registry},
            weight=1.0,
        )
    from buildrules.locking.debian import lock as locks

    (path,) = base.locks
    return Action(
        id=f"{target.label} {base.platform} base",
        target=str(target.label),
        kind="debian_layers",
        title=f"base {target.label.name}",
        params=locks.layer_params(base.lock)._asdict(),
        places=locks.layer_places(base.lock, settings.debian.mirrors(), path, str(target.label)),
        weight=3.0,
    )
