"""What a package stands on: an environment on a base, a base, or an image as it is."""

import os
import re
from dataclasses import dataclass, field, replace
from typing import Any

from buildrules.actions.python.target import minor_of
from buildrules.authoring.paths import display
from buildrules.authoring.target import Local, NewTarget, Ref
from buildrules.azureml.base import base_target, full_image, is_release, python_to_write
from buildrules.azureml.conda import (
    conda_files,
    mlflow_python,
    model_files,
    read_conda,
    requirements_of,
    server_pin,
    variables_of,
)
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.document import Kind, text_of
from buildrules.azureml.environment import Environment, EnvironmentFile, read_environment
from buildrules.azureml.models import Model
from buildrules.azureml.names import environment_name
from buildrules.azureml.references import Named, Place
from buildrules.azureml.specification import Specification
from buildrules.errors import UsageError
from buildrules.locking.python.conda_file import CondaFile
from buildrules.locking.python.mlflow import conda_differs, disagreements_of

_IMAGE = {
    "triton": "name its image: --base IMAGE, such as a tritonserver image",
    "custom": "name its image: --base IMAGE, or --environment FILE",
}


@dataclass(slots=True)
class Foundation:
    """`base_env` is what the package names, with `image` one as it is; `environment` what it was made from,
    `server_pin` a version it pins, `variables` what its conda file sets.
    """

    base_env: Ref | str
    environment: Environment | None = None
    image: bool = False
    server_pin: str | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def made(self, conversion: Conversion) -> bool:
        """Whether nothing is in the image but wheels and a Debian release, no image of somebody's."""
        base = conversion.options.base
        return not self.image and (base is None or is_release(base))


def foundation(
    conversion: Conversion, spec: Specification, *, models: list[tuple[Model, NewTarget]], lost: bool = False
) -> Foundation | None:
    """What the package stands on. `models` are MLflow models and their targets: their files say what they need.

    None where it is not known and that was said already: the environment is `unsound`, or the model was not found
    (`lost`) and may have brought one. Raises LoadError.
    """
    given = conversion.options.environment
    environment = None
    if given is not None:
        if given.endswith((".txt", ".toml")):
            return _requirements(conversion, spec, given)
        environment = _from_file(conversion, given)
    elif spec.environment is not None:
        environment = _find(conversion, spec, spec.environment)
    if environment is not None:
        return from_environment(conversion, environment, spec.own_name, own_user=spec.deployment, package=spec.shell)
    if spec.unsound or (lost and conversion.options.base is None):
        return None
    if models and spec.server in ("azureml_online", "azureml_batch"):
        return _of_models(conversion, spec, models)
    return _of_base(conversion, spec)


def _find(conversion: Conversion, spec: Specification, named: Named) -> Environment | None:
    """The environment that is named, from a file nearby or in place. None where `--base` stands for it."""
    directory = spec.document.directory
    if named.inline is not None:
        return read_environment(named.inline, conversion.problems)
    reference = named.reference
    path = os.path.join(directory, reference.text.removeprefix("file:"))
    if os.path.isfile(path):
        return _from_file(conversion, os.path.normpath(path))
    if reference.place is Place.LOCAL:
        raise named.node.error(f"there is no environment file '{reference.text}'", "the path starts at this file")
    found = conversion.asset(directory, reference, Kind.ENVIRONMENT)
    if found is not None:
        return read_environment(found.node, conversion.problems, EnvironmentFile)
    near, others = conda_files(directory), conversion.near(directory).documents(Kind.ENVIRONMENT)
    if conversion.options.base is not None and not others and (spec.server == "triton" or not near):
        spec.comments.append(f"environment {reference.asked}: {conversion.options.base} stands for it")
        return None
    file = display(os.path.join(directory, near[0])) if near else "FILE"
    way = _IMAGE.get(spec.server) or f"say what it is: --environment {file}, or --base IMAGE"
    message, hint = conversion.missing(directory, reference, way, Kind.ENVIRONMENT)
    if (other := conversion.asset(directory, replace(reference, version=None), Kind.ENVIRONMENT)) is not None:
        hint = f"{other.display} is version {text_of(other.node, 'version')}; name one with --environment FILE"
    raise named.node.error(message, hint)


