"""The targets of a workspace as the last query left them, which hold while nothing that decides them has changed."""

import marshal

from buildrules.cli.kept_rows import keep, kept
from buildrules.graph.targets import Targets
from buildrules.state.reader import ACTION, UNREADABLE
from buildrules.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildrules.analysis.loaded import Loaded

_ENDING = "targets"
_IMPLICIT = "//@rules:"  # what the label of a built-in rule that is used by its name begins with


class KeptTargets(NamedTuple):
    """The targets, and the packages of the workspace."""

    targets: Targets
    packages: list[str]


def targets_of_workspace(root: str, prefix: str, configurations: "Sequence[str]" = ()) -> KeptTargets:
    """The targets of the workspace at `root` in these configurations.

    `prefix` leads there from the current directory: "" or ends in a slash. Raises LoadError where the workspace is not
    sound, and UsageError for a configuration that there is not.
    """
    state = kept(root, prefix, _ENDING, configurations)
    if state is not None:
        try:
            packages = marshal.loads(state.raw(ACTION, 3))  # noqa: S302 - made here, and checked
            return KeptTargets(Targets.kept(state.raw(ACTION, 1), lambda: state.raw(ACTION, 2)), packages)
        except UNREADABLE:
            pass
    from buildrules.analysis.loaded import Loaded
    from buildrules.analysis.options import Options
    from buildrules.cli.looked_at import inputs_of
    from buildrules.engine.remember import now
    from buildrules.workspace.disk import Disk

    began = now()
    disk = Disk(root)
    loaded = Loaded(disk, options=Options(configurations=tuple(configurations)))
    core, details = rows_of(loaded)
    packages = list(loaded.workspace.packages)
    facts = inputs_of(root, began, disk, {}, []).facts
    records = [core, details, marshal.dumps(packages)]
    keep(root, _ENDING, began, facts, loaded.workspace.settings.ignore, records, configurations)
    return KeptTargets(Targets.kept(core, lambda: details), packages)


def rows_of(loaded: "Loaded") -> tuple[bytes, bytes]:
    """What is kept of a workspace's targets: core and details, see `graph.targets`."""
    resolution = loaded.resolution
    order = sorted(resolution.targets, key=lambda label: (resolution.targets[label].implicit, label))
    numbers = {label: number for number, label in enumerate(order)}
    found = [resolution.targets[label] for label in order]
    from buildrules.document.problems import Problems

    needs = [tuple(numbers[other] for other in loaded.graph.needs[label]) for label in order]
    details = [
        (
            one.provides,
            one.target.position.path if one.target else "",
            str(one.target.position) if one.target else "",
            {
                **{name: _plain(value) for name, value in one.values.items() if value is not None},
                **({"tags": sorted(one.tags)} if one.tags else {}),
            },
            {name: node.value(Problems()) for name, node in one.target.attributes.items()} if one.target else {},
            list(loaded.graph.needs[one.label].values()),
        )
        for one in found
    ]
    targets = Targets(
        [str(label) for label in order],
        [one.rule.reference for one in found],
        needs,
        sum(one.implicit for one in found),
        bytes,
    )
    return targets.core(), marshal.dumps(details)


def _plain(value: "Any") -> "Any":
    """A value of an attribute as JSON types, labels as their text."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    text = str(value)
    return text[len(_IMPLICIT) :] if text.startswith(_IMPLICIT) else text
