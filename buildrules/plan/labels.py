"""The labels that tools know images by (OCI image specification 1.1, annotations.md, "Pre-Defined Annotation Keys").

None of them changes by itself: there is no time and no place in them.
"""

from buildrules.locking.locks import LockedBase
from buildrules.oci.descriptor import is_digest
from buildrules.rules.package import PackageParts

PREFIX = "org.opencontainers.image."


def standard_labels(parts: PackageParts, base: LockedBase) -> dict[str, str]:
    """Title, version where the target names one, and name and digest of the base where that is an image of others."""
    values = parts.package.values
    said = values["target_environment"] or {}
    found = {
        "title": said.get("name") or values["repository"] or f"model package for {parts.server.rule.name}",
        "version": said.get("version"),
    }
    base = base.lowest
    if base.reference and "oci-layout:" not in base.reference and "docker-daemon:" not in base.reference:
        found["base.name"] = base.reference.partition("@")[0]
        found["base.digest"] = base.digest if is_digest(base.digest) else None
    return {PREFIX + name: text for name, text in found.items() if text}
