"""The labels that tools know images by (OCI image specification 1.1, annotations.md, "Pre-Defined Annotation Keys").

None of them changes by itself: there is no time and no place in them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from buildrules.locking.locks import LockedBase
from buildrules.oci.descriptor import is_digest
from buildrules.rules.package import PackageParts, Placed
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
