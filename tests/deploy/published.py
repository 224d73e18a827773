"""Makes published.json: `python published.py DIR > published.json`, with the wheels unpacked, not installed, in DIR.

From kubernetes-validate 1.37.0 (Kubernetes 1.37's own definitions, strict; Apache-2.0), kserve 0.21.0 (Apache-2.0) and
azure-mgmt-web 11.0.1 (MIT): of each kind that manifests hold the keys and what stands behind them, without a word of
the texts. What stands behind a key that is no kind of this list is `false`, which no value fits: a platform file that
writes it needs another line here.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any

KUBERNETES = "kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict/_definitions.json"
CORE, APPS, META = "io.k8s.api.core.v1.", "io.k8s.api.apps.v1.", "io.k8s.apimachinery.pkg.apis.meta.v1."
KINDS = [
    *(APPS + name for name in ("Deployment", "DeploymentSpec")),
    *("io.k8s.api.batch.v1." + name for name in ("Job", "JobSpec")),
    *(META + name for name in ("ObjectMeta", "LabelSelector")),
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    *(
        CORE + name
        for name in (
            "Service", "ServiceSpec", "ServicePort", "PodTemplateSpec", "PodSpec", "LocalObjectReference", "Container",
            "ContainerPort", "EnvVar", "EnvVarSource", "SecretKeySelector", "ResourceRequirements", "Probe",
            "HTTPGetAction", "SecurityContext", "Volume", "VolumeMount", "PersistentVolumeClaimVolumeSource",
        )
    ),
]  # fmt: skip
KSERVE = {
    "V1beta1InferenceService": "v1beta1_inference_service",
    "V1beta1InferenceServiceSpec": "v1beta1_inference_service_spec",
    "V1beta1PredictorSpec": "v1beta1_predictor_spec",
}
AZURE = (
    "Site", "SiteProperties", "SiteConfig", "NameValuePair", "ManagedServiceIdentity", "AppServicePlan",
    "AppServicePlanProperties", "SkuDescription", "TrackedResource",
)  # fmt: skip
PLAIN = {"str": "string", "int": "integer", "bool": "boolean", "float": "number"}
KEPT = ("type", "required", "enum", "additionalProperties", "items", "properties", "oneOf", "format")


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def kubernetes(schema: Any) -> Any:
    """A definition with its structure alone."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return ref(name) if name in KINDS else False
    found = {key: schema[key] for key in KEPT if key in schema and key != "format"}
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = kubernetes(found[key])
    if "properties" in found:
        found["properties"] = {name: kubernetes(one) for name, one in found["properties"].items()}
    return found


def kserve(module: str, folder: Path) -> dict[str, Any]:
    """A model of KServe's SDK: its `openapi_types`, by the names of its `attribute_map`."""
    tree = ast.parse((folder / f"kserve/models/{module}.py").read_text())
    maps = {
        node.targets[0].id: ast.literal_eval(node.value)  # type: ignore[attr-defined]
        for one in tree.body
        if isinstance(one, ast.ClassDef)
        for node in one.body
        if isinstance(node, ast.Assign)
    }
    properties = {maps["attribute_map"][name]: written(kind) for name, kind in maps["openapi_types"].items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def written(kind: str) -> Any:
    """A type as KServe's SDK writes it."""
    if kind.startswith("list["):
        return {"type": "array", "items": written(kind[5:-1])}
    if kind.startswith("dict("):
        return {"type": "object", "additionalProperties": written(kind[5:-1].partition(", ")[2])}
    if kind in KSERVE:
        return ref(kind)
    for prefix in (CORE, META):
        if kind.startswith("V1") and prefix + kind[2:] in KINDS:
            return ref(prefix + kind[2:])
    return {"type": PLAIN[kind]} if kind in PLAIN else False


def azure(folder: Path) -> dict[str, Any]:
    """The kinds of `azure.mgmt.web.types`."""
    tree = ast.parse((folder / "azure/mgmt/web/types.py").read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def fields(name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for base in classes[name].bases:
            if isinstance(base, ast.Name) and base.id in classes:
                found |= fields(base.id)
        return found | {
            node.target.id: annotated(node.annotation)
            for node in classes[name].body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }

    return {
        f"azure.{name}": {"type": "object", "properties": fields(name), "additionalProperties": False} for name in AZURE
    }


def annotated(node: ast.expr) -> Any:
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        if node.value.id == "list":
            return {"type": "array", "items": annotated(node.slice)}
        if node.value.id == "dict" and isinstance(node.slice, ast.Tuple):
            return {"type": "object", "additionalProperties": annotated(node.slice.elts[1])}
        if node.value.id == "Required":
            return annotated(node.slice)
        return {"type": "string"}  # Union[str, an enum]
    name = node.id if isinstance(node, ast.Name) else node.value if isinstance(node, ast.Constant) else ""
    if name in PLAIN:
        return {"type": PLAIN[name]}
    return ref(f"azure.{name}") if name in AZURE else False


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found


if __name__ == "__main__":
    unpacked = Path(sys.argv[1])
    definitions = json.loads(only(unpacked, KUBERNETES).read_text())["$defs"]
    found: dict[str, Any] = {name: kubernetes(definitions[name]) for name in KINDS}
    home = only(unpacked, "kserve/models/v1beta1_predictor_spec.py").parents[2]
    found |= {name: kserve(module, home) for name, module in KSERVE.items()}
    found |= azure(only(unpacked, "azure/mgmt/web/types.py").parents[3])
    sys.stdout.write(json.dumps({"$defs": found}, sort_keys=True, separators=(",", ":")) + "\n")
