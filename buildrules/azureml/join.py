"""A package and all it joins: a model, an environment or a base, a server, code, inputs."""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

from buildrules.authoring.paths import display
from buildrules.authoring.target import Local, NewTarget, Ref, clean_name
from buildrules.azureml.choice import find_models
from buildrules.azureml.code import code_target
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.foundation import Foundation, foundation
from buildrules.azureml.inputs import input_target
from buildrules.azureml.models import Model, model_target
from buildrules.azureml.server import APP, choose_server, server_target
from buildrules.azureml.specification import Specification

_SAMPLES = ("sample-request.json", "sample_request.json", "sample-data.json")


@dataclass(slots=True)
class Parts:
    """What a package is made of: `models` and `made`, their targets, stand side by side."""

    models: list[Model]
    made: list[NewTarget]
    stands: Foundation | None = None
    code: NewTarget | None = None
    inputs: tuple[NewTarget, ...] = ()

    @property
    def mlflow(self) -> bool:
        """Whether there are MLflow models, and no others."""
        return bool(self.models) and all(model.mlflow for model in self.models)


def package_target(conversion: Conversion, spec: Specification) -> NewTarget | None:
    """The package and all it joins. Raises LoadError, or notes several; then None comes back."""
    before = len(conversion.problems)
    parts = _parts(conversion, spec)
    mode = _mode(conversion, spec, parts.models)
    if parts.stands is None or len(conversion.problems) > before:
        return None
    if spec.server == "custom" and not parts.stands.image and spec.entry_script is None:
        hint = "write inference_configuration: {entry_script: ...}, or take an environment that is an image"
        raise spec.at().error(f"nothing says what starts the server of '{spec.name}'", hint)
    if spec.server == "triton" and parts.stands.made(conversion):
        node = spec.environment.node if spec.environment is not None else spec.at()
        hint = "name an image that holds it, such as a tritonserver image: --base IMAGE"
        raise node.error(f"the server of '{spec.name}' is Triton, and nothing in its environment brings it", hint)
    server = server_target(conversion, spec, parts.stands, parts.made, parts.code)
    target = _joined(conversion, spec, parts, server, mode)
    _say_other_name(conversion, spec, target)
    return target


def _parts(conversion: Conversion, spec: Specification) -> Parts:
    """What the package is made of; settles which server it has."""
    before = len(conversion.problems)
    models = conversion.attempt(lambda: find_models(conversion, spec)) or []
    parts = Parts(models, [model_target(conversion, model) for model in models])
    lost = not models and len(conversion.problems) > before  # an MLflow model brings an environment; nobody knows now
    optional = spec.server == "custom" or (spec.deployment and spec.server == "azureml_online" and bool(spec.code))
    missing = not models and not optional and not lost
    no_model = partial(conversion.fail, spec.at(), f"'{spec.name}' has no model", "name it: --model PATH")
    if missing and spec.environment is None and conversion.options.environment is None:
        no_model()
    plain = spec.environment is None and spec.code is None and spec.deployment
    if plain and models and all(model.flavour == "triton" for model in models):
        spec.server = "triton"
    mlflow = list(zip(models, parts.made, strict=True)) if parts.mlflow else []
    parts.stands = conversion.attempt(lambda: foundation(conversion, spec, models=mlflow, lost=lost))
    sound = len(conversion.problems)
    if parts.stands is not None:
        choose_server(conversion, spec, parts.stands)
    if missing and len(conversion.problems) == before and spec.server != "custom":  # a container may need none
        no_model()
    unknown = parts.stands is None and spec.deployment and spec.environment is not None  # it may be a container
    if not unknown and len(conversion.problems) == sound:
        _check_code(conversion, spec, parts)
    paths = [model.path for model in models if model.path]
    parts.code = conversion.attempt(lambda: code_target(conversion, spec, paths))
    given = [conversion.attempt(partial(input_target, conversion, spec.document.directory, one)) for one in spec.inputs]
    parts.inputs = tuple(target for target in given if target is not None)
    return parts


