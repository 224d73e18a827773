"""Model packages: `ModelVersionPackage.json`, in YAML and as the REST interface has it.

Sources: azure.ai.ml entities ModelPackage and REST PackageRequest (2023-08-01-preview).
"""

import re

from buildrules.azureml.document import Document
from buildrules.azureml.fields import READ_ONLY, Section, plain_text
from buildrules.azureml.references import Place, Reference, parse_reference
from buildrules.azureml.specification import (
    ROUTES,
    Input,
    Named,
    Routes,
    Specification,
    read_code,
    read_named,
    read_routes,
)
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems

__all__ = ["read_package"]

_NAMES = (
    "$schema",
    "target_environment",
    "target_environment_version",
    "base_environment_source",
    "inferencing_server",
    "model_configuration",
    "inputs",
    "tags",
    "environment_variables",
    "properties",
)
_ALIASES = {
    "targetEnvironmentId": "target_environment",
    "target_environment_id": "target_environment",
    "target_environment_name": "target_environment",
    "targetEnvironmentName": "target_environment",
}
_ANSWER = ("build_id", "build_state", "log_url")
"""What the service adds to its answer; an answer that was kept can be read as well."""
SERVERS = ("azureml_online", "azureml_batch", "triton", "custom")
_SERVER_NAMES = ("type", "code_configuration", "inference_configuration")
_PATHS = {"path_id": "resource_id", "url": "url", "path_version": "resource_name"}
_INFERENCE_NAMES = (*ROUTES, "entry_script", "configuration")


def read_package(document: Document, problems: Problems) -> Specification | None:
    """The package of a document. Errors are noted in `problems`; then None may come back."""
    section = Section(document.node, "a model package", _NAMES, problems, _ALIASES, also=(*_ANSWER, *READ_ONLY))
    target = _target_environment(section)
    inner = section.section("inferencing_server", _SERVER_NAMES, {"serverType": "type", "server_type": "type"})
    if inner is None:
        section.missing("inferencing_server", "write inferencing_server: {type: azureml_online, ...}")
        return None
    server = inner.choice("type", SERVERS, required=True)
    name = target[0] if target else "package"
    found = Specification(document, name, section.node("target_environment") or section.given)
    found.server = server or "azureml_online"
    found.target_environment = target
    found.environment = _base_environment(section)
    found.environment_unsound = found.environment is None and "base_environment_source" in section
    found.code = read_code(inner)
    _inference(found, inner)
    _model_configuration(found, section)
    found.inputs = [one for node in section.items("inputs") if (one := _input(node, problems)) is not None]
    found.tags = section.texts("tags")
    found.variables = section.texts("environment_variables")
    properties = section.texts("properties")
    if properties:
        found.comments.append(f"properties left out: {', '.join(sorted(properties))}")
    answered = [name for name in _ANSWER if name in section]
    if answered:
        found.comments.append(f"of an answer, left out: {', '.join(answered)}")
    if found.server == "triton" and found.code is not None:
        problems.add_error(
            found.code.node.error("a triton server runs no code_configuration", "leave it out, or use custom")
        )
        found.code = None
    return found


def _target_environment(section: Section) -> tuple[str, str | None] | None:
    """Name and version of the environment to be made: NAME, NAME:VERSION, azureml:..., {name, version} or an id."""
    node = section.node("target_environment")
    said = section.text("target_environment_version")
    if node is None:
        section.missing("target_environment", "the name of the environment that the package makes")
        return None
    if node.kind == "map":
        inner = Section(node, "'target_environment'", ("name", "version"), section.problems)
        text = inner.text("name", required=True)
        said = inner.text("version") or said
    else:
        text = section.text("target_environment")
    if text is None:
        return None
    reference = parse_reference(text, short=True)
    name = reference.name
    if reference.place is not Place.ASSET or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        section.problems.add_error(
            node.error(
                f"'{text}' is not the name of an environment",
                "letters, digits and `_ - .`, and perhaps a version: my-env or my-env:3",
            )
        )
        return None
    version = said or reference.version
    if version is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", version):
        section.problems.add_error(node.error(f"'{version}' is not a version of an environment"))
        return None
    return name, version


