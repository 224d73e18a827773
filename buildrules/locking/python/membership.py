"""Which group an environment is in."""

from collections.abc import Iterable, Sequence

from buildrules.errors import UsageError
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.workspace.labels import Label
from buildrules.workspace.suggest import did_you_mean


def group_label(group: str, members: Iterable[ResolvedTarget]) -> Label:
    """The label of a group's lock. An @ is in its name, which no target of a BUILD.yaml can have.

    Where a member varies with a configuration it is a lock of its own.
    """
    variant = {one for target in members for one in target.variant.split(",") if one}
    return Label("", "@".join(["group", group, *([",".join(sorted(variant))] if variant else [])]))


def group_of(target: ResolvedTarget) -> str | None:
    """The group in whose lock an environment is; None where it has one of its own."""
    return target.values.get("group") if target.values.get("lock") == "shared" else None


def members_of(group: str, resolution: Resolution) -> list[ResolvedTarget]:
    """The environments of the workspace that are in the lock of a group, by label."""
    environments = (resolution.of(label) for label in resolution.labels("env"))
    return [target for target in environments if group_of(target) == group]


def environments_of(groups: Sequence[str], resolution: Resolution) -> list[ResolvedTarget]:
    """All environments that name one of the groups, whatever lock they are in. Raises UsageError for a group that no
    environment names.
    """
    found = [resolution.of(label) for label in resolution.labels("env")]
    known = {str(group) for target in found if (group := target.values.get("group")) is not None}
    for group in groups:
        if group not in known:
            hint = did_you_mean(group, known) or "write `group` on environments that are to have equal versions"
            raise UsageError(f"no environment has the group '{group}'", hint=hint)
    return [target for target in found if target.values.get("group") in groups]
