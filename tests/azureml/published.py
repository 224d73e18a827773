"""Makes published.json: `python published.py > published.json`, with azure-ai-ml 1.35.2 and, for REST, 1.20.0 unpacked.

`sdk` are the fields of the marshmallow schemas that the SDK reads YAML by; `rest` those of the classes of
2023-08-01-preview. Of each map the keys, and the keys below it.
"""

import importlib
import json
import sys
from typing import Any

SDK = {
    "package": "assets.package.model_package.ModelPackageSchema",
    "environment": "assets.environment.EnvironmentSchema",
    "model": "assets.model.ModelSchema",
    "data": "assets.data.DataSchema",
    "online": "_deployment.online.online_deployment.ManagedOnlineDeploymentSchema",
    "kubernetes": "_deployment.online.online_deployment.KubernetesOnlineDeploymentSchema",
    "batch": "_deployment.batch.batch_deployment.BatchDeploymentSchema",
    "model_batch": "_deployment.batch.model_batch_deployment.ModelBatchDeploymentSchema",
    "connection": "workspace.connections.workspace_connection.WorkspaceConnectionSchema",
}
REST = {
    "package": "PackageRequest",
    "environment": "EnvironmentVersionProperties",
    "model": "ModelVersionProperties",
    "data": "DataVersionBaseProperties",
    "online": "ManagedOnlineDeployment",
    "kubernetes": "KubernetesOnlineDeployment",
    "batch": "BatchDeploymentProperties",
}
OURS = {"id", "provisioning_state", "creation_context"}  # what is only printed


def sdk(schema: Any, depth: int = 0) -> dict[str, Any]:
    fields = getattr(schema, "_declared_fields", {})
    return {one.data_key or name: below(one, depth) for name, one in sorted(fields.items()) if not one.dump_only}


def below(field: Any, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if depth < 4:
        inner = [getattr(field, "inner", None), *(getattr(field, "_union_fields", None) or [])]
        for one in inner:
            found |= below(one, depth) if one is not None else {}
        nested = getattr(field, "nested", None)
        found |= sdk(nested, depth + 1) if nested is not None else {}
    return found


def rest(models: Any, name: str, depth: int = 0) -> dict[str, Any]:
    found = {}
    for one in models.__dict__[name]._attribute_map.values():
        kind = one["type"].strip("[]")
        inner = (
            rest(models, kind, depth + 1) if depth < 4 and hasattr(models.__dict__.get(kind), "_attribute_map") else {}
        )
        found[one["key"]] = inner
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["rest"]:
        models = importlib.import_module("azure.ai.ml._restclient.v2023_08_01_preview.models")
        found = {kind: rest(models, name) for kind, name in REST.items()}
    else:
        found = {}
        for kind, path in SDK.items():
            module, _, name = path.rpartition(".")
            found[kind] = sdk(getattr(importlib.import_module(f"azure.ai.ml._schema.{module}"), name))
    sys.stdout.write(json.dumps(found, sort_keys=True))
