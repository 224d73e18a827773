"""What a package stands on: an environment on a base, a base, or an image as it is."""

import os
import re
from dataclasses import dataclass, field
from typing import Any

from buildrules.authoring.paths import display
from buildrules.authoring.target import Local, NewTarget, Ref
from buildrules.azureml.base import base_target, full_image, is_release, python_to_write
from buildrules.azureml.conda import CondaFile, conda_files, conda_that_counts, mlflow_python, read_conda
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.document import Kind, text_of
from buildrules.azureml.environment import Environment, EnvironmentFile, read_environment
from buildrules.azureml.models import Model
from buildrules.azureml.references import Named, Place
from buildrules.azureml.specification import Specification
from buildrules.errors import UsageError

__all__ = ["Foundation", "foundation", "from_environment"]

_IMAGE = {
    "triton": "name its image: --base IMAGE, such as a tritonserver image",
    "custom": "name its image: --base IMAGE, or --environment FILE",
}
_MOST = 32  # conda files of a folder whose names are compared


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
        return from_environment(conversion, environment, spec.name, own_user=spec.deployment)
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
    assert reference is not None
    path = os.path.join(directory, reference.text.removeprefix("file:"))
    if os.path.isfile(path):
        return _from_file(conversion, os.path.normpath(path))
    if reference.place is Place.LOCAL:
        raise named.node.error(f"there is no environment file '{reference.text}'", "the path starts at this file")
    found = conversion.asset(directory, reference.name, reference.version, Kind.ENVIRONMENT)
    if found is not None:
        return read_environment(found.node, conversion.problems, EnvironmentFile)
    near, others = conda_files(directory), conversion.near(directory).documents(Kind.ENVIRONMENT)
    if conversion.options.base is not None and not others and (spec.server == "triton" or not near):
        spec.comments.append(f"environment {reference.asked}: {conversion.options.base} stands for it")
        return None
    if (other := conversion.asset(directory, reference.name, None, Kind.ENVIRONMENT)) is not None:
        hint = f"{other.shown} is version {text_of(other.node, 'version')}; name one with --environment FILE"
    else:
        file = display(os.path.join(directory, near[0])) if near else "FILE"
        way = _IMAGE.get(spec.server) or f"say what it is: --environment {file}, or --base IMAGE"
        hint = conversion.hint(directory, reference.name, "environments nearby", way, Kind.ENVIRONMENT)
    raise named.node.error(f"there is no environment '{reference.asked}' in the files nearby", hint)


def _from_file(conversion: Conversion, path: str) -> Environment:
    """An environment of Azure ML, or a conda file. Raises UsageError for what is neither."""
    document = conversion.read(path)
    if document is not None and document.kind is Kind.ENVIRONMENT:
        return read_environment(document.node, conversion.problems)
    conda = read_conda(conversion.disk, path)
    if conda.has("build_dependencies", "python"):
        beside = os.path.join(os.path.dirname(path), "requirements.txt")
        minor = ".".join((conda.text("python") or "3.11").split(".")[:2])
        raise UsageError(
            f"'{display(path)}' is MLflow's python_env: it names a Python, and a requirements.txt",
            hint=f"--environment {display(beside)} --python {minor}",
        )
    if conda.root is None or not conda.has("dependencies"):
        hint = "an environment of Azure ML, a conda file, or requirements"
        raise UsageError(f"'{display(path)}' is no environment", hint=hint)
    return Environment.of_conda_file(path, conda.root)


def from_environment(
    conversion: Conversion, environment: Environment, fallback: str, *, own_user: bool = False
) -> Foundation:
    """The targets of an environment; with `own_user` an image that is one runs as the user it names itself.

    Raises LoadError.
    """
    if environment.conda_file is not None:
        return _conda(conversion, environment, fallback)
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
    comments = [environment.description] if environment.description else []
    remarks = {"user": "the image's own"} if own_user else {}
    made = conversion.targets.add(name, "oci_base", attributes, comments=comments, remarks=remarks, kind="base")
    return Foundation(Ref(made), environment, image=True)


