"""Servers of somebody's own: containers that answer by their own command, or by `entry_script`."""

import shlex
from typing import Any

from buildrules.azureml.bases import Foundation
from buildrules.azureml.environment import Environment
from buildrules.azureml.specification import Specification
from buildrules.azureml.targets import Target
from buildrules.azureml.work import Work

__all__ = ["custom_server", "take_over"]

_MODELS = "/var/azureml-app/azureml-models"
_INFERENCE_ROUTES = {"liveness": (5001, "/"), "readiness": (5001, "/"), "scoring": (5001, "/score")}
"""Of the inference images: nginx before azureml-inference-server-http."""


def take_over(work: Work, spec: Specification, stands: Foundation) -> None:
    """An environment that is an image alone runs as it is: its own command answers, at its own routes.

    So does what `--base` names in the place of an image, or of what a Dockerfile makes.
    """
    environment = stands.environment
    if environment is None:
        return
    if not stands.image:
        _routes(work, spec, environment)
    elif environment.inference_config is not None and spec.server in ("azureml_online", "custom"):
        spec.server, spec.routes = "custom", spec.routes or environment.inference_config.routes
    elif spec.deployment and spec.server == "azureml_online" and spec.code is not None:
        spec.server, spec.routes = "custom", _INFERENCE_ROUTES
        what = "is an image alone" if environment.build is None else "is what a Dockerfile makes"
        spec.comments.append(f"the environment {what}: its own inference server is started, as Azure does")


def _routes(work: Work, spec: Specification, environment: Environment) -> None:
    """Routes of an environment of wheels: a server of here answers at its own; only its port can be moved."""
    if environment.inference_config is None:
        return
    said = environment.inference_config.routes
    if environment.conda_file is None and spec.code is None and spec.entry_script is None:
        message = f"'{work.options.base}' holds no server that would answer at these routes"
        work.fail(environment.key_at("inference_config"), message, "name the image that does: --base IMAGE")
        return
    if spec.server == "custom":
        spec.routes = spec.routes or said
        return
    ports = {port for port, _ in said.values()}
    if spec.server == "azureml_online" and len(ports) == 1 and _paths(said) == _paths(_INFERENCE_ROUTES):
        if said != _INFERENCE_ROUTES:
            spec.server_attributes["port"] = ports.pop()
        return
    place = f"inference_config of the environment '{environment.name or spec.name}' left out"
    if spec.server == "azureml_online":
        place += ": azureml_online answers at port 5001, at / and /score"
    else:
        place += f": {spec.server} has routes of its own"
    spec.comments.append(place)
    work.note(f"{spec.document.shown}: {place}")


def _paths(routes: dict[str, tuple[int, str]]) -> dict[str, str]:
    return {name: path for name, (_, path) in routes.items()}


def custom_server(work: Work, spec: Specification, models: list[Target], code: Target | None) -> Target:
    """A server of somebody's own: the image's own command, or `entry_script`."""
    routes = spec.routes or {}
    environment = {}
    attributes: dict[str, Any] = {}
    if models:
        name, version = models[0].attributes["name"], models[0].attributes.get("version", "1")
        place = f"{_MODELS}/{name}/{version}"
        if spec.mount_path == ".":
            hint = "write a directory, such as /models"
            work.fail(spec.at("mount_path"), "the working directory of somebody's own server is not known here", hint)
        elif spec.mount_path is not None:  # a relative one starts at the root: the image's own directory is not known
            place = f"/{spec.mount_path.removeprefix('/')}"
        environment["AZUREML_MODEL_DIR"] = place
        if spec.mount_path is None:
            attributes["model_dir"] = place
    if code is not None:
        place = f"/var/azureml-app/{code.attributes['name']}"
        attributes["code_dir"] = place
        environment["AML_APP_ROOT"] = place
        environment["AZUREML_ENTRY_SCRIPT"] = code.attributes["entry_script"]
    if spec.entry_script is not None:
        try:
            attributes["entrypoint"] = _command(spec.entry_script, code)
        except ValueError:
            hint = "close the quotation, or write \\' for an apostrophe"
            work.fail(spec.at("entry_script"), f"'{spec.entry_script}' is no command: a quotation is open", hint)
    attributes["ports"] = sorted({port for port, _ in routes.values()})
    attributes["routes"] = {name: f"{port}{path}" for name, (port, path) in routes.items()}
    attributes["environment"] = environment
    if not routes:
        hint = "write inference_configuration: {scoring_route: {path: /score, port: 8080}, ...}"
        work.fail(spec.at(), f"nothing says where the server of '{spec.name}' answers", hint)
    return work.targets.add(f"{spec.name}-server", "custom_server", attributes, kind="server")


def _command(text: str, code: Target | None) -> list[str]:
    """`entry_script` is a script or a command. Raises ValueError where a quotation is not closed."""
    words = shlex.split(text)
    place = f"/var/azureml-app/{code.attributes['name']}" if code is not None else ""
    if len(words) == 1 and words[0].endswith(".py"):
        return ["python", f"{place}/{words[0]}" if place and not words[0].startswith("/") else words[0]]
    if len(words) == 1 and words[0].endswith(".sh"):
        return ["sh", f"{place}/{words[0]}" if place and not words[0].startswith("/") else words[0]]
    return words
