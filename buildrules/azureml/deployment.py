"""Deployments, online (managed and Kubernetes) and batch, in YAML and as the REST interface has them.

Of a deployment an image keeps the model, the environment, the code and the variables. What concerns the platform it is
deployed on is left out, and said.
"""

import re

from buildrules.azureml.document import Document, Kind
from buildrules.azureml.references import named
from buildrules.azureml.specification import Code, Specification
from buildrules.azureml.table import READ_ONLY, Key, LeftOut, Map, Nested, Value
from buildrules.azureml.values import (
    absolute_path,
    choice,
    milliseconds,
    seconds,
    switch,
    text,
    texts,
    whole,
)
from buildrules.document.problems import Problems

_PROBES = "probes are the platform's matter; the image's labels say where to ask"
_INJECTED = re.compile(r"\$\{\{.*\}\}", re.DOTALL)  # ${{azureml://connections/...}}, ${{keyvault:https://...}}
_LEVELS = choice("debug", "info", "warning", "error", "critical")


class _Deployment(Map):
    """What both kinds have."""

    schema = LeftOut("", "$schema")
    name = Key(text)
    description = Key(text)
    tags = Key(texts)
    endpoint_name = Key(text)
    model = Key(named, "model_id")
    environment = Key(named, "environment_id")
    code_configuration = Key(Nested(Code))
    environment_variables = Key(texts)
    machine = LeftOut("the machine is the platform's matter", "instance_type", "compute")
    instance_count = LeftOut("how many run is the platform's matter")
    scale_settings = LeftOut("scaling is the platform's matter")
    resources = LeftOut("the platform gives cpu and memory", "resources", "container_resource_requirements")
    network = LeftOut(
        "the network is the platform's matter", "egress_public_network_access", "private_network_connection"
    )
    data_collector = LeftOut("requests are not collected")
    probes = LeftOut(_PROBES, "startup_probe", "liveness_probe", "readiness_probe")
    properties = LeftOut("notes of Azure's own")
    packages = LeftOut("every target here is a package", "package_model", "with_package")
    platform = LeftOut("the platform's matter", "deployment_configuration", "deployment_template")
    read_only = READ_ONLY


class _Requests(Map):
    """`request_settings`."""

    request_timeout = Key(milliseconds, becomes="scoring_timeout_ms")
    request_timeout_ms = Key(whole(1), becomes="scoring_timeout_ms")
    queueing = LeftOut(
        "queueing is the platform's matter", "max_concurrent_requests_per_instance", "max_queue_wait_ms",
        "max_queue_wait",
    )  # fmt: skip


class OnlineKeys(_Deployment):
    """An online deployment."""

    what = "an online deployment"
    type = Key(choice("managed", "kubernetes", "azureml_compute", "aml_compute", "k8s"), "endpoint_compute_type")
    model_mount_path = Key(absolute_path)
    app_insights_enabled = Key(switch, becomes="app_insights")
    request_settings = Key(Nested(_Requests))


class _Retries(Map):
    """`retry_settings`."""

    max_retries = Key(whole(0), becomes="max_retries")
    timeout = Key(seconds, becomes="timeout")


def _level(value: Value) -> str:
    found = _LEVELS(value)
    return "ERROR" if found == "critical" else found.upper()


class _Settings(Map):
    """What stands in `settings`, or, as older files have it, beside it."""

    mini_batch_size = Key(whole(1), becomes="mini_batch_size")
    max_concurrency_per_instance = Key(whole(1), becomes="workers")
    error_threshold = Key(whole(-1), becomes="error_threshold")
    output_action = Key(choice("append_row", "summary_only"), becomes="output_action")
    output_file_name = Key(text, becomes="output_file_name")
    logging_level = Key(_level, becomes="log_level")
    retry_settings = Key(Nested(_Retries))


class _Inside(_Settings):
    """`settings`."""

    what = "'settings'"
    environment_variables = Key(texts)
    instance_count = LeftOut("")


class BatchKeys(_Settings, _Deployment):
    """A batch deployment."""

    what = "a batch deployment"
    _types = ("a batch deployment of type '{}' holds no model", "only type: model does")
    type = Key(choice("model", "managed", otherwise=_types), "endpoint_compute_type")
    settings = Key(Nested(_Inside))


def read_deployment(document: Document, problems: Problems) -> Specification:
    """What a deployment would run. Errors are noted in `problems`."""
    given = (BatchKeys if document.kind is Kind.BATCH else OnlineKeys)(document.node, problems)
    found = Specification(document, given.name or given.endpoint_name or "deployment", {"name": given.at("name")})
    found.deployment = True
    found.model, found.environment, found.code = given.model, given.environment, given.code_configuration
    found.tags, found.variables = given.tags or {}, given.environment_variables or {}
    found.description = given.description
    found.server_attributes = given.attributes()
    if isinstance(given, BatchKeys):
        found.server = "azureml_batch"
        if given.settings is not None:
            found.variables |= given.settings.environment_variables or {}
    else:
        found.mount_path = given.model_mount_path
        found.places["mount_path"] = given.at("model_mount_path")
        if given.app_insights_enabled:
            found.comments.append("app_insights_enabled: the container needs AML_APP_INSIGHTS_KEY when it starts")
        left = given.request_settings.left_out() if given.request_settings is not None else []
        if left:
            found.comments.append(f"request_settings: {', '.join(name for name, _ in left)} left out: {left[0][1]}")
    late = sorted(name for name, value in found.variables.items() if _INJECTED.fullmatch(value.strip()))
    if late:
        found.variables = {name: value for name, value in found.variables.items() if name not in late}
        found.comments.append(
            f"{', '.join(late)} left out: Azure puts secrets there at start; the container needs them elsewhere, too"
        )
    found.comments += [f"{name} left out: {why}" for name, why in given.left_out()]
    return found