def _from_file(conversion: Conversion, path: str) -> Environment:
    """An environment of Azure ML, or a conda file. Raises UsageError for what is neither."""
    document = conversion.read(path)
    if document is not None and document.kind is Kind.ENVIRONMENT:
        return read_environment(document.node, conversion.problems)
    conda = read_conda(conversion.disk, path)
    keys = conda.root.entries.keys() if conda.root is not None else ()
    if "build_dependencies" in keys or "python" in keys:
        beside = os.path.join(os.path.dirname(path), "requirements.txt")
        minor = minor_of(text_of(conda.root, "python") or "3.11")
        raise UsageError(
            f"'{display(path)}' is MLflow's python_env: it names a Python, and a requirements.txt",
            hint=f"--environment {display(beside)} --python {minor}",
        )
    if conda.root is None or "dependencies" not in keys:
        hint = "an environment of Azure ML, a conda file, or requirements"
        raise UsageError(f"'{display(path)}' is not an environment", hint=hint)
    return Environment.of_conda_file(path, conda.root)


def from_environment(
    conversion: Conversion,
    environment: Environment,
    fallback: str,
    *,
    own_user: bool = False,
    package: str | None = None,
) -> Foundation:
    """The targets of an environment; with `own_user` an image that is one runs as the user it names itself, and
    `package` is one more that a Debian below it gets. Raises LoadError.
    """
    if environment.conda_file is not None:
        return _conda(conversion, environment, fallback, package)
    own_user = own_user or environment.inference_config is not None
    if conversion.options.base is not None:
        base = base_target(conversion, None, fallback, own_user=own_user)
        return Foundation(base, environment, not is_release(conversion.options.base))
    if environment.build is not None:
        raise environment.key_at("build").error(
            "the environment is built from a Dockerfile, which is not run here",
            "build it with Docker and name the image: --base docker:NAME, or --base IMAGE",
        )
    image = environment.image or ""  # where the conda file was wrong, and that was said
    name = environment.name or re.split(r"[:@]", image.rpartition("/")[2])[0]
    attributes = {"image": full_image(image), "user": "" if own_user else None}
    remarks = {"user": "the image's own" if own_user else None}
    made = conversion.targets.add(name, "oci_base", attributes, comments=[environment.description], remarks=remarks)
    return Foundation(Ref(made), environment, image=True)


def _conda(
    conversion: Conversion, environment: Environment, fallback: str, package: str | None, *said: str
) -> Foundation:
    """An environment with a conda file."""
    assert environment.conda_file is not None
    path = environment.conda_file.path
    conda = read_conda(conversion.disk, path) if path is not None else CondaFile(environment.conda_file.content)
    comments = [environment.description, *said, *_not_kept(environment)]
    attributes: dict[str, Any] = {"base": None}
    if path is not None:
        attributes["conda_file"] = Local(path)
    else:
        attributes["requirements"], left = requirements_of(conda, conversion.problems)
        comments += left
        conversion.notes += conda.unread
    pin, variables = conda.python, variables_of(conda)
    attributes["base"] = base_target(conversion, pin, fallback, package=package)
    if conversion.options.conda:
        attributes["solver"] = "conda"
        if path is None:
            hint = "write it into a file of its own, and name that"
            raise environment.conda_file.node.error("--solver conda does not read a conda file in place", hint)
    elif path is not None and (foreign := sorted({one.name for one in conda.foreign})):
        attributes["exclude"] = foreign
        comments.append(
            f"exclude: no Python packages; what is needed of {', '.join(foreign)} belongs into the base, or is had with"
            " --solver conda"
        )
        conversion.note(f"{display(path)}: left out {', '.join(foreign)}, which is not a Python package")
    if variables:
        comments.append(f"variables of the conda file are set by its packages: {', '.join(variables)}")
    python = attributes["python"] = (
        conversion.options.python
        if conversion.options.conda
        else python_to_write(conversion.options.python, conversion.options.base, pin)
    )
    remarks = {}
    if python is not None and pin is not None:
        remarks["python"] = f"{os.path.basename(pin.position.path)} asks for {pin.text}"
    made = conversion.targets.add(
        environment_name(conversion, environment, conda, fallback), "python_env", attributes,
        comments=comments, remarks=remarks, node=environment.conda_file.node,
    )  # fmt: skip
    return Foundation(Ref(made), environment, server_pin=server_pin(conda), variables=variables)


