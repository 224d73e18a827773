"""Where files that globs find are placed: relative to the directory the globs have in common."""

import itertools
import os
from collections.abc import Sequence

from buildrules.errors import LoadError
from buildrules.workspace.globs import is_glob


def common_directory(patterns: Sequence[str]) -> str:
    """The longest directory that every glob begins with, spelt out: `a/src` for `a/src/**`. "" if there is none."""
    spelt_out = [itertools.takewhile(lambda part: not is_glob(part), pattern.split("/")[:-1]) for pattern in patterns]
    return os.path.commonpath(map("/".join, spelt_out)) if patterns else ""


def source_root(
    package: str, patterns: Sequence[str], exclude: Sequence[str] = (), strip_prefix: str | None = None
) -> tuple[str, list[str], list[str]]:
    """The directory, include globs and exclude globs of a `SourceSet` whose names are what lands in the image.

    `patterns` and `exclude` are relative to `package`; `strip_prefix` is workspace-relative, as attribute
    values are, or None for the directory the patterns have in common. Raises LoadError if a pattern lies outside of it.
    """
    if strip_prefix is None:
        prefix = common_directory(patterns)
    else:
        prefix = strip_prefix[len(package) :].lstrip("/") if package else strip_prefix
    directory = "/".join(part for part in (package, prefix) if part)
    if not prefix:
        return directory, list(patterns), list(exclude)
    include = []
    for pattern in patterns:
        if not pattern.startswith(f"{prefix}/"):
            hint = f"every glob must begin with '{prefix}/', or strip less"
            raise LoadError(f"glob '{pattern}' does not lie in the stripped directory '{prefix}'", hint=hint)
        include.append(pattern[len(prefix) + 1 :])
    excluded = []
    for pattern in exclude:
        if pattern.startswith(f"{prefix}/"):
            excluded.append(pattern[len(prefix) + 1 :])
        else:
            excluded.append(_below(pattern, prefix))
    return directory, include, [pattern for pattern in excluded if pattern]


def _below(pattern: str, prefix: str) -> str:
    """The rest of a glob such as `*/src/*.md` or `**/*.md` below `a/src`; "" if it cannot reach there."""
    import fnmatch

    parts, wanted = pattern.split("/"), prefix.split("/")
    for index, name in enumerate(wanted):
        if index < len(parts) and parts[index] == "**":
            return "/".join(parts[index:])
        if not fnmatch.fnmatchcase(name, parts[index]):
            return ""
        if index == len(parts) - 1:
            return "**"  # the directory itself, or one above it, is excluded
    return "/".join(parts[len(wanted) :])
