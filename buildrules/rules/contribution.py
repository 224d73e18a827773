"""What a rule adds to an image, with every template filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildrules.errors import LoadError
from buildrules.rules.generated import generated_files
from buildrules.rules.language import Route
from buildrules.rules.model_places import ModelPlace, place_models
from buildrules.rules.paths import image_path
from buildrules.rules.rule import MODEL_NAMES, Rule
from buildrules.rules.template import MissingValueError, as_text, substitute, substitute_list, substitute_map
from buildrules.rules.types import PLAIN_REQUIREMENT, parse_route, port_of

VENV = "/opt/venv"
"""Where the Python environment lies in every image."""


@dataclass(slots=True)
class Contribution:
    """What one rule adds. Plain values; paths in the image are absolute.

    `model_places` says where each model of the package goes: below its own name if `keep_folder`, else a folder's
    contents; it is empty if the server has no place for models. `files` are texts to be written, by path. `routes`
    maps liveness, readiness, scoring to {"port": int, "path": str}. `job` has the folders `input` and `output` of a
    program that ends, and `result`, if there is a file that holds what it found. `module` is one the code must have.
    `layers` holds {"action": kind, "with":
    parameters}.
    """

    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    model_places: list[ModelPlace] = field(default_factory=list)
    keep_folder: bool = True
    code_directory: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    user: str | None = None
    working_dir: str | None = None
    stop_signal: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    routes: dict[str, dict[str, Any]] = field(default_factory=dict)
    job: dict[str, str] | None = None
    module: str | None = None
    layers: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def contribute(
    rule: Rule,
    scope: Mapping[str, Any],
    *,
    models: Sequence[Mapping[str, Any]] = (),
    generated_code: bool = False,
    mount_path: str | None = None,
) -> Contribution:
    """Fill in a rule's templates.

    `scope` holds the target's values by attribute name and, for a server, `code.name` and its like; `models` holds
    `model.name` and its like for each model of the package. With `generated_code` the rule's `without_code` stands in
    for the package's code. `mount_path` is where the package wants its models, instead of the rule's place for them.
    Raises LoadError (without a position) if a value is missing where there must be one, or makes no sense.
    """
    file = rule.file
    names: dict[str, Any] = {**scope, "venv": VENV}
    if len(models) == 1:
        names.update(models[0])
    if models:
        names["models.names"] = [model["model.name"] for model in models]
        names["models.last"] = models[-1]["model.name"]
    _variants(rule, names)
    found = Contribution()
    instead = file.without_code if generated_code else None
    if instead is not None:
        names["code.name"] = instead.name
        names["code.entry_script"] = instead.entry_script
    try:
        scopes = _layout(rule, found, names, models, mount_path, generated_code)
        if file.python is not None:
            found.requirements = [str(item) for item in substitute_list(file.python.requirements, names)]
            found.constraints = list(file.python.constraints)
            found.modules = list(file.python.modules)
        _image(rule, found, names)
        _job(rule, found, names)
        if file.requires is not None:
            found.module = _optional(file.requires.module, names)
        found.files = generated_files(rule, names, scopes)
        if instead is not None:
            found.environment |= substitute_map(instead.environment, names, as_text)
        found.layers = [{"action": layer.action, "with": _deep(layer.with_, names)} for layer in file.layers]
    except MissingValueError as error:
        raise _missing(rule, error.name, len(models)) from error
    if instead is not None:
        found.requirements += instead.requirements
        if found.code_directory is None:
            raise LoadError(f"rule '{rule.name}' has `without_code` and no `layout.code` to put it in")
        for name, text in rule.beside(instead.files).items():
            found.files[image_path(f"{found.code_directory}/{name}")] = text
    for text in (*found.requirements, *found.constraints):
        if text not in rule.checked:
            _check_requirement(rule, text)
            rule.checked.add(text)
    return found


def _variants(rule: Rule, names: dict[str, Any]) -> None:
    """What belongs to the choices that were made becomes `names`; what has no value does not."""
    for name, variants in rule.variants.items():
        for key, value in variants.get(str(names.get(name)), {}).items():
            try:
                filled = substitute_list(value, names) if isinstance(value, list) else substitute(value, names)
            except MissingValueError:
                continue
            names[f"{name}.{key}"] = filled


def _layout(
    rule: Rule,
    found: Contribution,
    names: dict[str, Any],
    models: Sequence[Mapping[str, Any]],
    mount_path: str | None,
    generated_code: bool,
) -> list[Mapping[str, Any]]:
    """Places of models and code; they become `names`. Returns the names of each model, its place among them."""
    layout = rule.file.layout
    if layout is None:
        return list(models)
    keep = substitute(layout.keep_folder, names)
    if not isinstance(keep, bool):
        raise LoadError(f"rule '{rule.name}': layout.keep_folder is '{keep}', neither true nor false")
    found.keep_folder = keep
    instead = rule.file.without_code if generated_code else None
    place = (instead.directory if instead is not None else None) or layout.code
    if place is not None and names.get("code.name") is not None:
        found.code_directory = image_path(substitute(place, names))
        names["layout.code"] = found.code_directory
    if layout.model is None or not models:
        return list(models)
    working_dir = _optional(rule.file.image.working_dir, names) if rule.file.image is not None else None
    root, found.model_places = place_models(
        layout, names, models, keep_folder=keep, mount_path=mount_path, working_dir=working_dir
    )
    scopes: list[Mapping[str, Any]] = [
        {**model, "layout.model": place.directory, "layout.model_path": place.path}
        for model, place in zip(models, found.model_places, strict=True)
    ]
    names["layout.model_root"] = names["layout.model_dir"] = root
    if len(models) == 1:
        names.update(scopes[0])
        names["layout.model_dir"] = names["layout.model"]
    return scopes


def _image(rule: Rule, found: Contribution, names: dict[str, Any]) -> None:
    image = rule.file.image
    if image is not None:
        found.environment = substitute_map(image.environment, names, as_text)
        found.path = [image_path(as_text(item)) for item in substitute_list(image.path, names)]
        found.labels = substitute_map(image.labels, names, as_text)
        found.entrypoint = [as_text(item) for item in substitute_list(image.entrypoint, names)]
        found.cmd = [as_text(item) for item in substitute_list(image.cmd, names)]
        found.ports = sorted({_port(rule, item) for item in substitute_list(image.ports, names)})
        found.user, found.stop_signal, found.working_dir = (
            _optional(text, names) for text in (image.user, image.stop_signal, image.working_dir)
        )
        if found.working_dir is not None and found.working_dir != "/":
            found.working_dir = image_path(found.working_dir)
    routes = rule.file.routes
    if isinstance(routes, str):
        value = names.get(routes[1:-1])
        found.routes = dict(value) if value else {}
    elif routes is not None:
        for name in ("liveness", "readiness", "scoring"):
            route = getattr(routes, name)
            try:
                if isinstance(route, Route):
                    text = substitute(route.path, names)
                    found.routes[name] = parse_route({"port": substitute(route.port, names), "path": text})
                elif route is not None:
                    found.routes[name] = parse_route(substitute(route, names))
            except MissingValueError:
                continue  # a route whose path is not set does not exist


def _job(rule: Rule, found: Contribution, names: Mapping[str, Any]) -> None:
    job = rule.file.job
    if job is None:
        return
    found.job = {key: image_path(as_text(substitute(getattr(job, key), names))) for key in ("input", "output")}
    result = _optional(job.result, names)
    if result is not None:
        found.job["result"] = result


def _optional(value: str | None, names: Mapping[str, Any]) -> str | None:
    try:
        return None if value is None else as_text(substitute(value, names))
    except MissingValueError:
        return None


def _port(rule: Rule, value: Any) -> int:
    port = port_of(value)
    if port is None:
        raise LoadError(f"rule '{rule.name}': '{value}' is not a port")
    return port


def _deep(value: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _deep(item, names) for key, item in value.items()}
    if isinstance(value, list):
        deeper = any(isinstance(item, dict | list) for item in value)
        return [_deep(item, names) for item in value] if deeper else substitute_list(value, names)
    found = substitute(value, names)
    return found if isinstance(found, int | float | str | bool | list | dict | None) else str(found)


def _missing(rule: Rule, name: str, models: int) -> LoadError:
    owner, dot, attribute = name.partition(".")
    if models > 1 and name in (*MODEL_NAMES, "layout.model", "layout.model_path"):
        hint = "make a package for each, or name in the rule what several models have in common"
        return LoadError(f"rule '{rule.name}' asks for '{{{name}}}' of one model, and there are {models}", hint=hint)
    if not dot:
        return LoadError(f"rule '{rule.name}' needs a value for '{name}'", hint=f"set `{name}:` in the target")
    if owner in ("model", "code"):
        if attribute == "name":
            return LoadError(f"rule '{rule.name}' needs a {owner}", hint=f"add `{owner}:` to the package")
        return LoadError(
            f"rule '{rule.name}' needs '{attribute}' of the {owner}", hint=f"set `{attribute}:` in the {owner} target"
        )
    if owner == "layout":
        kind = "code" if attribute == "code" else "model"
        return LoadError(f"rule '{rule.name}' needs a {kind}", hint=f"add `{kind}:` to the package")
    return LoadError(f"rule '{rule.name}': '{name}' has no value here")


def _check_requirement(rule: Rule, text: str) -> None:
    if PLAIN_REQUIREMENT.fullmatch(text):
        return
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(text)
    except InvalidRequirement as error:
        raise LoadError(f"rule '{rule.name}' asks for '{text}', which is not a requirement") from error
