"""What a host has to declare for targets: their files, and content that it may fetch."""

from collections.abc import Collection, Sequence
from contextlib import closing
from typing import Any

from buildrules.actions.registry import Kinds
from buildrules.credentials.address import path_of
from buildrules.engine.events import Stream
from buildrules.engine.plan import Plan
from buildrules.guest.reads import content_of, deciding, files_of, located, workspace_file
from buildrules.net.session import Session
from buildrules.plugins import import_plugins
from buildrules.prepared import Prepared, prepare
from buildrules.store.store import Store
from buildrules.workspace.labels import Label, parse_label

VERSION = 1
"""Of the form of what `inputs` gives."""


def opened(root: str, patterns: list[str], configurations: Sequence[str] = ()) -> list[str]:
    """The workspace-relative paths of the files that a first build of these opens, sorted: see `reads.files_of`.

    Raises LockError where there is no lock, and what planning raises.
    """
    if not patterns:
        return []
    with closing(Store()) as store, closing(Session()) as session:
        store.lock()
        prepared, plan = _planned(root, patterns, {"configurations": tuple(configurations)}, store, session)
        return sorted(files_of(root, prepared, plan)[0])


def inputs(
    root: str, labels: Sequence[str], platform: str | None, configurations: Sequence[str], *, urls: bool = False
) -> dict[str, Any]:
    """The inputs of each target, as JSON has it; `root` is absolute. Locks must be there.

    With `urls` package indexes are asked for what locks name without an address. Manifests of base images that the
    store lacks are fetched. Raises LockError where a lock is missing or stale, and what planning raises.
    """
    options = {"platform": platform, "configurations": tuple(configurations), "done": "built"}
    targets = []
    with closing(Store()) as store:
        store.lock()
        for label in labels:
            with closing(Session()) as session:
                targets.append(_of(root, label, options, store, session, urls=urls))
    return {"version": VERSION, "targets": targets}


def _planned(
    root: str,
    patterns: list[str],
    options: dict[str, Any],
    store: Store,
    session: Session,
    alone: Collection[Label] = (),
) -> tuple[Prepared, Plan]:
    prepared = prepare(root, "", patterns, {**options, "locked": True}, store, Stream(), session, alone=alone)
    plan = prepared.plan()
    import_plugins(root, list(prepared.loaded.workspace.settings.plugins), session.own(Kinds))
    return prepared, plan


def _of(
    root: str, label: str, options: dict[str, Any], store: Store, session: Session, *, urls: bool
) -> dict[str, Any]:
    prepared, plan = _planned(root, [label], options, store, session, [parse_label(label)])
    plan.narrow(())
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
        "label": str(parse_label(label)),
        "platform": options["platform"] or ",".join(prepared.selection.platforms),
        "files": sorted(files),
        "folders": sorted(folders),
        "decides": sorted(files & deciding(root, prepared)),
        "content": sorted(content, key=lambda row: (row["name"], row["sha256"])),
    }
