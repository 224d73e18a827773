"""What a build reads: files of the workspace, and content that is fetched, as the plan and the locks say it."""

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from buildrules.actions.registry import Kinds
from buildrules.credentials.address import path_of
from buildrules.credentials.connections import Connections
from buildrules.credentials.redact import redact
from buildrules.engine.action import Action
from buildrules.engine.kind import Row
from buildrules.engine.plan import Plan
from buildrules.engine.step import Step
from buildrules.locking.locks import LockedBase
from buildrules.net.session import Session
from buildrules.oci.reference import LAYOUT, REGISTRY, Reference, parse_reference
from buildrules.plugins import plugin_files
from buildrules.prepared import Prepared
from buildrules.store.blobs import Blobs
from buildrules.workspace.disk import CONTENT, SHAPE, Disk
from buildrules.workspace.globs import expand
from buildrules.workspace.root import read_inside


class Read(NamedTuple):
    """A path of the workspace that matters to a target (its label), or to the whole ("")."""

    path: str
    target: str


def looked_at(disk: Disk) -> Iterator[Read]:
    """The paths that loading and settling read, or looked for."""
    return (Read(path, reader) for what in (CONTENT, SHAPE) for path, reader in disk.readers(what))


def sources_of(root: str, plan: Plan) -> Iterator[tuple[Read, os.stat_result]]:
    """The files, links that are kept and empty folders that the steps of a plan read in the workspace `root`."""
    seen = set()
    for name in plan.everything():
        action = plan.actions[name]
        for source in action.sources:
            if source not in seen:
                seen.add(source)
                keep = source.layer_prefix is not None
                files, _ = expand(root, source.directory, source.include, source.exclude, keep)
                yield from ((Read(path, action.target), status) for path, _, status in files)


def asked_of(root: str, prepared: Prepared) -> Iterator[Read]:
    """What is looked at without being read, and must be there: requests of packages, and layers of layouts."""
    for locks in prepared.all_locks:
        for parts in locks.packages.values():
            label = str(parts.parts.package.label)
            yield from (Read(path, label) for path in layout_files(root, parts.base))
            values = parts.parts.package.values
            for path in filter(None, (values["sample_request"], values["expected_response"])):
                inside = expand(root, path, ["**"])[0] if os.path.isdir(os.path.join(root, path)) else [(path,)]
                yield from (Read(file[0], label) for file in inside)
        for base in locks.bases.values():
            yield from (Read(path, str(base.target.label)) for path in layout_files(root, base))


def files_of(root: str, prepared: Prepared, plan: Plan) -> tuple[set[str], set[str]]:
    """The workspace-relative paths of the files that a first build opens, and of the empty folders that it keeps.

    What is planned from (BUILD.yaml files, rules, locks, requirements, plugins), the sources of all steps, and what
    must be there; files that links lead to go by the names of the links. Raises what planning raises.
    """
    found = {one.path for one in looked_at(prepared.disk) if os.path.isfile(f"{root}/{one.path}")}
    if prepared.loaded.workspace.settings.plugins:
        found |= {os.path.relpath(path, root) for path in plugin_files(root)}
    folders: set[str] = set()
    for one, status in sources_of(root, plan):
        (folders if stat.S_ISDIR(status.st_mode) else found).add(one.path)
    found |= {one.path for one in asked_of(root, prepared)}
    return {path for path in found if not path.startswith(("/", "../"))}, folders


def deciding(root: str, prepared: Prepared) -> set[str]:
    """The workspace-relative paths of files that say what is built from which files; of no sources of steps."""
    plugins = plugin_files(root) if prepared.loaded.workspace.settings.plugins else []
    return {*prepared.disk.seen(CONTENT), *(os.path.relpath(path, root) for path in plugins)}


def layout_files(root: str, base: LockedBase) -> Iterator[str]:
    """The descriptions of the image, in a layout of the workspace, that a base is: manifest, configuration, layers, and
    the indexes that lead there.
    """
    layout = base.lowest.target.values.get("layout")

    def image(path: str) -> list[str]:
        manifest = json.loads(read_inside(root, path))
        named = [str(one["digest"]).replace(":", "/") for one in (manifest["config"], *manifest["layers"])]
        return [path, *(f"{layout}/blobs/{name}" for name in named)]

    def way(descriptors: list[dict[str, Any]]) -> list[str]:
        for descriptor in descriptors:
            digest = str(descriptor["digest"])
            path = f"{layout}/blobs/{digest.replace(':', '/')}"
            if digest == base.lowest.digest:
                return image(path)
            if ".index." in (form := str(descriptor.get("mediaType"))) or ".list." in form:
                below = way(json.loads(read_inside(root, path))["manifests"])
                if below:
                    return [path, *below]
        return []

    if layout is not None:
        with contextlib.suppress(OSError, ValueError, KeyError):  # what is wrong there, the build says
            if os.path.exists(f"{root}/{layout}/index.json"):
                yield from way(json.loads(read_inside(root, f"{layout}/index.json"))["manifests"])
            else:
                yield from image(f"{layout}/blobs/{base.lowest.digest.replace(':', '/')}")


class Content(NamedTuple):
    """Content that a build fetches. `kind` is that of a recipe's part, `urls` hold no credential."""

    name: str
    sha256: str
    size: int | None
    urls: tuple[str, ...]
    kind: str
    target: str
    places: Mapping[str, Any]


