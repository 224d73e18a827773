"""What the verbs after a build need to know of a package: plain data, kept with the plan."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from buildrules.errors import LoadError
from buildrules.locking.placing import code_files
from buildrules.rules.mlflow_example import mlflow_example
from buildrules.rules.package import PackageParts, Placed
from buildrules.rules.resolve import ResolvedTarget

if TYPE_CHECKING:
    from buildrules.actions.models.lock import ModelLock
    from buildrules.workspace.labels import Label
    from buildrules.workspace.settings import Settings


def package_info(
    parts: PackageParts,
    settings: "Settings",
    locks: dict[str, str],
    origins: "Mapping[Label, ModelLock]",
    python: str | None,
    uncompiled: str,
) -> dict[str, Any]:
    """Everything a package's image does not say itself. `locks` maps workspace-relative paths to digests, `origins`
    labels of models from elsewhere to their locks. `python` is the base's, in words, `uncompiled` why no
    bytecode is made for it. `registry` completes a `name`
    without. Raises LoadError where the package goes to a registry that is none.

    `target_environment` has `name`, `version` (None: the digest's) and `asked`, whether the target says it.
    """
    package = parts.package
    values = package.values
    own = values["repository"] or f"{settings.name}/{_image_name(package.label.package, package.label.name)}"
    place = None if values["repository"] else _place(package, settings)
    said = values["target_environment"] or {}
    return {
        "name": place or own.lower(),
        "registry": settings.default_registry,
        "routes": routes_of(parts),
        "ports": list(parts.ports),
        "gpu": parts.gpu,
        "job": parts.server_part.job,
        "sample_request": values["sample_request"],
        "mlflow_example": mlflow_example(parts),
        "target_environment": {
            "name": said.get("name") or package.label.name,
            "version": said.get("version"),
            "asked": bool(said),
        },
        "base": str(parts.base.label) if parts.base is not None else None,
        "python": python,
        "no_bytecode": uncompiled or None,
        "env": str(parts.env.label) if parts.env is not None else None,
        "server": parts.server.rule.reference if parts.server.implicit else str(parts.server.label),
        "code": ", ".join(str(one.label) for one in (parts.code, *parts.shared) if one is not None) or None,
        "code_directories": {f"/{place}": str(one.label) for one, _, place in code_files(parts)},
        "models": [_placed(item, origins) for item in parts.placed if item.target.provides == "model"],
        "inputs": [_placed(item, origins) for item in parts.placed if item.target.provides == "input"],
        "flavour": parts.flavour,
        "tags": dict(values["tags"] or {}),
        "locks": dict(sorted(locks.items())),
    }


def _place(package: ResolvedTarget, settings: "Settings") -> str | None:
    """Where a target's environment says that its image goes, with a tag where it has a version; None where it does not.

    Raises LoadError for a registry that is neither a host nor a connection.
    """
    said = package.values["target_environment"] or {}
    registry = said.get("registry")
    if not registry:
        return None
    connection = settings.connections.get(registry)
    if connection is not None and connection.type == "container_registry":
        place = connection.target.rpartition("://")[2].rstrip("/")
    elif re.match(r"[^/]*[.:]|localhost(?:/|$)", registry):
        place = registry
    else:
        raise LoadError(
            f"'{registry}', where '{package.label}' goes, is no connection of type container_registry",
            hint=f"write HOST/PATH, or connections: {{{registry}: {{type: container_registry, target: HOST/PATH}}}}",
            position=package.target.position if package.target else None,
        )
    return f"{place}/{said['name']}".lower() + (f":{said['version']}" if said["version"] else "")


def routes_of(parts: PackageParts) -> dict[str, str]:
    """The routes as labels write them: liveness, readiness, scoring to "<port>/<path>"."""
    return {name: f"{route['port']}{route['path']}" for name, route in parts.server_part.routes.items()}


def _placed(item: Placed, origins: "Mapping[Label, ModelLock]") -> dict[str, Any]:
    values, lock = item.target.values, origins.get(item.target.label)
    return {
        "label": str(item.target.label),
        "name": item.target.name,
        "version": item.target.version,
        "from": values["uri"] or values["path"] or " ".join(values["srcs"] or ()),
        "locked_version": lock.version if lock else None,
        "license": lock.license if lock else None,
        "card": lock.card if lock else None,
        "mode": item.mode,
        "directory": item.directory,
    }


def _image_name(package: str, name: str) -> str:
    return "/".join(part for part in (package, name) if part).strip("._-/")
