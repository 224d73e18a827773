"""The platforms there are: the built-in ones, and those a workspace keeps in files of its own.

A built-in is named by its name, `kubernetes`; a workspace's by a label that names its file, as rules are:
`//rules/deploy:mine` is `rules/deploy/mine.yaml`.
"""

import os
from collections.abc import Iterator

from buildrules.errors import LoadError, UsageError
from buildrules.rules.catalogue import builtin_directory, names_in, own_references
from buildrules.rules.platform import Platform, read_platform
from buildrules.workspace.labels import parse_label
from buildrules.workspace.root import find_root, package_of, read_file
from buildrules.workspace.suggest import did_you_mean

FOLDER = "rules/deploy"
"""Where a workspace's own platforms are looked for when they are listed."""


class Platforms:
    """Looks platforms up. `root` is a workspace's, None for the built-ins alone; labels are relative to `package`."""

    def __init__(self, root: str | None = None, package: str = "") -> None:
        self.root = root
        self.package = package
        self._builtin = os.path.join(builtin_directory(), "deploy")

    @classmethod
    def around(cls, directory: str) -> "Platforms":
        """Those of the workspace that `directory` lies in; the built-ins alone outside of one."""
        try:
            root = find_root(directory)
        except UsageError:
            return cls()
        return cls(root, package_of(root, directory))

    def references(self) -> list[str]:
        """What `--for` may name: the built-in platforms, then those in the workspace's `rules/deploy`."""
        own = own_references(self.root, FOLDER, self._builtin) if self.root is not None else []
        return [*names_in(self._builtin), *own]

    def all(self) -> Iterator[Platform]:
        """All of them. Raises LoadError for one that is wrong."""
        return map(self.find, self.references())

    def find(self, reference: str) -> Platform:
        """The platform of that name or label. Raises UsageError where there is none, LoadError."""
        if not reference.startswith(("//", ":")):
            if reference in names_in(self._builtin):
                data = read_file(os.path.join(self._builtin, f"{reference}.yaml"))
                return read_platform(f"<built-in>/deploy/{reference}.yaml", reference, data)
            raise self._unknown(reference, f"{FOLDER}/NAME.yaml")
        label = parse_label(reference, self.package)
        path = f"{label.package}/{label.name}.yaml".lstrip("/")
        if self.root is None or not os.path.isfile(os.path.join(self.root, path)):
            raise self._unknown(str(label), path)
        try:
            data = read_file(os.path.join(self.root, path), self.root)
        except OSError as error:
            raise LoadError(f"cannot read '{path}': {error.strerror}") from error
        return read_platform(path, str(label), data)

    def _unknown(self, reference: str, path: str) -> UsageError:
        known = self.references()
        own = {one.rpartition(":")[2]: one for one in known if one.startswith("//")}
        hint = f"did you mean '{own[reference]}'?" if reference in own else did_you_mean(reference, known, limit=20)
        return UsageError(f"there is no platform '{reference}'", hint=hint or f"one of your own would be in {path}")
