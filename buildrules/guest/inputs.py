"""What a host has to declare for targets: their files, and content that it may fetch."""

from collections.abc import Sequence
from typing import Any

from buildrules.actions.registry import Kinds
from buildrules.credentials.address import path_of
from buildrules.engine.events import Stream
from buildrules.guest.build import check_label
from buildrules.guest.reads import content_of, deciding, files_of, located, workspace_file
from buildrules.net.session import Session
from buildrules.plugins import import_plugins
from buildrules.prepared import prepare
from buildrules.store.store import Store

VERSION = 1
"""Of the form of what `inputs` gives."""


def inputs(
    root: str, labels: Sequence[str], platform: str | None, configurations: Sequence[str], *, urls: bool = False
) -> dict[str, Any]:
    """The inputs of each target, as JSON has it; `root` is absolute. Locks must be there.

    With `urls` package indexes are asked for what locks name without an address. Manifests of base images that the
    store lacks are fetched. Raises LockError where a lock is missing or stale, and what planning raises.
    """
    store = Store()
    targets = []
    try:
        store.lock()
        for label in labels:
            session = Session()
            try:
                targets.append(_of(root, label, platform, configurations, store, session, urls=urls))
            finally:
                session.close()
    finally:
        store.close()
    return {"version": VERSION, "targets": targets}


def _of(
    root: str,
    label: str,
    platform: str | None,
    configurations: Sequence[str],
    store: Store,
    session: Session,
    *,
    urls: bool,
) -> dict[str, Any]:
    options = {"locked": True, "platform": platform, "configurations": tuple(configurations), "done": "built"}
    prepared = prepare(root, "", [label], options, store, Stream(), session, alone=[check_label(label)])
    plan = prepared.plan()
    plan.narrow(())
    import_plugins(root, list(prepared.loaded.workspace.settings.plugins), session.own(Kinds))
    files, folders = files_of(root, prepared, plan)
    content = []
    for one in content_of(plan, session, store.blobs).values():
        path = next((path for url in one.urls if (path := workspace_file(url, root))), None)
        if path is not None:
            files.add(path)
        else:
            # A file of the workspace may be put there one day.
            places = tuple(url for url in one.urls if not (path_of(url) or "").startswith(f"{root}/"))
            if urls:
                places = located(one._replace(urls=places), session, root).urls
            content.append({"name": one.name, "sha256": one.sha256, "size": one.size, "urls": list(places)})
    return {
        "label": label,
        "platform": platform or ",".join(prepared.selection.platforms),
        "files": sorted(files),
        "folders": sorted(folders),
        "decides": sorted(files & deciding(root, prepared)),
        "content": sorted(content, key=lambda row: (row["name"], row["sha256"])),
    }
