"""Model packages: `ModelVersionPackage.json`, in YAML and as the REST interface has it.

Sources: azure.ai.ml entities ModelPackage and REST PackageRequest (2023-08-01-preview).
"""

import re
from typing import NamedTuple

from buildrules.azureml.document import Document
from buildrules.azureml.inputs import Input, how
from buildrules.azureml.references import Place, named, parse_reference
from buildrules.azureml.specification import Code, RoutesKeys, Specification
from buildrules.azureml.table import READ_ONLY, Each, Key, LeftOut, Map, Nested, Value, anything
from buildrules.azureml.values import choice, image_path, text, texts
from buildrules.document.problems import Problems

_ANSWERED = "of an answer"
_VERSION = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_IMAGE = re.compile(r"(?P<registry>(?:localhost|[\w-]+(?:\.[\w-]+)*[.:][\w-]+)(?:/[\w.-]+)*)/(?P<rest>[^/]+)", re.ASCII)
_ELSEWHERE = re.compile(r"(?:^|/)(?:registries|workspaces)/(?P<registry>[^/]+)/environments/", re.IGNORECASE)


class _Target(Map):
    """`target_environment` as a map."""

    what = "'target_environment'"
    name = Key(text, needs="")
    version = Key(text)


class Target(NamedTuple):
    """The environment to be made. `registry` is where its image is to lie: HOST/PATH, or, of an id that names a
    registry or another workspace of Azure ML, that name; None where nothing is said.
    """

    name: str
    version: str | None
    registry: str | None = None


def _target(value: Value) -> Target | None:
    """What is to be made: NAME, NAME:VERSION, azureml:..., {name, version}, an id or HOST/PATH/NAME:VERSION."""
    version, node = None, value.node
    if node.kind == "map":
        inner = Nested(_Target)(value)
        said, version = inner.name, inner.version
    else:
        said = text(value)
    if said is None:
        return None
    image, elsewhere = _IMAGE.fullmatch(said), _ELSEWHERE.search(said)
    reference = parse_reference(image["rest"] if image else said, short=True)
    if reference.place is not Place.ASSET or not re.fullmatch(_VERSION, reference.name):
        hint = "letters, digits and `_ - .`, and perhaps a version: my-env or my-env:3"
        raise node.error(f"'{said}' is not the name of an environment", hint)
    registry = image["registry"] if image else elsewhere["registry"] if elsewhere else None
    return Target(reference.name, _version(value, version or reference.version), registry)


def _version(value: Value, said: str | None = None) -> str | None:
    if said is not None and not re.fullmatch(_VERSION, said):
        raise value.node.error(f"'{said}' is not a version of an environment")
    return said


class _Base(Map):
    """`base_environment_source`."""

    _types = ("'{}' is not a type of base environment", "the one there is: environment_asset")
    type = Key(choice("environment_asset", "asset", otherwise=_types), "base_environment_source_type")
    resource_id = Key(named, needs="the environment, such as azureml:my-env:1")


class _Inference(RoutesKeys):
    """`inference_configuration` of a server of somebody's own."""

    entry_script = Key(text)
    configuration = Key(anything, "configurations", left_out="the service takes no notice of it either")


class _Server(Map):
    """`inferencing_server`."""

    type = Key(choice("azureml_online", "azureml_batch", "triton", "custom"), "server_type", needs="")
    code_configuration = Key(Nested(Code))
    inference_configuration = Key(Nested(_Inference))


class _Model(Map):
    """`model_configuration`."""

    mode = Key(how)
    mount_path = Key(image_path)


class PackageKeys(Map):
    """A model package."""

    what = "a model package"
    target_environment = Key(
        _target, "target_environment_id", "target_environment_name",
        needs="the name of the environment that the package makes",
    )  # fmt: skip
    target_environment_version = Key(lambda value: _version(value, text(value)))
    base_environment_source = Key(Nested(_Base))
    inferencing_server = Key(Nested(_Server), needs="write inferencing_server: {type: azureml_online, ...}")
    model_configuration = Key(Nested(_Model))
    inputs = Key(Each(Nested(Input)))
    tags = Key(texts)
    environment_variables = Key(texts)
    properties = Key(texts, left_out="")
    answered = LeftOut(_ANSWERED, "build_id", "build_state", "log_url", suggested=False)
    schema = LeftOut("", "$schema")
    read_only = READ_ONLY


def read_package(document: Document, problems: Problems) -> Specification | None:
    """The package of a document. Errors are noted in `problems`; then None may come back."""
    given = PackageKeys(document.node, problems)
    server = given.inferencing_server
    if server is None:
        return None
    target = given.target_environment
    if target is not None:
        target = target._replace(version=given.target_environment_version or target.version)
    found = Specification(document, target.name if target else "package", {"name": given.at("target_environment")})
    found.server, found.target_environment = server.type or "azureml_online", target
    if given.base_environment_source is not None:
        found.environment = given.base_environment_source.resource_id
        found.unsound = found.environment is None
    found.code = server.code_configuration
    if found.server == "triton" and found.code is not None:
        message = "a triton server runs no code_configuration"
        problems.add_error(server.key_at("code_configuration").error(message, "leave it out, or use custom"))
        found.code = None
    _inference(found, server)
    _model(found, given.model_configuration)
    found.inputs = given.inputs or []
    found.tags, found.variables = given.tags or {}, given.environment_variables or {}
    if given.properties:
        found.comments.append(f"properties left out: {', '.join(sorted(given.properties))}")
    if answered := [name for name, _ in given.left_out()]:
        found.comments.append(f"{_ANSWERED}, left out: {', '.join(answered)}")
    return found


def _inference(found: Specification, server: _Server) -> None:
    inner = server.inference_configuration
    if inner is None:
        return
    for name, why in inner.left_out():
        found.comments.append(f"inference_configuration.{name} left out: {why}")
    if found.server == "custom":
        found.routes, found.entry_script = inner.routes or None, inner.entry_script
        found.places["entry_script"] = inner.at("entry_script")
    elif inner.routes or inner.entry_script:
        found.comments.append(f"inference_configuration left out: {found.server} has a command and routes of its own")


def _model(found: Specification, inner: _Model | None) -> None:
    if inner is None:
        return
    found.mode, found.mount_path = inner.mode, inner.mount_path
    found.places |= {"mode": inner.at("mode"), "mount_path": inner.at("mount_path")}
    if found.mode == "read_only_mount":
        found.comments.append("mode read_only_mount: what is mounted there is fetched here, as with download")
        found.mode = "download"
