"""Image names as people write them: checked, with their tag, in the short and in the full form.

Grammar: the "reference" grammar of the distribution project, shared by Docker, containerd and podman.
"""

import re

from buildrules.errors import UsageError

_NAME = re.compile(
    r"(?P<repository>(?:(?P<domain>[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?)/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
)
_DEFAULT_DOMAIN = "docker.io"  # what a name without a domain means to every engine


def tagged(name: str) -> str:
    """`name` with its tag, `:latest` where it has none. Raises UsageError for anything that is no name."""
    match = _NAME.fullmatch(name)
    if match is None or len(match["repository"]) > 255:
        raise UsageError(
            f"not an image name: {name!r}",
            hint="write it as name:tag or registry/name:tag, lower case, for example acme/regressor:1.0",
        )
    return name if match["tag"] else name + ":latest"


def tag_of(name: str) -> str:
    """The tag alone. Raises UsageError."""
    return tagged(name).rpartition(":")[2]


def full(name: str) -> str:
    """The name containerd keeps images under: with domain, and `library/` where Docker implies it.

    Raises UsageError.
    """
    name = tagged(name)
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return name if first != "index." + _DEFAULT_DOMAIN else f"{_DEFAULT_DOMAIN}/{rest}"
    return f"{_DEFAULT_DOMAIN}/{name}" if slash else f"{_DEFAULT_DOMAIN}/library/{name}"