def _joined(conversion: Conversion, spec: Specification, parts: Parts, server: Ref | str, mode: str) -> NewTarget:
    assert parts.stands is not None
    made, code, variables = parts.made, parts.code, {**parts.stands.variables, **spec.variables}
    folder = os.path.dirname(code.attributes["entry_script"]) if code is not None else ""
    if code is not None and folder and spec.server == "azureml_online":
        variables.setdefault("AML_APP_ROOT", f"{APP}/{code.attributes['name']}/{folder}")
    comments = [spec.description, *spec.comments]
    if spec.mount_path and not made:
        comments.append("model_mount_path left out: there is no model")
    unsaid = mode == "copy" and spec.mode is None and conversion.options.mode is None
    remarks = {"mode": "nothing was said; Azure's default is download" if unsaid else None}
    attributes: dict[str, Any] = {
        "model": Ref(made[0]) if len(made) == 1 else None,
        "models": [Ref(one) for one in made] if len(made) > 1 else None,
        "inputs": [Ref(one) for one in parts.inputs],
        "base_env": parts.stands.base_env,
        "server": server,
        "code": Ref(code) if code is not None else None,
        "mode": mode if made or parts.inputs else None,
        "mount_path": spec.mount_path if made else None,
        "target_environment": _environment(conversion, spec),
        "environment": variables,
        "tags": spec.tags,
        "sample_request": _sample(conversion, spec),
    }
    return conversion.targets.add(spec.name, "model_package", attributes, comments=comments, remarks=remarks)


def _environment(conversion: Conversion, spec: Specification) -> str | None:
    """The environment that the package makes, after where its image goes if anything here says where that is."""
    if spec.target_environment is None:
        return None
    name, version, registry = spec.target_environment
    known = registry and ("." in registry or ":" in registry or conversion.has_registry(registry))
    return (f"{registry}/" if known else "") + (f"{name}:{version}" if version else name)


def _sample(conversion: Conversion, spec: Specification) -> Local | None:
    """A request that lies beside the file; a batch deployment works on files, not on requests."""
    beside = [os.path.join(spec.document.directory, name) for name in _SAMPLES]
    found = next((path for path in beside if conversion.disk.is_file(path)), None)
    return Local(found) if found is not None and spec.server != "azureml_batch" else None


def _check_code(conversion: Conversion, spec: Specification, parts: Parts) -> None:
    """Note an error where a scoring script is missing: one MLflow model needs none."""
    if spec.code is not None or spec.server not in ("azureml_online", "azureml_batch"):
        return
    if spec.server == "azureml_online" and parts.mlflow and len(parts.models) > 1:
        names = ", ".join(display(model.path or model.uri or "") for model in parts.models)
        message = f"without a scoring script one MLflow model is served, and here are several: {names}"
        hint = "name one of them with --model, or write a scoring script that loads them all"
        conversion.fail(spec.at(), message, hint)
    elif parts.models and not parts.mlflow:
        hint = "only an MLflow model needs none; write code_configuration: {code: src, scoring_script: score.py}"
        conversion.fail(spec.at(), f"'{spec.name}' has no code_configuration", hint)


def _say_other_name(conversion: Conversion, spec: Specification, target: NewTarget) -> None:
    """Say that a package has another name here, where it differs from another one's in its capitals alone."""
    wanted = clean_name(spec.name)
    names = {one.name for one in conversion.targets.all if one.rule == "model_package"}
    if target.name.lower() == wanted.lower() or wanted in names or wanted.lower() not in map(str.lower, names):
        return
    said = f"{wanted} is named {target.name}: names of images know no capitals, and there is such a one"
    target.comments.append(said)
    conversion.note(f"{spec.document.display}: {said}")


def _mode(conversion: Conversion, spec: Specification, models: list[Model]) -> str:
    """copy or download: as asked, else copy. Downloading a model that is only here is an error."""
    mode = conversion.options.mode or spec.mode or "copy"
    here = [model for model in models if model.path]
    if mode == "download" and here and conversion.options.download_uri is None:
        conversion.fail(
            spec.at("mode"),
            f"mode download needs an address, and the model is '{display(here[0].path)}'",
            "put it into the image: --mode copy; or say where it lies when the container starts: --download-uri URI",
        )
    return mode
