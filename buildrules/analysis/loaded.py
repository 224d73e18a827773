"""A workspace, loaded and checked: what queries and plans start from."""

import gc
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from copy import copy

from buildrules.analysis.options import Options
from buildrules.analysis.targets import hint_for, target_graph
from buildrules.document.problems import Problems
from buildrules.errors import UsageError
from buildrules.rules.catalogue import Catalogue
from buildrules.rules.package import check_packages
from buildrules.rules.resolver import resolve
from buildrules.rules.selects import Conditions
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label, Patterns
from buildrules.workspace.loader import load_workspace
from buildrules.workspace.suggest import did_you_mean

_NONE = Options()


class Loaded:
    """A workspace whose targets are sound: everything a query or a plan starts from."""

    def __init__(
        self,
        disk: Disk,
        texts: Mapping[str, str] | None = None,
        *,
        whole: bool = True,
        made_from: str = "BUILD.yaml",
        only: Collection[str] | None = None,
        alone: Collection[Label] = (),
        options: Options = _NONE,
    ) -> None:
        """See `Workspace.load`. With `only` these packages are loaded, and of others the targets that theirs need:
        what is wrong elsewhere is not found. With `alone` these targets are loaded, and what they need. What varies is
        read for the configurations and the first of the platforms that `options` choose. Raises LoadError, and
        UsageError for a configuration or platform that there is not.
        """
        self._disk = disk
        self._options = options
        with uncollected():
            problems = Problems()
            self.catalogue = Catalogue(disk, problems)
            if alone:
                self._load({label.package for label in alone}, alone, problems)
            elif only is None:
                self.workspace = load_workspace(disk, problems, texts=texts, whole=whole, made_from=made_from)
                self._resolve(problems)
            else:
                self._load(only, (), problems)
            self._check(problems)

    def on(self, platform: str) -> "Loaded":
        """The workspace as it is on a platform: itself, unless something varies with it. Raises LoadError."""
        if not self.resolution.per_platform or platform == self.platform:
            return self
        other = copy(self)
        problems = Problems()
        with uncollected():
            other._resolve(problems, platform)
            other._check(problems)
        return other

    def _resolve(self, problems: Problems, platform: str | None = None) -> None:
        settings, chosen = self.workspace.settings, self._options.configurations
        for name in chosen if not problems.errors else ():  # the settings may be what is wrong
            if name not in settings.configurations:
                hint = did_you_mean(name, settings.configurations, what="configurations")
                hint = hint or "name it in the workspace section: `configurations: [...]`"
                raise UsageError(f"no configuration '{name}'", hint=hint)
        self.platform = platform or self._options.platforms(settings.platforms)[0]
        conditions = Conditions(self.platform, chosen, settings.configurations)
        self.resolution = resolve(self.workspace, self.catalogue, problems, conditions)

    def _check(self, problems: Problems) -> None:
        known = {*self.workspace.targets, *self.workspace.unread}
        self.graph = target_graph(self.resolution.targets.values(), problems, known, self.workspace.packages)
        problems.raise_all()
        self.look_again()

    def _load(self, only: Collection[str], alone: Collection[Label], problems: Problems) -> None:
        wanted = {*only, ""}
        while True:
            found = Problems()
            self.workspace = load_workspace(self._disk, found, only=wanted)
            self._resolve(found)
            named = (label for label in self.workspace.targets if label.package in only)
            needed = self.resolution.needed(label for label in named if not alone or label in alone)
            more = {label.package for label in needed if label not in self.resolution.targets} - wanted
            if not more:
                break
            wanted |= more
        for error in found.errors:
            problems.add_error(error)
        self.workspace.targets = {label: one for label, one in self.workspace.targets.items() if label in needed}
        self.resolution.targets = {label: one for label, one in self.resolution.targets.items() if label in needed}

    def look_again(self) -> None:
        """Take all packages apart, after the locks of models have changed. Raises LoadError."""
        problems = Problems()
        self.packages = check_packages(self.resolution, self._disk, problems)
        problems.raise_all()

    def select(self, patterns: Patterns) -> list[Label]:
        """The targets the patterns name, sorted. Raises UsageError for a pattern that names none."""
        labels = self.resolution.labels()
        for pattern in patterns.unmatched(labels):
            hint = hint_for(pattern.package, pattern.name, labels, self.workspace.packages)
            raise UsageError(f"no target matches '{pattern}'", hint=hint)
        return patterns.select(labels)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles, which would look at all that is loaded, again and again, and find nothing.

    What was loaded stays out of later collections, too.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was:
            gc.enable()
