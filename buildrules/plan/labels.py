"""The labels that tools know images by (OCI image specification 1.1, annotations.md, "Pre-Defined Annotation Keys").

None of them changes by itself: there is no time and no place in them.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from buildrules.errors import LoadError
from buildrules.locking.locks import LockedBase
from buildrules.oci.descriptor import is_digest
from buildrules.rules.package import PackageParts, Placed
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.labels import Label

if TYPE_CHECKING:
    from buildrules.actions.models.lock import ModelLock

PREFIX = "org.opencontainers.image."


def standard_labels(parts: PackageParts, base: LockedBase, origins: "Iterable[ModelLock]") -> dict[str, str]:
    """Title, version where the target names one, the licences that model cards name, and name and digest of the base
    where that is an image of others.
    """
    values = parts.package.values
    said = values["target_environment"] or {}
    found = {
        "title": said.get("name") or values["repository"] or f"model package for {parts.server.rule.name}",
        "version": said.get("version"),
        "licenses": " AND ".join(sorted({lock.license for lock in origins if lock.license})),
    }
    base = base.lowest
    if base.reference and "oci-layout:" not in base.reference and "docker-daemon:" not in base.reference:
        found["base.name"] = base.reference.partition("@")[0]
        found["base.digest"] = base.digest if is_digest(base.digest) else None
    return {PREFIX + name: text for name, text in found.items() if text}


def card_labels(placed: Sequence[Placed], origins: "Mapping[Label, ModelLock]") -> dict[str, str]:
    """`buildrules.cards`: JSON, the places of models and inputs that have a model card, and its address."""
    found = ((one.directory, origins.get(one.target.label)) for one in placed)
    cards = {directory: lock.card for directory, lock in found if lock is not None and lock.card}
    return {"buildrules.cards": json.dumps(cards, sort_keys=True, separators=(",", ":"))} if cards else {}


def resource_label(package: ResolvedTarget) -> dict[str, str]:
    """What a package is given where it is deployed, as a label: JSON with `cpu`, `memory`, `gpu`.

    Raises LoadError for an amount of memory in another unit.
    """
    said = package.values["resources"]
    if not said:
        return {}
    memory = said.get("memory")
    if memory is not None and not re.fullmatch(r"[1-9][0-9]{0,8}[MG]i", memory):
        raise LoadError(
            f"'{memory}' is no amount of memory",
            hint="write mebibytes as 512Mi, gibibytes as 4Gi",
            position=package.position_of("resources"),
        )
    return {"buildrules.resources": json.dumps(said, sort_keys=True, separators=(",", ":"))}
