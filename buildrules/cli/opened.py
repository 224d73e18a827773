"""Which files of the workspace a build opens."""

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from buildrules.actions.registry import Kinds
from buildrules.cli.plugins import import_plugins, plugin_files
from buildrules.cli.prepared import prepare
from buildrules.engine.events import Stream
from buildrules.locking.locks import LockedBase
from buildrules.net.session import Session
from buildrules.store.store import Store
from buildrules.workspace.disk import CONTENT
from buildrules.workspace.globs import expand
from buildrules.workspace.root import read_inside


def opened(root: str, patterns: list[str], configurations: Sequence[str] = ()) -> list[str]:
    """The workspace-relative paths of the files that a first build of these opens, sorted.

    What is planned from (every BUILD.yaml, rules, locks, requirements, plugins), the sources of all steps, and the
    files of requests, which must be there; files that links lead to go by the names of the links. Raises LockError
    where there is no lock, and what planning raises.
    """
    if not patterns:
        return []
    store, session = Store(), Session()
    try:
        store.lock()
        options = {"locked": True, "configurations": tuple(configurations)}
        prepared = prepare(root, "", patterns, options, store, Stream(), session)
        plan = prepared.plan()
        plugins = list(prepared.loaded.workspace.settings.plugins)
        import_plugins(root, plugins, session.own(Kinds))
        found = {path for path in prepared.disk.seen(CONTENT) if os.path.isfile(os.path.join(root, path))}
        found |= {os.path.relpath(path, root) for path in (plugin_files(root) if plugins else ())}
        for source in {source for name in plan.everything() for source in plan.actions[name].sources}:
            keep = source.layer_prefix is not None
            files, _ = expand(root, source.directory, source.include, source.exclude, keep)
            found |= {path for path, _, status in files if stat.S_ISREG(status.st_mode)}
        for parts in prepared.locks.packages.values():
            found.update(_of_layout(root, parts.base))
            asked = parts.parts.package.values  # these are only looked at, but without them a build fails
            for path in filter(None, (asked["sample_request"], asked["expected_response"])):
                inside = expand(root, path, ["**"])[0] if os.path.isdir(os.path.join(root, path)) else [(path,)]
                found |= {file[0] for file in inside}
        for base in prepared.locks.bases.values():
            found.update(_of_layout(root, base))
    finally:
        session.close()
        store.close()
    return sorted(path for path in found if not path.startswith(("/", "../")))


def _of_layout(root: str, base: LockedBase) -> Iterator[str]:
    """The descriptions of the image, in a layout of the workspace, that a base is: manifest, configuration, layers, and
    the indexes that lead there.
    """
    layout = base.lowest.target.values.get("layout")

    def way(descriptors: list[dict[str, Any]]) -> list[str]:
        for descriptor in descriptors:
            digest = str(descriptor["digest"])
            path = f"{layout}/blobs/{digest.replace(':', '/')}"
            if digest == base.lowest.digest:
                manifest = json.loads(read_inside(root, path))
                named = [str(one["digest"]).replace(":", "/") for one in (manifest["config"], *manifest["layers"])]
                return [path, *(f"{layout}/blobs/{name}" for name in named)]
            if ".index." in (form := str(descriptor.get("mediaType"))) or ".list." in form:
                below = way(json.loads(read_inside(root, path))["manifests"])
                if below:
                    return [path, *below]
        return []

    if layout is not None:
        with contextlib.suppress(OSError, ValueError, KeyError):  # what is wrong there, the build says
            yield from way(json.loads(read_inside(root, f"{layout}/index.json"))["manifests"])
