"""Finds what a plain build would read and the host has not declared: an error, and no silent difference."""

import os
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES

from buildrules.analysis.loaded import Loaded
from buildrules.document.nodes import Node
from buildrules.engine.plan import Plan
from buildrules.errors import BuildrulesError, LoadError, UndeclaredError
from buildrules.guest.declared import blob_of
from buildrules.guest.reads import Content, Read, asked_of, looked_at, sources_of
from buildrules.prepared import Prepared
from buildrules.store.blobs import Blobs
from buildrules.workspace.disk import Disk
from buildrules.workspace.globs import selects
from buildrules.workspace.labels import parse_label
from buildrules.workspace.root import BUILD_FILE, Tree

_WORD = re.compile(r"//([\w./-]*)")
_NO_BLOB = re.compile(r"layout '([^']*)' has no blob sha256:([0-9a-f]{64})")


class Undeclared:
    """Compares the laid-out `tree` with the host's folder `root`, for the target `label`; what lies in the folder `out`
    is not looked at.
    """

    def __init__(self, tree: Tree, root: str, out: str, label: str) -> None:
        self._label = label
        self._tree = tree
        self._root = Tree(root, ("/",))  # only names are looked at, wherever they lead
        self._out = os.path.realpath(out)

    def check_plan(self, prepared: Prepared, plan: Plan, blobs: Blobs) -> None:
        """Raise UndeclaredError for what the steps of a plan, or what it was made from, would see in the folder.

        What a base image in a layout is made of must be there in any case, as a file or in `blobs`: without it bytecode
        is left out.
        """
        plugins = [name.replace(".", "/") for name in prepared.loaded.workspace.settings.plugins]
        modules = [Read(f"{name}{ending}", "") for name in plugins for ending in (".py", "/__init__.py")]
        seen = [*modules, *looked_at(prepared.disk), *(one for one, _ in sources_of(self._root, plan))]
        base = [one for one in asked_of(self._tree, prepared) if not os.path.lexists(f"{self._tree}/{one.path}")]
        named = [one for one in base if (digest := blob_of(one.path)) is None or not blobs.has(digest)]
        self._refuse([*self._missing(seen), *named], prepared.loaded)

    def explain(self, error: BuildrulesError, disk: Disk) -> None:
        """Raise UndeclaredError where an error of loading may come of what is not declared."""
        seen = list(looked_at(disk))
        errors = error.errors if isinstance(error, LoadError) else [error]
        said = " ".join(f"{one.message} {one.hint or ''}" for one in errors)
        packages = {word.rstrip("/.") for word in _WORD.findall(said)}
        seen += [Read(posixpath.join(package, BUILD_FILE), "") for package in packages]
        seen += [Read(f"{layout}/blobs/sha256/{name}", "") for layout, name in _NO_BLOB.findall(said)]
        self._refuse(self._missing(seen), None, errors[0])

    def check_imports(self, names: Iterable[str]) -> None:
        """Raise UndeclaredError for what a plain build would have imported for these names of modules."""
        self._refuse(self._missing(Read(path, "") for name in names for path in self._modules(name)), None)

    def _modules(self, name: str) -> Iterator[str]:
        """The paths that Python takes for a module before that which it took here."""
        top = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
        if "." in name and top and not top.startswith(f"{self._tree}/"):
            return  # a part of what is installed
        path = name.replace(".", "/")
        for ending in ("/__init__.py", *EXTENSION_SUFFIXES, ".py"):
            if os.path.lexists(f"{self._tree}/{path}{ending}"):
                return
            yield f"{path}{ending}"
        if name not in sys.modules:
            yield path  # a folder alone is a package as well

    def _missing(self, seen: Iterable[Read]) -> Iterator[Read]:
        for one in seen:
            if not one.path.startswith(("/", "../")) and not os.path.lexists(f"{self._tree}/{one.path}"):
                place = f"{self._root}/{one.path}"
                inside = f"{os.path.realpath(place)}/".startswith(f"{self._out}/")
                if os.path.lexists(place) and not inside:
                    yield one

    def _refuse(self, missing: Iterable[Read], loaded: Loaded | None, led: BuildrulesError | None = None) -> None:
        found = {one.path: one for one in missing}
        if not found:
            return
        wanted = {path: _wanted_by(found[path], loaded) for path in sorted(found)}
        more = f" and {len(wanted) - 5} more" if len(wanted) > 5 else ""
        exclude = ", or exclude it in the target" if any(by_glob for _, by_glob in wanted.values()) else ""
        lines = [f"'{path}'{said}" for path, (said, _) in wanted.items()]
        raise UndeclaredError(
            f"not declared: {', '.join(lines[:5])}{more}{f'; so {led.message}' if led else ''}",
            hint=f"add it to the inputs: {way_out(self._label)}{exclude}",
            position=led.position if led else None,
        )


def way_out(label: str) -> str:
    """How to have the inputs of a target right, for a hint."""
    return (
        f"'buildrules guest inputs {label}' lists them all, and where export-to wrote the rules, run 'buildrules"
        " export-to FORMAT' again"
    )


def _wanted_by(read: Read, loaded: Loaded | None) -> tuple[str, bool]:
    """Which target wants a path, and by which attribute, as far as that can be told; and whether that's by a glob."""
    if not read.target or (read.target.startswith("//") and ":" not in read.target):
        return "", False
    label = parse_label(read.target, "")
    target = loaded.workspace.targets.get(label) if loaded is not None else None
    for name, node in target.attributes.items() if target is not None else ():
        for text in _texts(node):
            if _names(text, read, label.package):
                return f", which {read.target} wants by '{name}'", not {"*", "?", "["}.isdisjoint(text)
    return f", which {read.target} wants", False


def _names(text: str, read: Read, package: str) -> bool:
    place = posixpath.normpath(posixpath.join(package, text))
    if f"{read.path}/".startswith(f"{place}/"):
        return True
    try:
        return selects(posixpath.relpath(read.path, package or "."), [text])
    except LoadError:
        return False


def _texts(node: Node) -> Iterator[str]:
    if node.kind == "map":
        for below in node.entries.values():
            yield from _texts(below)
    elif node.kind == "list":
        for below in node.items:
            yield from _texts(below)
    elif not node.is_null:
        yield node.text


def check_content(wanted: Iterable[Content], blobs: Blobs, there: Iterable[str], label: str) -> None:
    """Raise UndeclaredError for content that is neither given nor in a file of the workspace, of the urls `there`."""
    known = set(there)
    missing = [one for one in wanted if not blobs.has(one.sha256) and known.isdisjoint(one.urls)]
    if missing:
        lines = [f"{one.name} (sha256:{one.sha256}), which {one.target} wants" for one in missing[:5]]
        more = f", and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise UndeclaredError(
            f"content is not declared, and nothing is fetched: {', '.join(lines)}{more}",
            hint=f"add a line 'sha256:HEX  PATH' for each to the inputs: {way_out(label)}",
        )
