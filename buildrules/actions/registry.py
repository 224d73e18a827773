"""The kinds of actions by name. A kind's module is imported when its first action runs.

The versions of the built-in kinds stand here as well, because a key needs the version and not the code: an edit of
one script must not import the code for Debian packages. A plugin, a module named in `workspace.plugins`, adds its
own kind with `register`.
"""

import importlib

from buildrules.engine.kind import Kind
from buildrules.errors import UsageError

_BUILTIN = {
    "entry_script": ("buildrules.actions.entry_script:EntryScript", 2),
    "files_layer": ("buildrules.actions.files:FilesLayer", 1),
    "inline_layer": ("buildrules.actions.inline:InlineLayer", 1),
    "model_layers": ("buildrules.actions.models.layers:ModelLayers", 3),
    "fetched_model": ("buildrules.actions.models.fetched:FetchedModel", 2),
    "start_layers": ("buildrules.actions.models.start:StartLayers", 2),
    "wheel_layer": ("buildrules.actions.python.wheel_layer:WheelLayer", 2),
    "build_wheel": ("buildrules.actions.python.sdist:BuildWheel", 1),
    "debian_layers": ("buildrules.actions.debian.layers:DebianLayers", 1),
    "oci_base": ("buildrules.actions.oci_base:OciBase", 2),
    "lint": ("buildrules.actions.linting:Lint", 2),
    "group": ("buildrules.actions.group:Group", 1),
    "package_test": ("buildrules.actions.testing:PackageTest", 3),
    "image": ("buildrules.actions.image:ImageKind", 2),
    "index": ("buildrules.actions.image:IndexKind", 1),
}
"""name -> (module:class, version). The class's own `version` is the same; a test holds them together."""

_kinds: dict[str, Kind] = {}
_plugins = {"digest": ""}  # of the code of all plugins


def register(kind: Kind) -> None:
    """Add a kind of action. Raises UsageError where the name is taken by another class."""
    present = _kinds.get(kind.name)
    if kind.name in _BUILTIN or (present is not None and type(present) is not type(kind)):
        raise UsageError(f"there is a kind of action named {kind.name!r} already")
    _kinds[kind.name] = kind


def kind_named(name: str) -> Kind:
    """The kind of that name. Raises UsageError where there is none."""
    kind = _kinds.get(name)
    if kind is None:
        place, _ = _BUILTIN.get(name, (None, 0))
        if place is None:
            raise UsageError(
                f"no kind of action is named {name!r}", hint="list the module that registers it in workspace.plugins"
            )
        module, _, attribute = place.partition(":")
        kind = _kinds[name] = getattr(importlib.import_module(module), attribute)()
    assert kind is not None
    return kind


def plugins_are(digest: str) -> None:
    """Say what code the plugins are made of: a digest in hex, "" for none. It becomes part of their kinds' versions."""
    _plugins["digest"] = digest


def kind_version(name: str) -> int | str:
    """The version of the kind of that name, without importing a built-in one. Raises UsageError where there is none.

    A plugin's is followed by the first 16 digits of the plugins' digest: "2+0123456789abcdef".
    """
    if name in _BUILTIN:
        return _BUILTIN[name][1]
    version = kind_named(name).version
    return f"{version}+{_plugins['digest'][:16]}" if _plugins["digest"] else version


def kind_names() -> list[str]:
    """All names that are known now."""
    return sorted({*_BUILTIN, *_kinds})
