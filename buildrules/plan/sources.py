"""What targets name becomes source sets of actions."""

from buildrules.engine.action import SourceSet
from buildrules.rules.resolve import ResolvedTarget
from buildrules.rules.sources import source_root


def globbed(target: ResolvedTarget) -> SourceSet:
    """The files that the `srcs` of a target match, named as they land in the image. Raises LoadError."""
    values = target.values
    directory, include, exclude = source_root(
        target.label.package, values["srcs"], values["exclude"], values["strip_prefix"]
    )
    return SourceSet(directory, tuple(include), tuple(exclude))


def literal(name: str) -> str:
    """A glob that matches this very name."""
    return "".join(f"[{char}]" if char in "*?[{}" else char for char in name)