def _not_kept(environment: Environment) -> list[str]:
    """What an environment with a conda file says besides."""
    found = []
    if environment.image is not None:
        found.append(f"image {environment.image} left out: of it the wheels need only a C library and Python")
    if environment.build is not None:
        found.append("build left out: the conda file says what Python needs")
    if environment.tags:
        found.append("tags of the environment: " + ", ".join(f"{k}={v}" for k, v in sorted(environment.tags.items())))
    return found


def _requirements(conversion: Conversion, spec: Specification, path: str) -> Foundation:
    """An environment from a requirements.txt or a pyproject.toml."""
    if conversion.options.conda:
        raise UsageError(f"--solver conda needs a conda file, and '{display(path)}' is none")
    attributes = {
        "base": base_target(conversion, None, spec.own_name, package=spec.shell),
        "requirements_file" if path.endswith(".txt") else "pyproject": Local(path),
        "python": conversion.options.python if conversion.options.base is None else None,
    }
    return Foundation(Ref(conversion.targets.add(f"{spec.own_name}-env", "python_env", attributes)))


def _of_models(conversion: Conversion, spec: Specification, models: list[tuple[Model, NewTarget]]) -> Foundation:
    """MLflow models bring the environment; the first one's Python decides about the base."""
    model, target = models[0]
    files = model_files(conversion.disk, model.path) if model.path else None
    if files is not None and len(models) == 1:
        # Azure ML takes the conda file, MLflow requirements.txt (learn.microsoft.com, "Deploy MLflow models to online
        # endpoints"): where they differ, it is as there.
        conda = conda_differs(files)
        notes = conversion.notes if conda is not None else conversion.later
        notes += [str(one) for one in disagreements_of(files, conda) if str(one) not in notes]
        if conda is not None:
            say = "requirements.txt of the model asks for other versions; its conda file counts, as it does in Azure ML"
            path = os.path.join(model.path, conda)
            environment = Environment.of_conda_file(path, model.node or spec.document.node)
            return _conda(conversion, environment, spec.own_name, spec.shell, say)
    pin = mlflow_python(files) if files is not None else None
    base = base_target(conversion, pin, spec.own_name, package=spec.shell)
    options = conversion.options
    if options.python is None and not options.conda:
        return Foundation(base)
    solver = {"solver": "conda"} if options.conda else {}
    attributes = {"base": base, "model": Ref(target), **solver, "python": options.python}
    remarks = {"python": f"the model was made with {pin.text}" if pin is not None and options.python else None}
    made = conversion.targets.add(f"{spec.own_name}-env", "python_env", attributes, remarks=remarks)
    return Foundation(Ref(made))


def _of_base(conversion: Conversion, spec: Specification) -> Foundation:
    """Nothing is said of an environment: all but MLflow models need a base that is named."""
    if conversion.options.base is not None:
        base = base_target(conversion, None, spec.own_name, package=spec.shell)
        return Foundation(base, image=not is_release(conversion.options.base))
    if spec.server == "triton":
        message, hint = "nothing says which image holds Triton", "name it: --base IMAGE, such as a tritonserver image"
    else:
        message = f"'{spec.name}' has no {'environment' if spec.deployment else 'base_environment_source'}"
        hint = "only an MLflow model brings its own; name one with --environment FILE"
    raise spec.document.node.error(message, hint)
