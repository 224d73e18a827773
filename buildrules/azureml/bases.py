"""What a package stands on: an environment on a base, a base, or an image as it is."""

import os
import re
from typing import Any

from buildrules.azureml.condafile import (
    Pin,
    conda_requirements,
    conda_variables,
    foreign_packages,
    nearest_conda,
    python_pin,
    read_conda_node,
    server_pin,
)
from buildrules.azureml.document import Kind, display
from buildrules.azureml.environment import Environment, read_environment
from buildrules.azureml.environment_name import environment_name
from buildrules.azureml.mlflow_conda import conda_that_counts
from buildrules.azureml.models import Model
from buildrules.azureml.neighbourhood import text_of
from buildrules.azureml.plain_base import full_image, is_release, plain_base, python_override
from buildrules.azureml.references import Named, Place
from buildrules.azureml.specification import Specification
from buildrules.azureml.targets import Local, Ref, Target
from buildrules.azureml.work import Work, either
from buildrules.errors import LoadError, UsageError
from buildrules.workspace.suggest import did_you_mean

__all__ = ["Foundation", "find_environment", "foundation", "from_environment", "mlflow_pin"]

_IMAGE = {
    "triton": "name its image: --base IMAGE, such as a tritonserver image",
    "custom": "name its image: --base IMAGE, or --environment FILE",
}


