"""Versions that a build back end takes from a repository, which it does not have here."""

import re

VARIABLES = (
    "SETUPTOOLS_SCM_PRETEND_VERSION",  # setuptools-scm, hatch-vcs, flit-scm
    "PBR_VERSION",
    "PDM_BUILD_SCM_VERSION",
    "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "UV_DYNAMIC_VERSIONING_BYPASS",
)
"""Variables by which back ends take a version from whoever has no repository, as their documentation says."""

_ASKS = re.compile(
    r"^.*(?:unable to detect version|PRETEND_VERSION|SCM isn't detected|upstream git repo|not a git repo).*$",
    re.I | re.M,
)
"""What back ends say that find no repository."""
UNKNOWN = "0+unknown"
"""The version that Versioneer gives then."""

HINT = "make the project a python_library with `project` and `version`, and name that in `libraries` of the python_env"


def unversioned(name: str) -> str:
    """The message for a project whose back end finds no repository."""
    return f"the version of {name!r} is to come from its repository, and a build sees none"


def no_repository(log: str) -> str | None:
    """Where a back end says in `log` that it finds no repository, the line that does; None for others."""
    found = _ASKS.search(log)
    return found[0].strip() if found else None
