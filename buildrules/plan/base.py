"""Plans bases: Debian roots, images of others, and interpreters on them."""

from buildrules.actions.params import BaseParams, InterpreterParams
from buildrules.engine.action import Action
from buildrules.locking.locks import LockedBase
from buildrules.workspace.settings import Settings


def base_actions(base: LockedBase, settings: Settings, root: str) -> list[tuple[Action, str]]:
    """The actions that make the layers of a base, the lowest first, and what they hold.

    `root` is the workspace's, below which an interpreter may lie.
    """
    if base.below is None:
        return [(_root(base, settings), "base")]
    return [*base_actions(base.below, settings, root), (_interpreter(base, settings, root), "python")]


def _interpreter(base: LockedBase, settings: Settings, root: str) -> Action:
    from buildrules.locking.standalone.lock import places
    from buildrules.oci.parts.python import DROP, PREFIX

    lock = base.standalone
    assert lock is not None
    (path,) = base.own_locks
    return Action(
        id=f"{base.target.label} {base.platform} interpreter",
        target=str(base.target.label),
        kind="python_layer",
        title=f"python {lock.python}",
        params=InterpreterParams(lock.sha256, lock.python, PREFIX, DROP)._asdict(),
        places=places(lock, settings.python.mirror, root, path, str(base.target.label)),
        weight=300.0,  # asked for before all wheels: without it they are of no use
    )


def _root(base: LockedBase, settings: Settings) -> Action:
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

    (path,) = base.own_locks
    return Action(
        id=f"{target.label} {base.platform} base",
        target=str(target.label),
        kind="debian_layers",
        title=f"base {target.label.name}",
        params=locks.layer_params(base.lock)._asdict(),
        places=locks.layer_places(base.lock, settings.debian.mirrors(), path, str(target.label)),
        weight=3.0,
    )