class Foundation:
    """`base_env` is what the package names; `environment` what it was made from, `server_pin` a version it pins,
    `variables` what its conda file sets.
    """

    def __init__(
        self,
        base_env: Ref | str,
        environment: Environment | None = None,
        *,
        image: bool = False,
        pin: str | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.base_env = base_env
        self.environment = environment
        self.image = image
        self.server_pin = pin
        self.variables = variables or {}


def find_environment(work: Work, spec: Specification, named: Named) -> Environment | None:
    """The environment that is named, from a file nearby or in place. Errors are noted; then None comes back."""
    directory = spec.document.directory
    if named.inline is not None:
        return read_environment(named.inline, directory, work.problems, named=False)
    reference = named.reference
    assert reference is not None
    path = os.path.join(directory, reference.text.removeprefix("file:"))
    if os.path.isfile(path):
        return _from_file(work, os.path.normpath(path))
    if reference.place is Place.LOCAL:
        work.fail(named.node, f"there is no environment file '{reference.text}'", "the path starts at this file")
        return None
    near = work.near(directory)
    documents = near.documents(Kind.ENVIRONMENT)
    found = work.match(documents, reference.name, reference.version)
    if found is not None:
        work.files.add(found.path)
        return read_environment(found.node, found.directory, work.problems, named=True)
    names = {name: document for document in documents if (name := text_of(document.node, "name"))}
    if work.options.base is not None and not names and (spec.server == "triton" or nearest_conda(directory) is None):
        spec.comments.append(f"environment {reference.asked}: {work.options.base} stands for it")
        return None
    if reference.name in names:
        other = text_of(names[reference.name].node, "version")
        hint = f"{names[reference.name].shown} is version {other}; name one with --environment FILE"
    elif spec.server in ("triton", "custom"):
        hint = either(did_you_mean(reference.name, names, what="environments nearby"), _IMAGE[spec.server])
    else:
        conda = nearest_conda(directory)
        way = f"say what it is: --environment {display(conda) if conda else 'FILE'}, or --base IMAGE"
        hint = either(did_you_mean(reference.name, names, what="environments nearby"), way)
    work.fail(named.node, f"there is no environment '{reference.asked}' in the files nearby", hint)
    return None


def _from_file(work: Work, path: str) -> Environment | None:
    """An environment of Azure ML, a conda file, or requirements."""
    name = os.path.basename(path)
    if name.endswith((".txt", ".toml")):
        return None
    document = work.read(path)
    if document is not None and document.kind is Kind.ENVIRONMENT:
        return read_environment(document.node, document.directory, work.problems, named=False)
    node = read_conda_node(path, display(path))
    if node is not None and ("build_dependencies" in node.entries or "python" in node.entries):
        beside = os.path.join(os.path.dirname(path), "requirements.txt")
        python = node.entries.get("python")
        minor = ".".join(python.text.split(".")[:2]) if python is not None and python.kind == "scalar" else "3.11"
        raise UsageError(
            f"'{display(path)}' is MLflow's python_env: it names a Python, and a requirements.txt",
            hint=f"--environment {display(beside)} --python {minor}",
        )
    if node is not None and "dependencies" in node.entries:
        return Environment.of_conda_file(path, node)
    raise UsageError(
        f"'{display(path)}' is no environment", hint="an environment of Azure ML, a conda file, or requirements"
    )


def foundation(
    work: Work, spec: Specification, *, models: list[tuple[Model, Target]], lost: bool = False
) -> Foundation | None:
    """What the package stands on. `models` are MLflow models and their targets: their files say what they need.

    Where the model was not found (`lost`) nothing is said of an environment that it may have brought.
    """
    override = work.options.environment
    before = len(work.problems)
    environment = None
    if override is not None:
        if override.endswith((".txt", ".toml")):
            return Foundation(Ref(_requirements(work, spec, override)))
        environment = _from_file(work, override)
    elif spec.environment is not None:
        environment = find_environment(work, spec, spec.environment)
        if environment is None and (work.options.base is None or len(work.problems) > before):
            return None
    if environment is None:
        if spec.unsound or (lost and work.options.base is None):
            return None  # which was said already
        return _bare(work, spec, models)
    return from_environment(work, environment, spec.name, own_user=spec.deployment)


def from_environment(
    work: Work, environment: Environment, fallback: str, *, own_user: bool = False
) -> Foundation | None:
    """The targets of an environment; with `own_user` an image that is one runs as the user it names itself."""
    if environment.conda_file is not None:
        return _conda(work, environment, fallback)
    own_user = own_user or environment.inference_config is not None
    if work.options.base is not None:
        base = plain_base(work, None, fallback, own_user=own_user)
        return None if base is None else Foundation(base, environment, image=not is_release(work.options.base))
    if environment.build is not None:
        work.fail(
            environment.key_at("build"),
            "the environment is built from a Dockerfile, which is not run here",
            "build it with Docker and name the image: --base docker:NAME, or --base IMAGE",
        )
        return None
    assert environment.image is not None
    name = environment.name or re.split(r"[:@]", environment.image.rpartition("/")[2])[0]
    comments = [environment.description] if environment.description else []
    attributes: dict[str, Any] = {"image": full_image(environment.image)}
    remarks = {}
    if own_user:
        attributes["user"] = ""
        remarks["user"] = "the image's own"
    made = work.targets.add(name, "oci_base", attributes, comments=comments, remarks=remarks, kind="base")
    return Foundation(Ref(made), environment, image=True)


def _conda(work: Work, environment: Environment, fallback: str, *said: str) -> Foundation | None:
    comments = [*([environment.description] if environment.description else []), *said]
    if environment.image is not None:
        comments.append(f"image {environment.image} left out: of it the wheels need only a C library and Python")
    if environment.build is not None:
        comments.append("build left out: the conda file says what Python needs")
    if environment.tags:
        comments.append(
            "tags of the environment: " + ", ".join(f"{k}={v}" for k, v in sorted(environment.tags.items()))
        )
    attributes: dict[str, Any] = {"base": None}
    node = environment.conda
    if environment.conda_path is not None:
        if not os.path.isfile(environment.conda_path):
            return None
        work.files.add(environment.conda_path)
        node = read_conda_node(environment.conda_path, display(environment.conda_path))
        attributes["conda_file"] = Local(environment.conda_path)
    elif node is not None:
        requirements, left = conda_requirements(node, work.problems)
        attributes["requirements"] = requirements
        comments += left
    pin = python_pin(node)
    base = plain_base(work, pin, fallback)
    if base is None:
        return None
    attributes["base"] = base
    if environment.conda_path is not None and (foreign := foreign_packages(node)):
        attributes["exclude"] = foreign
        comments.append(f"exclude: no Python packages; what is needed of {', '.join(foreign)} belongs into the base")
        work.note(f"{display(environment.conda_path)}: left out {', '.join(foreign)}, which is no Python package")
    variables = conda_variables(node)
    if variables:
        comments.append(f"variables of the conda file are set by its packages: {', '.join(variables)}")
    remarks = {}
    python = python_override(work, pin)
    if python is not None:
        attributes["python"] = python
        if pin is not None:
            remarks["python"] = f"{os.path.basename(pin.node.source.path)} asks for {pin.node.text.strip()}"
    name = environment_name(work, environment, node, fallback)
    made = work.targets.add(
        name, "python_env", attributes, comments=comments, remarks=remarks, kind="env", node=environment.conda_file
    )
    return Foundation(Ref(made), environment, pin=server_pin(node), variables=variables)


def _requirements(work: Work, spec: Specification, path: str) -> Target:
    """An environment from a requirements.txt or a pyproject.toml."""
    work.files.add(path)
    attribute = "requirements_file" if path.endswith(".txt") else "pyproject"
    attributes: dict[str, Any] = {"base": plain_base(work, None, spec.name), attribute: Local(path)}
    if work.options.python and work.options.base is None:
        attributes["python"] = work.options.python
    return work.targets.add(f"{spec.name}-env", "python_env", attributes, kind="env")


def _bare(work: Work, spec: Specification, models: list[tuple[Model, Target]]) -> Foundation | None:
    """Nothing is said: an MLflow model brings its own environment, all others need a base that is named."""
    if models and spec.server in ("azureml_online", "azureml_batch"):
        model, target = models[0]
        conda = conda_that_counts(model.path) if model.path else None
        if conda is not None and len(models) == 1:
            say = "requirements.txt of the model asks for other versions; its conda file counts, as it does in Azure ML"
            environment = Environment.of_conda_file(conda, model.node or spec.document.node)
            return _conda(work, environment, spec.name, say)
        pin = mlflow_pin(model.path) if model.path else None
        base = plain_base(work, pin, spec.name)
        if base is None or work.options.python is None:
            return None if base is None else Foundation(base)
        attributes = {"base": base, "model": Ref(target), "python": work.options.python}
        remarks = {"python": f"the model was made with {pin.node.text}"} if pin is not None else {}
        made = work.targets.add(f"{spec.name}-env", "python_env", attributes, remarks=remarks, kind="env")
        return Foundation(Ref(made))
    if work.options.base is not None:
        base = plain_base(work, None, spec.name)
        return None if base is None else Foundation(base, image=not is_release(work.options.base))
    place = spec.document.node
    if spec.server == "triton":
        work.fail(place, "nothing says which image holds Triton", "name it: --base IMAGE, such as a tritonserver image")
    else:
        missing = "an environment" if spec.deployment else "a base_environment_source"
        hint = "only an MLflow model brings its own; name one with --environment FILE"
        work.fail(place, f"'{spec.name}' has no {missing.partition(' ')[2]}", hint)
    return None


def mlflow_pin(folder: str) -> Pin | None:
    """The Python an MLflow model was saved with: python_env.yaml, else conda.yaml."""
    for name in ("python_env.yaml", "conda.yaml"):
        path = os.path.join(folder, name)
        try:
            pin = python_pin(read_conda_node(path, display(path)))
        except LoadError:
            continue
        if pin is not None:
            return pin
    return None