def content_of(plan: Plan, session: Session, blobs: Blobs) -> dict[str, Content]:
    """What the steps of a plan fetch, by sha256 (hex). `blobs` tell what the manifests of base images name."""
    found: dict[str, Content] = {}
    kinds = session.own(Kinds)
    for name in plan.needed():
        action = plan.actions[name]
        rows: Iterable[Row] = kinds.named(action.kind).traits.content(
            Step(action.kind, 0, action.title, action.params, places=action.places)
        )
        if action.kind == "oci_base" and _reference(action.places).transport != LAYOUT:
            rows = _image(action, blobs)
        if action.kind == "fetched_model":
            rows = _unpacked(rows, action.places)
        for row in rows:
            sha256 = row["digest"].removeprefix("sha256:")
            found.setdefault(sha256, _content(row, sha256, action, session.connections))
    return found


def located(one: Content, session: Session, root: str) -> Content:
    """The same with the address that a package index has for it now, where the lock has none. Raises as fetching."""
    if one.urls or one.kind not in ("wheel", "sdist") or not one.places.get("index"):
        return one
    from buildrules.actions.python.fetch import locked_file
    from buildrules.actions.python.index import LockedFiles

    row = locked_file({"filename": one.name, "digest": f"sha256:{one.sha256}"})
    found = session.own(LockedFiles).locate([row], one.places["index"], root)
    return one._replace(urls=(redact(found[one.name]),))


def workspace_file(url: str, root: str) -> str | None:
    """The workspace-relative path of the file that an address names, None for all other addresses."""
    path = path_of(url) or ""
    return path[len(root) + 1 :] if path.startswith(f"{root}/") and os.path.isfile(path) else None


def _unpacked(rows: Iterable[Row], places: Mapping[str, Any]) -> Iterator[Row]:
    """The files of a model that is fetched, with the archives that bring them in their places."""
    files = {row["sha256"]: row for row in places["files"]}
    archives = {row["sha256"]: row for row in places["archives"]}
    for row in rows:
        file = files[row["digest"].removeprefix("sha256:")]
        archive = archives.get(file.get("archive"))
        yield row if archive is None else {**row, **archive, "digest": f"sha256:{archive['sha256']}"}


def _image(action: Action, blobs: Blobs) -> Iterator[Row]:
    """Manifest, configuration and layers of a base image in a registry."""
    digest = action.params["digest"]
    yield {"kind": "manifest", "digest": digest}
    with contextlib.suppress(OSError, ValueError, KeyError):
        manifest = json.loads(blobs.read(digest))
        for one in (manifest["config"], *manifest["layers"]):
            yield {"kind": "layer", "digest": str(one["digest"]), "size": one["size"]}


def _content(row: Row, sha256: str, action: Action, connections: Connections) -> Content:
    places = action.places
    kind, filename = row["kind"], str(row.get("filename") or "")
    size = row.get("size")
    urls: list[str] = []
    if kind in ("wheel", "sdist", "conda"):
        given = (places.get("urls") or {}).get(filename) or []
        urls = [given] if isinstance(given, str) else list(given)
        size = (places.get("sizes") or {}).get(filename)
    elif kind == "deb":
        archive, path, size = (places.get("packages") or {}).get(sha256) or ("main", "", None)
        filename, urls = f"{row['name']}_{row['version']}.deb", _of_debian(places, archive, path)
    elif kind == "python":
        known = (places.get("standalone") or {}).get(sha256) or places
        filename, urls = str(known.get("filename") or ""), list(known.get("urls") or ())
    elif kind in ("layer", "manifest"):
        image = (places.get("images") or {}).get(row["digest"], places)
        filename, urls = f"{kind} {sha256[:12]}", _of_registry(image, kind, row["digest"], connections)
    elif kind == "file":
        filename = str(row["path"])
        source = places.get("source") or {}
        if source.get("kind") == "http" and len(places["files"]) == 1:
            urls = [str(source["url"])]
    shown = tuple(redact(url) for url in urls)
    return Content(filename or sha256[:12], sha256, size or None, shown, kind, action.target, places)


def _of_debian(places: Mapping[str, Any], archive: str, path: str) -> list[str]:
    from urllib.parse import quote

    from buildrules.actions.debian.mirrors import base_uris
    from buildrules.errors import BuildrulesError

    try:
        bases = base_uris(places["suite"], places.get("mirrors") or {})[archive]
    except (BuildrulesError, KeyError):  # a machine without apt knows no mirror
        return []
    return [f"{base}/{quote(path, safe='/~:')}" for base, _ in bases] if path else []


def _reference(image: Mapping[str, Any]) -> Reference:
    return parse_reference(str(image["reference"]), image.get("default_registry"))


def _of_registry(image: Mapping[str, Any], kind: str, digest: str, connections: Connections) -> list[str]:
    from buildrules.oci.auth import endpoint
    from buildrules.start.registry import base

    reference = _reference(image)
    if reference.transport != REGISTRY:
        return []
    serving = connections.serving_registry(reference.host, reference.name)
    plain = image.get("plain_http") or (serving is not None and serving.plain_http)
    host, name = endpoint(reference.host, reference.name)
    server = base({"registry": host, "plain_http": plain})
    return [f"{server}/v2/{name}/{'manifests' if kind == 'manifest' else 'blobs'}/{digest}"]
