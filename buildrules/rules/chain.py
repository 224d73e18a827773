"""What a base stands on: an interpreter needs a C library below it."""

from buildrules.rules.resolve import Resolution, ResolvedTarget

LIBRARIES = ("libgcc-s1", "libgomp1", "libstdc++6", "zlib1g")
"""The shared libraries that wheels for manylinux (PEP 600) find outside, as Debian calls their packages."""


def below(target: ResolvedTarget, resolution: Resolution) -> ResolvedTarget | None:
    """The base below a `python_standalone`, None for others. Raises KeyError where the one it names is missing.

    Where it names none, that is a small Debian which nobody wrote. It has the label of the target above it, so that its
    lock lies beside that of the interpreter.
    """
    if target.rule.implementation != "python_standalone":
        return None
    labels = target.deps.get("base")
    if labels:
        return resolution.of(labels[0])
    values = {"python": False, "packages": list(LIBRARIES)}
    return resolution.unwritten("debian_base", target.label, values, target.target)
