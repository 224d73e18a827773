"""`buildrules init`."""

import os
import re
from typing import Any

import click

from buildrules.authoring.build_file import add_to
from buildrules.authoring.paths import display
from buildrules.authoring.target import Glob, NewTarget, NewTargets, Ref
from buildrules.authoring.text import render_workspace
from buildrules.cli.folder import Found
from buildrules.cli.writing import write_text
from buildrules.errors import LoadError, UsageError
from buildrules.workspace.labels import parse_label
from buildrules.workspace.root import BUILD_FILE, find_root, package_of

_RENAME = "rename the directory, or put its files into one with a plainer name"


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False), default=".")
@click.option("--name", help="Name of the package (default: the folder's).")
def command(folder: str, name: str | None) -> None:
    """Write a first BUILD.yaml for a folder with a model.

    Looks for a scoring script with init() and run(), an ASGI app, a model file or folder, an environment file and a
    sample request, and joins what it finds. Nothing that exists is changed.
    """
    folder = os.path.abspath(folder)
    path = os.path.join(folder, BUILD_FILE)
    if os.path.exists(path):
        if os.path.isfile(path):
            find_root(folder)  # says what is wrong with one that is no workspace, nor in one
        raise UsageError(f"there is a {display(path)} already", hint="add targets to it; see the tutorial")
    name = re.sub(r"[^A-Za-z0-9_]+", "_", (name or os.path.basename(folder))).strip("_").lower() or "model"
    root = workspace = ""
    try:
        root = find_root(folder)
        package = package_of(root, folder)
    except UsageError:
        package, workspace = "", render_workspace(name)
    found = Found(folder, root)
    try:
        parse_label(f"//{package}:{name}")
    except LoadError as error:
        raise UsageError(f"'{package}' cannot be a package: {error.message}", hint=_RENAME) from None
    write_text(path, add_to(folder, made_of(found, name), workspace=workspace).text)
    click.echo(f"wrote {display(path)}")
    for line in found.notes:
        click.echo(f"  {line}")
    there = "" if os.getcwd() == folder else f"cd {folder}; "
    click.echo(f"next: {there}buildrules build :{name}")


def made_of(found: Found, name: str) -> list[NewTarget]:
    """The targets for what was found, the package last. Adds notes on what is missing to those of `found`."""
    targets = NewTargets()
    targets.reserved.add(name)
    release = found.release
    if isinstance(release, str):
        base = targets.add("base", "python_standalone", {"version": release})
    else:
        base = targets.add("base", "debian_base", {"suite": release.suite}, remarks={"suite": release.words})
    model = _model(found, targets, name)
    env = _environment(found, targets, base, model)
    package: dict[str, Any] = {"model": Ref(model) if model is not None else None, "base_env": Ref(env)}
    remarks = {}
    if found.app and not found.script:
        path, variable = found.app
        code, module = _app_code(found, path)
        package["server"] = Ref(
            targets.add(f"{name}_server", "fastapi", {"app": f"{module}:{variable}", **found.routes})
        )
        package["code"] = Ref(targets.add(f"{name}_code", "scoring_code", code))
    elif found.mlflow and not found.script:
        found.note("an MLflow model needs no code, and its environment comes from its own files")
        package["server"], remarks["server"] = "azureml_online", "loads an MLflow model without code"
    else:
        if not found.script:
            found.note("no init() and run() found: write score.py with both, or see 'buildrules rules'")
        code = _script_code(found, found.script or "score.py")
        package["server"] = "azureml_online"
        package["code"] = Ref(targets.add(f"{name}_code", "scoring_code", code))
    package["sample_request"] = found.local(found.sample)
    targets.add(name, "model_package", package, remarks=remarks)
    return targets.all


def _model(found: Found, targets: NewTargets, name: str) -> NewTarget | None:
    if not found.model and found.app:
        return None
    if not found.model:
        found.note("no model found: set the path of the model target")
    inside = [Glob(found.folder, pattern) for pattern in ("BUILD.yaml", "*.lock", "pylock.*")]
    attributes = {"path": found.local(found.model or "model"), "exclude": inside if found.model == "." else None}
    return targets.add(f"{name}_model", "model", attributes)


def _environment(found: Found, targets: NewTargets, base: NewTarget, model: NewTarget | None) -> NewTarget:
    attributes: dict[str, Any] = {"base": Ref(base)}
    remarks = {}
    path = found.environment
    if found.mlflow and model is not None:
        attributes["model"], remarks["model"] = Ref(model), "its own files say what it needs; add here what they lack"
    elif path is None:
        attributes["requirements"], remarks["requirements"] = (), "fill in, such as [scikit-learn==1.7.0]"
    else:
        kind = "pyproject" if path.endswith(".toml") else "requirements_file" if path.endswith(".txt") else "conda_file"
        attributes[kind] = found.local(path)
    if found.python:
        attributes["python"], remarks["python"] = found.python, f"{path} asks for another"
    env = targets.add("env", "python_env", attributes, remarks=remarks)
    env.spread = True  # it is what people edit
    return env


def _script_code(found: Found, script: str) -> dict[str, Any]:
    """Attributes of the code around a script: its folder, or, in the folder itself, the Python in it."""
    directory, name = os.path.split(script)
    return {**(_sources(found, directory) if directory else _top_sources(found)), "entry_script": name}


def _app_code(found: Found, path: str) -> tuple[dict[str, Any], str]:
    """Attributes of the code around an application, and its module. A package stays one."""
    directory, name = os.path.split(path)
    if directory not in found.packages or not directory:
        return _script_code(found, path), name.removesuffix(".py")
    top = directory
    while os.path.dirname(top) in found.packages and os.path.dirname(top):
        top = os.path.dirname(top)
    above = os.path.dirname(top)
    module = os.path.relpath(path.removesuffix(".py"), above or ".").replace("/", ".").removesuffix(".__init__")
    return {**_sources(found, top), "strip_prefix": found.local(above or ".")}, module


def _sources(found: Found, directory: str) -> dict[str, Any]:
    return {"srcs": [Glob(os.path.join(found.folder, directory), "**")]}


def _top_sources(found: Found) -> dict[str, Any]:
    tops = sorted({path.partition("/")[0] for path in found.packages if path and not found.within_model(path + "/")})
    globs = ["*.py", *(f"{top}/**" for top in tops if top in found.packages)]
    strip = found.local(".") if len(globs) > 1 else None
    return {"srcs": [Glob(found.folder, pattern) for pattern in globs], "strip_prefix": strip}
