"""Which files of the workspace a build opens."""

from collections.abc import Sequence

from buildrules.actions.registry import Kinds
from buildrules.engine.events import Stream
from buildrules.guest.reads import files_of
from buildrules.net.session import Session
from buildrules.plugins import import_plugins
from buildrules.prepared import prepare
from buildrules.store.store import Store


def opened(root: str, patterns: list[str], configurations: Sequence[str] = ()) -> list[str]:
    """The workspace-relative paths of the files that a first build of these opens, sorted: see `guest.reads.files_of`.

    Raises LockError where there is no lock, and what planning raises.
    """
    if not patterns:
        return []
    store, session = Store(), Session()
    try:
        store.lock()
        options = {"locked": True, "configurations": tuple(configurations)}
        prepared = prepare(root, "", patterns, options, store, Stream(), session)
        import_plugins(root, list(prepared.loaded.workspace.settings.plugins), session.own(Kinds))
        return sorted(files_of(root, prepared, prepared.plan())[0])
    finally:
        session.close()
        store.close()
