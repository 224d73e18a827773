"""The kinds of actions by name. A kind's module is imported when its first action runs.

The versions of the built-in kinds stand here as well, because a key needs the version and not the code: an edit of
one script must not import the code for Debian packages. A plugin, a module named in `workspace.plugins`, adds its
own kind with `register`.
"""

from collections.abc import Mapping

from buildrules.engine.action import Outputs
from buildrules.engine.changes import Told
from buildrules.engine.kind import Kind
from buildrules.errors import UsageError
from buildrules.net.session import Session

_BUILTIN = {
    "entry_script": ("buildrules.actions.entry_script:EntryScript", 2),
    "fetch": ("buildrules.actions.fetching:Fetch", 1),
    "files_layer": ("buildrules.actions.files:FilesLayer", 1),
    "inline_layer": ("buildrules.actions.inline:InlineLayer", 1),
    "model_layers": ("buildrules.actions.models.layers:ModelLayers", 4),
    "fetched_model": ("buildrules.actions.models.fetched:FetchedModel", 3),
    "start_layers": ("buildrules.actions.models.start:StartLayers", 3),
    "wheel_layer": ("buildrules.actions.python.wheel_layer:WheelLayer", 2),
    "bytecode_layer": ("buildrules.actions.python.bytecode:BytecodeLayer", 1),
    "conda_layer": ("buildrules.actions.conda.layer:CondaLayer", 2),
    "installed": ("buildrules.actions.python.installed:Installed", 3),
    "build_wheel": ("buildrules.actions.python.sdist:BuildWheel", 1),
    "debian_layers": ("buildrules.actions.debian.layers:DebianLayers", 3),
    "python_layer": ("buildrules.actions.python.standalone:PythonLayer", 1),
    "oci_base": ("buildrules.actions.oci_base:OciBase", 2),
    "lint": ("buildrules.actions.linting:Lint", 10),
    "group": ("buildrules.actions.group:Group", 1),
    "package_test": ("buildrules.actions.testing:PackageTest", 4),
    "image": ("buildrules.actions.image:ImageKind", 2),
    "index": ("buildrules.actions.image:IndexKind", 1),
}
"""name -> (module:class, version). The class's own `version` is the same; a test holds them together."""

_registered: dict[str, Kind] = {}  # by plugins, while they are imported: once in a process


def register(kind: Kind) -> None:
    """Add a kind of action. Raises UsageError where the name is taken by another class."""
    present = _registered.get(kind.name)
    if kind.name in _BUILTIN or (present is not None and type(present) is not type(kind)):
        raise UsageError(f"there is a kind of action named {kind.name!r} already")
    _registered[kind.name] = kind


class Kinds:
    """The kinds of actions that a session knows. `plugins` is a digest, in hex, of the code of its plugins, if any."""

    def __init__(self, _: Session) -> None:
        self.plugins = ""
        self._made: dict[str, Kind] = {}

    def named(self, name: str) -> Kind:
        """The kind of that name. Raises UsageError where there is none."""
        kind = self._made.get(name) or _registered.get(name)
        if kind is not None:
            return kind
        if name not in _BUILTIN:
            raise UsageError(
                f"no kind of action is named {name!r}", hint="list the module that registers it in workspace.plugins"
            )
        module, _, attribute = _BUILTIN[name][0].partition(":")
        made: Kind = getattr(__import__(module, fromlist=[attribute]), attribute)()
        return self._made.setdefault(name, made)

    def version(self, name: str) -> int | str:
        """The version of the kind of that name, without importing a built-in one. Raises UsageError for none.

        A plugin's is followed by the first 16 digits of the plugins' digest: "2+0123456789abcdef".
        """
        if name in _BUILTIN:
            return _BUILTIN[name][1]
        version = self.named(name).version
        return f"{version}+{self.plugins[:16]}" if self.plugins else version

    def fits(self, name: str, outputs: Outputs) -> bool:
        """Whether outputs that somebody kept have the form of those that a kind makes."""
        from buildrules.actions.made import fits

        return fits(name, outputs)

    def told(self, name: str) -> Mapping[str, Told]:
        """How the parameters of a kind are told to people. Those of a plugin's by their names."""
        from buildrules.actions.params import TOLD

        return TOLD.get(name, {})


def built_in() -> list[str]:
    """The names of the kinds that need no plugin."""
    return sorted(_BUILTIN)
