"""The way of a command from patterns to a plan: load, select, settle, plan."""

import os
from collections.abc import Collection
from typing import Any

from buildrules.analysis.loaded import Loaded, uncollected
from buildrules.analysis.selection import Selection, select, tests_of
from buildrules.engine.events import Notice, Stream
from buildrules.engine.plan import Plan
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import Locks
from buildrules.locking.settle import settle
from buildrules.net.session import Session
from buildrules.store.store import Store
from buildrules.workspace.disk import Disk

__all__ = ["Planning"]


class Planning:
    """What one command is about, settled. `plan` turns it into actions; `disk` says what all this depends on."""

    def __init__(
        self,
        root: str,
        directory: str,
        patterns: list[str],
        options: dict[str, Any],
        store: Store,
        stream: Stream,
        session: Session,
        only: Collection[str] | None = None,
    ) -> None:
        """With `only` these packages are planned, and what they need.

        Raises LoadError, UsageError, ResolutionError, LockError, FetchError.
        """
        self.disk = Disk(root)
        self._options = options
        self._stream = stream
        self.keeper = LockKeeper(self.disk, options, store, stream, session)
        with uncollected():
            self.loaded = self._load() if only is None else Loaded(self.disk, only=only)
            self.selection: Selection = select(self.loaded, patterns, directory, options, only)
            self.locks: Locks = settle(self.loaded, self.selection, options, self.keeper, stream)

    def plan(self) -> Plan:
        """The plan. Raises LoadError and UsageError."""
        from buildrules.plan.planner import make_plan

        options = {"source_date_epoch": os.environ.get("SOURCE_DATE_EPOCH"), **self._options}
        with uncollected():
            return make_plan(self.loaded, self.locks, self.selection, options, self.disk.root)

    def readers(self, patterns: list[str]) -> set[str] | None:
        """For whom of the disk's readers these patterns care: for what they name and all it needs; None for everybody.

        Whoever asks for all that is below a directory asks for packages that are not there yet, too.
        """
        if any("..." in pattern for pattern in patterns):
            return None
        labels = self.selection.labels
        tests = [test.label for test in tests_of(self.loaded) if test.deps["package"][0] in labels]
        needed = self.loaded.resolution.needed([*labels, *tests])
        return {""}.union(*((str(label), f"//{label.package}") for label in needed))

    def _load(self) -> Loaded:
        """The workspace; where an Azure ML file is built, with the targets it stands for."""
        if not self._options.get("package"):
            return Loaded(self.disk)
        from buildrules.azureml.conversion import Options
        from buildrules.azureml.generated import generate

        found = generate(str(self._options["package"]), Options.of(self._options), self.disk)
        for note in found.notes:
            self._stream.emit(Notice(note))
        return Loaded(self.disk, found.texts, whole=found.whole, made_from=found.made_from)
