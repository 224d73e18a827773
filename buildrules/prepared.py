"""What a command is about, from patterns to a plan: loaded, selected, settled; then planned."""

import os
from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

from buildrules.analysis.interface import Interfaces, interfaces
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
from buildrules.workspace.labels import Label


def prepare(
    root: str,
    directory: str,
    patterns: list[str],
    options: dict[str, Any],
    store: Store,
    stream: Stream,
    session: Session,
    only: Collection[str] | None = None,
    alone: Collection[Label] = (),
    disk: Disk | None = None,
) -> "Prepared":
    """Load the workspace, select what the patterns name, and settle it; locks may be made, and written.

    With `only` these packages are planned, and what they need; with `alone` nothing is loaded but these targets, and
    what they need. `disk` is one of the root, for whoever wants to know
    what was looked at before an error. Raises LoadError, UsageError, ResolutionError,
    LockError, FetchError.
    """
    disk = disk or Disk(root)
    chosen = Options.of({"source_date_epoch": os.environ.get("SOURCE_DATE_EPOCH"), **options})
    keeper = LockKeeper(disk, chosen, store, stream, session)
    with uncollected():
        if only is None and not alone:
            loaded = _load(disk, options, chosen, stream)
        else:
            loaded = Loaded(disk, only=only, alone=alone, options=chosen)
        selection = select(loaded, patterns, directory, chosen, only)
        if not loaded.resolution.per_platform:
            return Prepared(disk, chosen, keeper, loaded, selection, settle(loaded, selection, chosen, keeper, stream))
        one, *more = [
            Prepared(disk, chosen, keeper, there, here, settle(there, here, chosen, keeper, stream))
            for platform in selection.platforms
            for there, here in [(loaded.on(platform), replace(selection, platforms=(platform,)))]
        ]
        return one._replace(others=tuple(more))


def _load(disk: Disk, options: dict[str, Any], chosen: Options, stream: Stream) -> Loaded:
    """The workspace; where an Azure ML file is built, with the targets it stands for."""
    if not options.get("package"):
        return Loaded(disk, options=chosen)
    from buildrules.azureml import conversion
    from buildrules.azureml.generated import generate

    found = generate(str(options["package"]), conversion.Options.of(options), disk)
    for note in found.notes:
        stream.emit(Notice(note))
    return Loaded(disk, found.texts, whole=found.whole, made_from=found.made_from, options=chosen)


class Prepared(NamedTuple):
    """What one command is about, settled. `plan` turns it into actions; `disk` says what all this depends on.

    Where targets vary with the platform this is the first one's, and `others` are those of the others.
    """

    disk: Disk
    options: Options
    keeper: LockKeeper
    loaded: Loaded
    selection: Selection
    locks: Locks
    others: tuple["Prepared", ...] = ()

    def plan(self) -> Plan:
        """The plan. Raises LoadError and UsageError."""
        from buildrules.plan.planner import join, make_plan

        with uncollected():
            plan, *more = [
                make_plan(one.loaded, one.locks, one.selection, self.options, self.disk.root)
                for one in (self, *self.others)
            ]
            join(plan, more)
        for note in plan.notes:
            self.keeper.warn(note)
        return plan

    @property
    def all_locks(self) -> list[Locks]:
        """Those of all platforms."""
        return [one.locks for one in (self, *self.others)]

    def interfaces(self) -> Interfaces:
        """What the packages show each other, on all platforms."""
        found = interfaces(self.loaded)
        for other in self.others:
            for package, (digest, named) in interfaces(other.loaded).items():
                found[package] = (found[package][0] + digest, found[package][1] or named)
        return found

    def readers(self, patterns: list[str]) -> set[str] | None:
        """For whom of the disk's readers these patterns care: for what they name and all it needs; None for everybody.

        Whoever asks for all that is below a directory asks for packages that are not there yet, too.
        """
        if any("..." in pattern for pattern in patterns):
            return None
        labels = self.selection.labels
        tests = [test.label for test in tests_of(self.loaded) if test.deps["package"][0] in labels]
        needed = set().union(*(one.loaded.resolution.needed([*labels, *tests]) for one in (self, *self.others)))
        return {""}.union(*((str(label), f"//{label.package}") for label in needed))