def _conda(conversion: Conversion, environment: Environment, fallback: str, *said: str) -> Foundation:
    """An environment with a conda file."""
    assert environment.conda_file is not None
    path = environment.conda_file.path
    conda = read_conda(conversion.disk, path) if path is not None else CondaFile(environment.conda_file.content)
    comments = [*([environment.description] if environment.description else []), *said, *_not_kept(environment)]
    attributes: dict[str, Any] = {"base": None}
    if path is not None:
        attributes["conda_file"] = Local(path)
    else:
        attributes["requirements"], left = conda.requirements(conversion.problems)
        comments += left
    pin, variables = conda.python, conda.variables
    attributes["base"] = base_target(conversion, pin, fallback)
    if path is not None and (foreign := conda.foreign):
        attributes["exclude"] = foreign
        comments.append(f"exclude: no Python packages; what is needed of {', '.join(foreign)} belongs into the base")
        conversion.note(f"{display(path)}: left out {', '.join(foreign)}, which is no Python package")
    if variables:
        comments.append(f"variables of the conda file are set by its packages: {', '.join(variables)}")
    python = python_to_write(conversion.options.python, conversion.options.base, pin)
    remarks = {}
    if python is not None:
        attributes["python"] = python
        if pin is not None:
            remarks["python"] = f"{os.path.basename(pin.position.path)} asks for {pin.text}"
    made = conversion.targets.add(
        _name(conversion, environment, conda, fallback), "python_env", attributes,
        comments=comments, remarks=remarks, kind="env", node=environment.conda_file.node,
    )  # fmt: skip
    return Foundation(Ref(made), environment, server_pin=conda.server, variables=variables)


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


def _name(conversion: Conversion, environment: Environment, conda: CondaFile, fallback: str) -> str:
    """What the target of an environment with the conda file `conda` is called: its own name, and more where another
    nearby has the same. A lock is called after the environment: two of one name would take turns in one.
    """
    path, name = environment.conda_file.path if environment.conda_file else None, environment.name
    if name is not None:
        near = [one.node for one in conversion.near(environment.directory).documents(Kind.ENVIRONMENT)]
        versions = {text_of(node, "version") for node in near if text_of(node, "name") == name}
        other = versions - {environment.version, None}
        return f"{name}-{environment.version}" if environment.version and other else name
    name = conda.text("name")
    if name and path is not None:
        folder, own = os.path.split(path)
        others = [one for one in conversion.disk.names(folder) if one.endswith((".yml", ".yaml"))][:_MOST]
        read = (read_conda(conversion.disk, os.path.join(folder, one)) for one in others if one != own)
        if any(one.text("name") == name for one in read):
            return f"{name}-{os.path.splitext(own)[0]}"
    return name or f"{fallback}-env"


def _requirements(conversion: Conversion, spec: Specification, path: str) -> Foundation:
    """An environment from a requirements.txt or a pyproject.toml."""
    attributes = {
        "base": base_target(conversion, None, spec.name),
        "requirements_file" if path.endswith(".txt") else "pyproject": Local(path),
        "python": conversion.options.python if conversion.options.base is None else None,
    }
    return Foundation(Ref(conversion.targets.add(f"{spec.name}-env", "python_env", attributes, kind="env")))


def _of_models(conversion: Conversion, spec: Specification, models: list[tuple[Model, NewTarget]]) -> Foundation:
    """MLflow models bring the environment; the first one's Python decides about the base."""
    model, target = models[0]
    conda = conda_that_counts(conversion.disk, model.path) if model.path and len(models) == 1 else None
    if conda is not None:
        say = "requirements.txt of the model asks for other versions; its conda file counts, as it does in Azure ML"
        environment = Environment.of_conda_file(conda, model.node or spec.document.node)
        return _conda(conversion, environment, spec.name, say)
    pin = mlflow_python(conversion.disk, model.path) if model.path else None
    base = base_target(conversion, pin, spec.name)
    if conversion.options.python is None:
        return Foundation(base)
    attributes = {"base": base, "model": Ref(target), "python": conversion.options.python}
    remarks = {"python": f"the model was made with {pin.text}"} if pin is not None else {}
    made = conversion.targets.add(f"{spec.name}-env", "python_env", attributes, remarks=remarks, kind="env")
    return Foundation(Ref(made))


def _of_base(conversion: Conversion, spec: Specification) -> Foundation:
    """Nothing is said of an environment: all but MLflow models need a base that is named."""
    if conversion.options.base is not None:
        base = base_target(conversion, None, spec.name)
        return Foundation(base, image=not is_release(conversion.options.base))
    if spec.server == "triton":
        message, hint = "nothing says which image holds Triton", "name it: --base IMAGE, such as a tritonserver image"
    else:
        message = f"'{spec.name}' has no {'environment' if spec.deployment else 'base_environment_source'}"
        hint = "only an MLflow model brings its own; name one with --environment FILE"
    raise spec.document.node.error(message, hint)
