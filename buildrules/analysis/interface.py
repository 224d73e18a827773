"""What the packages of a workspace show each other. While that stays, an edit of one is nothing to the others."""

from buildrules.analysis.loaded import Loaded
from buildrules.rules.resolve import ResolvedTarget
from buildrules.sha256 import hex_digest

Interfaces = dict[str, tuple[str, bool]]
"""By package (workspace-relative): a digest of what it shows, and whether another one names its targets."""


def interfaces(loaded: Loaded) -> Interfaces:
    """What each package shows: the names and rules of its targets, who may see them, and what they name."""
    shown: dict[str, list[str]] = {package: [] for package in loaded.workspace.packages}
    named: set[str] = set()
    for label, target in sorted(loaded.resolution.targets.items()):
        if not target.implicit:
            shown[label.package].append(_shown(target))
        named.update(
            other.package for labels in target.deps.values() for other in labels if other.package != label.package
        )
    return {package: (hex_digest("\n".join(lines).encode())[:16], package in named) for package, lines in shown.items()}


def _shown(target: ResolvedTarget) -> str:
    visibility = None if target.visibility is None else [str(pattern) for pattern in target.visibility]
    named = {attribute: [str(label) for label in labels] for attribute, labels in target.deps.items()}
    return repr((target.label.name, target.rule.reference, visibility, sorted(named.items())))
