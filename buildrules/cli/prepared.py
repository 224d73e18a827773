"""What a command is about, from patterns to a plan: loaded, selected, settled; then planned."""

import os
from collections.abc import Collection
from typing import Any, NamedTuple

from buildrules.analysis.loaded import Loaded, uncollected
from buildrules.analysis.options import Options
from buildrules.analysis.selection import Selection, select, tests_of
from buildrules.engine.events import Notice, Stream
from buildrules.engine.plan import Plan
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import Locks
from buildrules.locking.settle import settle
from buildrules.net.session import Session
from buildrules.store.store import Store
from buildrules.workspace.disk import Disk


def prepare(
    root: str,
    directory: str,
    patterns: list[str],
    options: dict[str, Any],
    store: Store,
    stream: Stream,
    session: Session,
    only: Collection[str] | None = None,
) -> "Prepared":
    """Load the workspace, select what the patterns name, and settle it; locks may be made, and written.

    With `only` these packages are planned, and what they need. Raises LoadError, UsageError, ResolutionError,
    LockError, FetchError.
    """
    disk = Disk(root)
    chosen = Options.of({"source_date_epoch": os.environ.get("SOURCE_DATE_EPOCH"), **options})
    keeper = LockKeeper(disk, chosen, store, stream, session)
    with uncollected():
        loaded = _load(disk, options, stream) if only is None else Loaded(disk, only=only)
        selection = select(loaded, patterns, directory, chosen, only)
        locks = settle(loaded, selection, chosen, keeper, stream)
    return Prepared(disk, chosen, keeper, loaded, selection, locks)


def _load(disk: Disk, options: dict[str, Any], stream: Stream) -> Loaded:
    """The workspace; where an Azure ML file is built, with the targets it stands for."""
    if not options.get("package"):
        return Loaded(disk)
    from buildrules.azureml import conversion
    from buildrules.azureml.generated import generate

    found = generate(str(options["package"]), conversion.Options.of(options), disk)
    for note in found.notes:
        stream.emit(Notice(note))
    return Loaded(disk, found.texts, whole=found.whole, made_from=found.made_from)


class Prepared(NamedTuple):
    """What one command is about, settled. `plan` turns it into actions; `disk` says what all this depends on."""

    disk: Disk
    options: Options
    keeper: LockKeeper
    loaded: Loaded
    selection: Selection
    locks: Locks

    def plan(self) -> Plan:
        """The plan. Raises LoadError and UsageError."""
        from buildrules.plan.planner import make_plan

        with uncollected():
            plan = make_plan(self.loaded, self.locks, self.selection, self.options, self.disk.root)
        for note in plan.notes:
            self.keeper.warn(note)
        return plan

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
