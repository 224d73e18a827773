"""The kinds of actions by name. A kind's module is imported when its first action is looked at.

A plugin, a module named in `workspace.plugins`, adds its own with `register`.
"""

import importlib

from buildrules.engine.action import Kind
from buildrules.errors import UsageError

_BUILTIN = {
    "files_layer": "buildrules.actions.files:FilesLayer",
    "inline_layer": "buildrules.actions.inline:InlineLayer",
    "model_layers": "buildrules.actions.model:ModelLayers",
    "wheel_layer": "buildrules.actions.python.wheel_layer:WheelLayer",
    "build_wheel": "buildrules.actions.python.sdist:BuildWheel",
    "debian_layers": "buildrules.actions.debian.layers:DebianLayers",
    "oci_base": "buildrules.actions.oci_base:OciBase",
    "group": "buildrules.actions.group:Group",
    "image": "buildrules.actions.image:ImageKind",
    "index": "buildrules.actions.image:IndexKind",
}

_kinds: dict[str, Kind] = {}


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
        place = _BUILTIN.get(name)
        if place is None:
            raise UsageError(
                f"no kind of action is named {name!r}", hint="list the module that registers it in workspace.plugins"
            )
        module, _, attribute = place.partition(":")
        kind = _kinds[name] = getattr(importlib.import_module(module), attribute)()
    assert kind is not None
    return kind


def kind_names() -> list[str]:
    """All names that are known now."""
    return sorted({*_BUILTIN, *_kinds})
