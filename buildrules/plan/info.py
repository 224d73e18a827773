"""What the verbs after a build need to know of a package: plain data, kept with the plan."""

from collections.abc import Mapping
from typing import Any

from buildrules.rules.mlflow_example import mlflow_example
from buildrules.rules.package import PackageParts, Placed


def package_info(
    parts: PackageParts, workspace: str, locks: dict[str, str], versions: Mapping[str, str]
) -> dict[str, Any]:
    """Everything a package's image does not say itself. `locks` maps workspace-relative paths to digests, `versions`
    labels of models to the version that their lock took of a registered model.

    `target_environment` has `name`, `version` (None: the digest's) and `asked`, whether the target says it.
    """
    package = parts.package
    values = package.values
    name = values["repository"] or f"{workspace}/{_image_name(package.label.package, package.label.name)}"
    said = values["target_environment"] or {}
    return {
        "name": name.lower(),
        "routes": routes_of(parts),
        "ports": list(parts.ports),
        "job": parts.server_part.job,
        "sample_request": values["sample_request"],
        "mlflow_example": mlflow_example(parts),
        "target_environment": {
            "name": said.get("name") or package.label.name,
            "version": said.get("version"),
            "asked": bool(said),
        },
        "base": str(parts.base.label),
        "env": str(parts.env.label) if parts.env is not None else None,
        "server": parts.server.rule.reference if parts.server.implicit else str(parts.server.label),
        "code": str(parts.code.label) if parts.code is not None else None,
        "models": [_placed(item, versions) for item in parts.placed if item.target.provides == "model"],
        "inputs": [_placed(item, versions) for item in parts.placed if item.target.provides == "input"],
        "flavour": parts.flavour,
        "tags": dict(values["tags"] or {}),
        "locks": dict(sorted(locks.items())),
    }


def routes_of(parts: PackageParts) -> dict[str, str]:
    """The routes as labels write them: liveness, readiness, scoring to "<port>/<path>"."""
    return {name: f"{route['port']}{route['path']}" for name, route in parts.server_part.routes.items()}


def _placed(item: Placed, versions: Mapping[str, str]) -> dict[str, Any]:
    values = item.target.values
    return {
        "label": str(item.target.label),
        "name": item.target.name,
        "version": item.target.version,
        "from": values["uri"] or values["path"] or " ".join(values["srcs"] or ()),
        "locked_version": versions.get(str(item.target.label)),
        "mode": item.mode,
        "directory": item.directory,
    }


def _image_name(package: str, name: str) -> str:
    return "/".join(part for part in (package, name) if part).strip("._-/")