def _base_environment(section: Section) -> Named | None:
    aliases = {"base_environment_source_type": "type", "baseEnvironmentSourceType": "type"}
    inner = section.section("base_environment_source", ("type", "resource_id"), aliases)
    if inner is None:
        return None
    kind = inner.text("type")
    if kind is not None and re.sub("[_-]", "", kind).lower() not in ("environmentasset", "asset"):
        node = inner.node("type") or inner.given
        inner.problems.add_error(
            node.error(f"'{kind}' is not a type of base environment", "the one there is: environment_asset")
        )
    if "resource_id" not in inner:
        inner.missing("resource_id", "the environment, such as azureml:my-env:1")
    return read_named(inner, "resource_id")


def _inference(found: Specification, server: Section) -> None:
    aliases = {"configurations": "configuration"}
    inner = server.section("inference_configuration", _INFERENCE_NAMES, aliases)
    if inner is None:
        return
    routes = read_routes(inner)
    if routes:
        found.routes = Routes(server.key("inference_configuration"), routes)
    found.entry_script = inner.text("entry_script")
    found.entry_node = inner.node("entry_script")
    if inner.node("configuration") is not None:
        found.comments.append(
            "inference_configuration.configuration left out: the service takes no notice of it either"
        )
    if found.server != "custom" and (routes or found.entry_script):
        found.routes = None
        found.entry_script = None
        found.comments.append(f"inference_configuration left out: {found.server} has a command and routes of its own")


def _model_configuration(found: Specification, section: Section) -> None:
    inner = section.section("model_configuration", ("mode", "mount_path"))
    if inner is None:
        return
    mode = inner.choice("mode", ("copy", "download", "read_only_mount"))
    if mode == "read_only_mount":
        found.comments.append("mode read_only_mount: what is mounted there is fetched here, as with download")
        mode = "download"
    found.mode, found.mode_node = mode, inner.node("mode")
    found.mount_path, found.mount_node = inner.image_path("mount_path"), inner.node("mount_path")


def _input(node: Node, problems: Problems) -> Input | None:
    section = Section(
        node, "an input", ("type", "mode", "path", "mount_path", "input_type"), problems, {"inputType": "type"}
    )
    kind = section.choice("type", ("uri_file", "uri_folder"), required=True)
    said = section.choice("mode", ("copy", "download", "read_only_mount"))
    source = _input_path(section)
    if source is None:
        return None
    mode = None if said is None else "copy" if said == "copy" else "download"
    return Input(node, source, kind != "uri_file", mode, said, section.image_path("mount_path"))


def _input_path(section: Section) -> Named | None:
    node = section.node("path")
    if node is None:
        section.missing("path", "write {url: ...}, {resource_id: ...} or {resource_name: ..., resource_version: ...}")
        return None
    if node.kind == "scalar":
        return Named(node, parse_reference(plain_text(node)))
    names = ("input_path_type", "resource_id", "url", "resource_name", "resource_version")
    inner = Section(node, "'path'", names, section.problems)
    said = inner.choice("input_path_type", tuple(_PATHS))
    given = [name for name in _PATHS.values() if name in inner]
    if len(given) != 1 or (said is not None and _PATHS[said] != given[0]):
        wanted = _PATHS[said] if said is not None else "one of resource_id, url, and resource_name with its version"
        section.problems.add_error(
            node.error(f"'path' names {' and '.join(given) or 'no place'}", f"it needs {wanted}")
        )
        return None
    text = inner.text(given[0])
    if text is None:
        return None
    value = inner.node(given[0]) or node
    if given[0] == "resource_name":
        version = inner.text("resource_version")
        asked = f"{text}:{version}" if version else text
        return Named(value, Reference(asked, Place.ASSET, text, version, kind="data"))
    return Named(value, parse_reference(text, short=given[0] == "resource_id"))
