"""What of uv's settings on this machine may count: where packages come from, and never which versions are chosen.

A lock follows from the workspace and the indexes. So variables and configuration files outside of the workspace are
taken for addresses, logins, certificates and the like; what they say about versions is left out, and that is said.
Format: docs.astral.sh/uv, "Configuration files" and "Environment variables".
"""

import os
from collections.abc import Mapping
from typing import Any

from buildrules.state.rows import open_regular


def _words(*texts: str) -> frozenset[str]:
    return frozenset(" ".join(texts).split())


CHOOSING = _words(
    "resolution prerelease prerelease-package fork-strategy exclude-newer exclude-newer-package dependency-metadata"
    " override-dependencies exclude-dependencies constraint-dependencies build-constraint-dependencies torch-backend"
    " no-sources no-sources-package no-binary no-binary-package no-build no-build-package no-build-isolation"
    " no-build-isolation-package extra-build-dependencies extra-build-variables config-settings"
    " config-settings-package minimum-libc-version require-build-hashes environments required-environments conflicts"
    " upgrade upgrade-package"
)
"""Keys of a uv.toml that choose versions, files or how they are built; "pip" may hold them, too."""
CHOOSING_VARIABLES = _words(
    "UV_RESOLUTION UV_PRERELEASE UV_FORK_STRATEGY UV_EXCLUDE_NEWER UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE"
    " UV_BUILD_CONSTRAINT UV_TORCH_BACKEND UV_NO_SOURCES UV_NO_SOURCES_PACKAGE UV_NO_BINARY UV_NO_BINARY_PACKAGE"
    " UV_NO_BUILD UV_NO_BUILD_PACKAGE UV_NO_BUILD_ISOLATION UV_CUSTOM_COMPILE_COMMAND UV_WORKING_DIR"
    " UV_ENV_FILE UV_REQUIRE_HASHES UV_COMPILE_BYTECODE"
)
PASSED_VARIABLES = _words(
    "UV_CACHE_DIR UV_CONFIG_FILE UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_INDEX UV_INDEX_STRATEGY"
    " UV_INDEX_URL UV_INSECURE_HOST UV_KEYRING_PROVIDER UV_LINK_MODE UV_NO_CACHE UV_NO_PROGRESS UV_OFFLINE"
    " UV_MANAGED_PYTHON UV_NO_MANAGED_PYTHON UV_PYTHON_DOWNLOADS UV_SYSTEM_CERTS UV_NO_CONFIG"
)
"""Those of the options of `uv pip compile` that say where from and how; UV_PYTHON and its like never reach uv."""


def left_out() -> list[str]:
    """The variables of this machine that do not reach uv, since they would choose versions."""
    return sorted(name for name in CHOOSING_VARIABLES & os.environ.keys() if os.environ[name])


def config_paths(root: str) -> list[str]:
    """The configuration files that uv reads in the folder `root`, the one that counts most first."""
    explicit = os.environ.get("UV_CONFIG_FILE")
    if explicit:
        return [explicit]
    if os.environ.get("UV_NO_CONFIG"):
        return []
    paths = []
    folder = root
    while True:
        found = [os.path.join(folder, name) for name in ("uv.toml", "pyproject.toml")]
        present = [path for path in found if os.path.isfile(path)]
        paths += present[:1]
        if present or os.path.dirname(folder) == folder:
            break
        folder = os.path.dirname(folder)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return [*paths, os.path.join(home, "uv", "uv.toml"), "/etc/uv/uv.toml"]


def machine_settings(
    root: str, folder: str, builds: Mapping[str, Mapping[str, str]] | None = None
) -> tuple[dict[str, str], list[str]]:
    """(variables for uv, what is left out in words) for a workspace at `root`; `folder` takes a file for uv.

    `builds` are variables for the build back ends of packages, by name. Nothing is set where there are none and no file
    outside of the workspace chooses versions.
    """
    paths = config_paths(root)
    tables = [(path, read_config(path)) for path in paths]
    chosen = [
        (path, key)
        for path, table in tables
        if not _inside(root, path)
        for key in (*table, *pip_of(table))
        if key in CHOOSING
    ]
    if not chosen and not builds:
        return {}, []
    import tomli_w

    merged: dict[str, Any] = {}
    for path, table in tables:  # what comes first counts first; lists are joined
        kept = table if _inside(root, path) else _without_choices(table)
        for key, value in _absolute(kept, os.path.dirname(path)).items():
            if isinstance(value, list) and isinstance(merged.get(key), list):
                merged[key] = [*merged[key], *value]
            else:
                merged.setdefault(key, value)
    if builds:
        merged["extra-build-variables"] = {**merged.get("extra-build-variables", {}), **builds}
    place = os.path.join(folder, "uv.toml")
    with open(place, "w", encoding="utf-8") as file:
        file.write(tomli_w.dumps(merged))
    said = [f"{key!r} in {shown(path)} is left out: a lock follows from the workspace" for path, key in chosen]
    return {"UV_CONFIG_FILE": place}, said


def addresses(root: str) -> list[str]:
    """The indexes and folders that the configuration files name for a workspace at `root`; relative ones in full."""
    found: list[Any] = []
    for path in config_paths(root):
        table = _absolute(read_config(path), os.path.dirname(path))
        for part in (table, pip_of(table)):
            for key in ("find-links", "extra-index-url", "index-url"):
                value = part.get(key)
                found += value if isinstance(value, list) else [value]
            found += [one.get("url") for one in part.get("index", ()) if isinstance(one, dict)]
    return [one for one in found if isinstance(one, str)]


def pip_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The table of settings that are for `uv pip` alone; empty where it has another form, of which uv says so."""
    found = settings.get("pip")
    return found if isinstance(found, dict) else {}


def read_config(path: str) -> dict[str, Any]:
    """uv's settings in a file, without those of single projects; empty where it cannot be read, which uv says."""
    from buildrules.document.plain_toml import read_toml

    try:
        with open(open_regular(path), "rb") as file:
            data = read_toml(file.read())
        if os.path.basename(path) == "pyproject.toml":
            data = data["tool"]["uv"]
        projects = ("sources", "workspace", "dev-dependencies", "default-groups", "dependency-groups", "managed")
        return {key: value for key, value in data.items() if key not in (*projects, "package", "build-backend")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _without_choices(table: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in table.items() if key not in CHOOSING}
    if isinstance(kept.get("pip"), dict):
        kept["pip"] = {key: value for key, value in kept["pip"].items() if key not in CHOOSING}
    return kept


def _absolute(table: dict[str, Any], folder: str) -> dict[str, Any]:
    """With paths of indexes that start from `folder` written in full."""

    def whole(value: Any) -> Any:
        return os.path.join(folder, value) if isinstance(value, str) and "://" not in value else value

    found = dict(table)
    for key in ("find-links", "extra-index-url"):
        if isinstance(found.get(key), list):
            found[key] = [whole(value) for value in found[key]]
    if isinstance(found.get("index-url"), str):
        found["index-url"] = whole(found["index-url"])
    if isinstance(found.get("index"), list):
        found["index"] = [{**one, "url": whole(one.get("url"))} for one in found["index"] if isinstance(one, dict)]
    if isinstance(found.get("pip"), dict):
        found["pip"] = _absolute(found["pip"], folder)
    return found


def _inside(root: str, path: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(root).rstrip("/") + "/")


def shown(path: str) -> str:
    """A path for people: below the home with a tilde."""
    home = os.path.expanduser("~")
    return path.replace(home, "~", 1) if path.startswith(home + "/") else path
