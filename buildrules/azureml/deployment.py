"""Deployments, online (managed and Kubernetes) and batch, in YAML and as the REST interface has them.

Of a deployment an image keeps the model, the environment, the code and the variables. What concerns the platform it is
deployed on is left out, and said.
"""

import re
from collections.abc import Sequence

from buildrules.azureml.document import Document, Kind
from buildrules.azureml.fields import READ_ONLY, Section
from buildrules.azureml.specification import Specification, read_code, read_named
from buildrules.document.problems import Problems

__all__ = ["read_deployment"]

_COMMON = (
    "$schema", "name", "description", "tags", "properties", "endpoint_name", "type", "model", "environment",
    "code_configuration", "environment_variables",
)  # fmt: skip
_ALIASES = {
    "modelId": "model",
    "model_id": "model",
    "environmentId": "environment",
    "environment_id": "environment",
    "endpointComputeType": "type",
}
_PLATFORM = {
    "instance_type": "the machine is the platform's matter",
    "instance_count": "how many run is the platform's matter",
    "scale_settings": "scaling is the platform's matter",
    "resources": "the platform gives cpu and memory",
    "compute": "the machine is the platform's matter",
    "egress_public_network_access": "the network is the platform's matter",
    "private_network_connection": "the network is the platform's matter",
    "data_collector": "requests are not collected",
    "startup_probe": "probes are the platform's matter; the image's labels say where to ask",
    "liveness_probe": "probes are the platform's matter; the image's labels say where to ask",
    "readiness_probe": "probes are the platform's matter; the image's labels say where to ask",
    "properties": "notes of Azure's own",
    "package_model": "every target here is a package",
    "with_package": "every target here is a package",
    "container_resource_requirements": "the platform gives cpu and memory",
    "deployment_configuration": "the platform's matter",
    "deployment_template": "the platform's matter",
}
_SETTINGS = (
    "mini_batch_size", "max_concurrency_per_instance", "output_action", "output_file_name", "retry_settings",
    "error_threshold", "logging_level", "environment_variables", "instance_count",
)  # fmt: skip
_PROBE = (
    "initial_delay",
    "period",
    "timeout",
    "success_threshold",
    "failure_threshold",
    "path",
    "port",
    "scheme",
    "method",
)


def read_deployment(document: Document, problems: Problems) -> Specification | None:
    """What a deployment would run. Errors are noted in `problems`; then None may come back."""
    batch = document.kind is Kind.BATCH
    own: Sequence[str] = _SETTINGS[:-2] if batch else ("model_mount_path", "app_insights_enabled", "request_settings")
    names = (*_COMMON, *own, *(["settings"] if batch else []), *(n for n in _PLATFORM if n not in _COMMON))
    section = Section(document.node, f"{document.kind.value}", names, problems, _ALIASES, READ_ONLY)
    name = section.text("name")
    if name is None:
        name = section.text("endpoint_name") or "deployment"
    found = Specification(document, name, section.node("name") or section.given, deployment=True)
    found.server = "azureml_batch" if batch else "azureml_online"
    found.model = read_named(section, "model")
    found.environment = read_named(section, "environment")
    found.code = read_code(section)
    found.variables = section.texts("environment_variables")
    found.tags = section.texts("tags")
    found.description = section.text("description")
    for one in ("liveness_probe", "readiness_probe", "startup_probe"):
        section.section(one, _PROBE)
    if batch:
        kind = section.text("type")
        if kind is not None and kind.lower() not in ("model", "managed"):
            node = section.node("type") or section.given
            problems.add_error(
                node.error(f"a batch deployment of type '{kind}' holds no model", "only type: model does")
            )
        _batch(found, section)
    else:
        section.choice("type", ("managed", "kubernetes", "azureml_compute", "aml_compute", "k8s"))
        _online(found, section)
    for one in section.names:
        if one in _PLATFORM:
            found.comments.append(f"{one} left out: {_PLATFORM[one]}")
    return found


def _online(found: Specification, section: Section) -> None:
    found.mount_path, found.mount_node = section.image_path("model_mount_path"), section.node("model_mount_path")
    if found.mount_path is not None and not found.mount_path.startswith("/"):
        node = found.mount_node or section.given
        section.problems.add_error(node.error(f"'model_mount_path' must be absolute, not '{found.mount_path}'"))
    if section.text("app_insights_enabled") in ("true", "True", "TRUE"):
        found.server_attributes["app_insights"] = True
        found.comments.append("app_insights_enabled: the container needs AML_APP_INSIGHTS_KEY when it starts")
    names = ("request_timeout_ms", "max_concurrent_requests_per_instance", "max_queue_wait_ms", "request_timeout",
             "max_queue_wait")  # fmt: skip
    inner = section.section("request_settings", names)
    if inner is None:
        return
    timeout = inner.integer("request_timeout_ms", minimum=1)
    if timeout is None and (text := inner.text("request_timeout")) is not None:
        timeout = _milliseconds(inner, "request_timeout", text)
    if timeout is not None:
        found.server_attributes["scoring_timeout_ms"] = timeout
    for name in ("max_concurrent_requests_per_instance", "max_queue_wait_ms"):
        inner.integer(name, minimum=0)
    left = [n for n in inner.names if not n.startswith("request_timeout")]
    if left:
        found.comments.append(f"request_settings: {', '.join(left)} left out: queueing is the platform's matter")


def _milliseconds(section: Section, name: str, text: str) -> int | None:
    """An ISO 8601 duration as REST writes it: PT5S, PT1M30S."""
    found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", text)
    if found is None or not any(found.groups()):
        node = section.node(name) or section.given
        section.problems.add_error(node.error(f"'{text}' is not a duration", "write it like PT5S"))
        return None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return int((hours * 3600 + minutes * 60 + seconds) * 1000)


def _batch(found: Specification, section: Section) -> None:
    inner = section.section("settings", _SETTINGS)
    _batch_settings(found.server_attributes, section)
    if inner is not None:
        _batch_settings(found.server_attributes, inner)
        found.variables = {**found.variables, **inner.texts("environment_variables")}


def _batch_settings(values: dict[str, bool | int | str], section: Section) -> None:
    """What stands in `settings`, or, as older files have it, beside it."""
    said: dict[str, bool | int | str | None] = {
        "mini_batch_size": section.integer("mini_batch_size", minimum=1),
        "workers": section.integer("max_concurrency_per_instance", minimum=1),
        "error_threshold": section.integer("error_threshold", minimum=-1),
        "output_action": section.choice("output_action", ("append_row", "summary_only")),
        "output_file_name": section.text("output_file_name"),
    }
    level = section.choice("logging_level", ("debug", "info", "warning", "error", "critical"))
    said["log_level"] = None if level is None else "ERROR" if level == "critical" else level.upper()
    retry = section.section("retry_settings", ("max_retries", "timeout"))
    if retry is not None:
        said["max_retries"] = retry.integer("max_retries", minimum=0)
        text = retry.text("timeout")
        if text is not None and text.startswith("PT"):
            milliseconds = _milliseconds(retry, "timeout", text)
            said["timeout"] = None if milliseconds is None else milliseconds // 1000
        else:
            said["timeout"] = retry.integer("timeout", minimum=1)
    values.update({name: value for name, value in said.items() if value is not None})
