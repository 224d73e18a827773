"""The server of a package: a rule, a target of it where something is set, or somebody's own container."""

import os
from typing import Any

from buildrules.authoring.paths import display
from buildrules.authoring.target import NewTarget, Ref
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.environment import Environment
from buildrules.azureml.foundation import Foundation
from buildrules.azureml.specification import Specification

APP = "/var/azureml-app"
_INFERENCE_ROUTES = {"liveness": (5001, "/"), "readiness": (5001, "/"), "scoring": (5001, "/score")}
"""Of the inference images: nginx before azureml-inference-server-http."""


def choose_server(conversion: Conversion, spec: Specification, stands: Foundation) -> None:
    """An environment that is an image alone runs as it is: its own command answers, at its own routes.

    So does what `--base` names in the place of an image, or of what a Dockerfile makes.
    """
    environment = stands.environment
    if environment is None:
        return
    if not stands.image:
        _routes(conversion, spec, environment)
    elif environment.inference_config is not None and spec.server in ("azureml_online", "custom"):
        spec.server, spec.routes = "custom", spec.routes or environment.inference_config.routes
    elif spec.deployment and spec.server == "azureml_online" and spec.code is not None:
        spec.server, spec.routes = "custom", _INFERENCE_ROUTES
        what = "is an image alone" if environment.build is None else "is what a Dockerfile makes"
        spec.comments.append(f"the environment {what}: its own inference server is started, as Azure does")


def _routes(conversion: Conversion, spec: Specification, environment: Environment) -> None:
    """Routes of an environment of wheels: a server of here answers at its own; only its port can be moved."""
    if environment.inference_config is None:
        return
    said = environment.inference_config.routes
    if environment.conda_file is None and spec.code is None and spec.entry_script is None:
        message = f"'{conversion.options.base}' holds no server that would answer at these routes"
        conversion.fail(environment.key_at("inference_config"), message, "name the image that does: --base IMAGE")
        return
    if spec.server == "custom":
        spec.routes = spec.routes or said
        return
    ports = {port for port, _ in said.values()}
    usual = {name: (port, _INFERENCE_ROUTES[name][1]) for port in ports for name in _INFERENCE_ROUTES}
    if spec.server == "azureml_online" and len(ports) == 1 and said == usual:
        if said != _INFERENCE_ROUTES:
            spec.server_attributes["port"] = ports.pop()
        return
    online = spec.server == "azureml_online"
    why = "azureml_online answers at port 5001, at / and /score" if online else f"{spec.server} has routes of its own"
    left = f"inference_config of the environment '{environment.name or spec.name}' left out: {why}"
    spec.comments.append(left)
    conversion.note(f"{spec.document.display}: {left}")


def server_target(
    conversion: Conversion, spec: Specification, stands: Foundation, models: list[NewTarget], code: NewTarget | None
) -> Ref | str:
    """A rule's name, or a target of it where something is set. Errors are noted."""
    if spec.server == "custom":
        return Ref(_custom(conversion, spec, models, code, made=stands.made(conversion)))
    attributes, comments = dict(spec.server_attributes), []
    if spec.server == "azureml_online" and stands.server_pin is not None:
        attributes["version"] = stands.server_pin
        comments.append("the environment pins azureml-inference-server-http")
    if not attributes:
        return spec.server
    made = conversion.targets.add(f"{spec.own_name}-server", spec.server, attributes, comments=comments)
    return Ref(made)


def _custom(
    conversion: Conversion, spec: Specification, models: list[NewTarget], code: NewTarget | None, *, made: bool
) -> NewTarget:
    """A server of somebody's own: the image's own command, or `entry_script`."""
    environment: dict[str, str] = {}
    attributes: dict[str, Any] = {}
    routes = spec.routes or {}
    if models:
        place = environment["AZUREML_MODEL_DIR"] = _model_dir(conversion, spec, models[0])
        attributes["model_dir"] = place if spec.mount_path is None else None
    if code is not None:
        attributes["code_dir"] = environment["AML_APP_ROOT"] = f"{APP}/{code.attributes['name']}"
        environment["AZUREML_ENTRY_SCRIPT"] = code.attributes["entry_script"]
    if spec.entry_script is not None:
        attributes["entrypoint"] = _command(conversion, spec, code, made=made)
    attributes["ports"] = sorted({port for port, _ in routes.values()})
    attributes["routes"] = {name: f"{port}{path}" for name, (port, path) in routes.items()}
    attributes["environment"] = environment
    if not routes:
        hint = "write inference_configuration: {scoring_route: {path: /score, port: 8080}, ...}"
        conversion.fail(spec.at(), f"nothing says where the server of '{spec.name}' answers", hint)
    return conversion.targets.add(f"{spec.own_name}-server", "custom_server", attributes)


def _model_dir(conversion: Conversion, spec: Specification, model: NewTarget) -> str:
    """Where the model is in the image."""
    if spec.mount_path is None:
        return f"{APP}/azureml-models/{model.attributes['name']}/{model.attributes.get('version', '1')}"
    if spec.mount_path == ".":
        message = "the working directory of somebody's own server is not known here"
        conversion.fail(spec.at("mount_path"), message, "write a directory, such as /models")
    return f"/{spec.mount_path.removeprefix('/')}"  # a relative one starts at the root, for the same reason


def _command(conversion: Conversion, spec: Specification, code: NewTarget | None, *, made: bool) -> list[str] | None:
    """The words of `entry_script`, its files where they are in the image. Errors are noted.

    In an image that is `made` here there are no files but those of the code; another may have more.
    """
    place = f"{APP}/{code.attributes['name']}" if code is not None else None
    folder = code.attributes["strip_prefix"].path if code is not None else spec.document.directory
    try:
        words = spec.command
    except ValueError:
        message, hint = f"'{spec.entry_script}' is not a command: a quotation is open", "close the quotation"
        conversion.fail(spec.at("entry_script"), message, f"{hint}, or write \\' for an apostrophe")
        return None
    found = []
    for word in words:
        inside = os.path.normpath(word.removeprefix(f"{place}/"))
        there = not inside.startswith(("/", "../")) and conversion.disk.is_file(os.path.join(folder, inside))
        if there and place is not None:
            found.append(f"{place}/{inside}")
            continue
        if made and word.endswith((".py", ".sh")):
            beside = place is None and there
            hint = f"write code_configuration: {{code: {'.' if beside else 'FOLDER'}, scoring_script: {inside}}}"
            message = f"nothing puts '{word}' into the image"
            conversion.fail(
                spec.at("entry_script"), message, hint if place is None else f"put it into {display(folder)}"
            )
        found.append(word)
    return found
