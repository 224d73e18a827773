"""Imports the plugins of a workspace, and says what code they are made of."""

import hashlib
import os
import sys

from buildrules.actions.registry import Kinds
from buildrules.errors import BuildrulesError, LoadError
from buildrules.workspace.root import check_inside

_PACKAGE = __name__.partition(".")[0]


def import_plugins(root: str, plugins: list[str], kinds: Kinds) -> None:
    """Import the modules, as seen from `root`, and tell `kinds` the digest of their code.

    Their code is all that was imported from the workspace, helpers included. Raises LoadError where one cannot be
    imported, and what it raises itself where that is a BuildrulesError.
    """
    if not plugins:
        kinds.plugins = ""
        return
    if root not in sys.path:
        sys.path.insert(0, root)
    import importlib

    keep = sys.dont_write_bytecode
    # Python trusts byte code by size and whole seconds, which an edit can leave alone.
    sys.dont_write_bytecode = True
    try:
        for name in plugins:
            _check_links(root, name)
            try:
                importlib.import_module(name)
            except BuildrulesError:
                raise
            except Exception as error:  # a plugin is the user's code and may raise anything
                raise _broken(name, error) from error
    finally:
        sys.dont_write_bytecode = keep
    kinds.plugins = plugins_digest(root, root)


def _check_links(root: str, name: str) -> None:
    """Raise LoadError where a file of a plugin is a link out of the workspace: an error of Python would quote it."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        for path in (os.path.join(*parts[:end], "__init__.py"), f"{os.path.join(*parts[:end])}.py"):
            check_inside(root, path)


def plugin_files(root: str) -> list[str]:
    """The files below `root` that modules were imported from, absolute and sorted.

    Without this program's own, which has versions, and without installed ones: they are not the workspace's.
    """
    below = root.rstrip("/") + "/"
    installed = tuple(f"{prefix}/" for prefix in (sys.prefix, sys.base_prefix) if prefix.startswith(below))
    found = set()
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if not path or name.partition(".")[0] in (_PACKAGE, "__main__"):
            continue
        path = os.path.abspath(path)
        if path.startswith(below) and not path.startswith(installed) and "/site-packages/" not in path:
            found.add(path)
    return sorted(found)


def plugins_digest(root: str, folder: str) -> str:
    """A digest, in hex, of the code that was imported from the workspace `root`, as it is in another `folder` of it."""
    total = hashlib.sha256()
    for path in plugin_files(root):
        try:
            with open(os.path.join(folder, os.path.relpath(path, root)), "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            content = ""
        total.update(f"{os.path.relpath(path, root)}\0{content}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _broken(name: str, error: Exception) -> LoadError:
    import traceback

    return LoadError(
        f"the plugin {name!r} cannot be imported",
        hint="plugins are modules, as seen from the root of the workspace; see `plugins` in its workspace section",
        log="".join(traceback.format_exception_only(error)),
    )
