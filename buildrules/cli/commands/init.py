"""`buildrules init`."""

import json
import os
import re

import click

from buildrules.cli.commands.found import Found
from buildrules.cli.writing import write_text
from buildrules.errors import LoadError, UsageError
from buildrules.workspace.labels import parse_label
from buildrules.workspace.root import BUILD_FILE, find_root, package_of

_RENAME = "rename the directory, or put its files into one with a plainer name"


@click.command(short_help="write a first BUILD.yaml for a folder with a model")
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
        raise UsageError(f"there is a {os.path.relpath(path)} already", hint="add targets to it; see the tutorial")
    found = Found(folder)
    name = _clean(name or os.path.basename(folder))
    try:
        package = package_of(find_root(folder), folder)
        head = ""
    except UsageError:
        package = ""
        head = f"workspace:\n  name: {name}\n  platforms: [linux/amd64]\n\n"
    try:
        parse_label(f"//{package}:{name}")
    except LoadError as error:
        raise UsageError(f"'{package}' cannot be a package: {error.message}", hint=_RENAME) from None
    text = head + targets(found, name)
    write_text(path, text)
    click.echo(f"wrote {os.path.relpath(path)}")
    for line in found.notes:
        click.echo(f"  {line}")
    label = f":{name}"
    click.echo(
        f"next: buildrules build {label}" if os.getcwd() == folder else f"next: cd {folder}; buildrules build {label}"
    )


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_").lower() or "model"


def targets(found: Found, name: str) -> str:
    """The text of the `targets:` section. Adds notes on what is missing to those of `found`."""
    version = "Debian 12, Python 3.11" if found.suite == "bookworm" else "Debian 13, Python 3.13"
    lines = ["targets:", f"  base: {{rule: debian_base, suite: {found.suite}}}    # {version}"]
    lines += ["  env:", "    rule: python_env", "    base: :base", f"    {_requirements(found, name)}"]
    if found.python:
        lines.append(f'    python: "{found.python}"    # {_path(found.environment or "")} asks for another')
    package = ["    rule: model_package"]
    if found.model or not found.app:
        if not found.model:
            found.note("no model found: set the path of the model target")
        exclude = ', exclude: [BUILD.yaml, "*.lock", "pylock.*"]' if found.model == "." else ""
        lines.append(f"  {name}_model: {{rule: model, path: {_path(found.model or 'model')}{exclude}}}")
        package.append(f"    model: :{name}_model")
    package.append("    base_env: :env")
    if found.app and not found.script:
        path, variable = found.app
        code, module = _app_code(found, path)
        lines.append(f"  {name}_code: {{rule: scoring_code, {code}}}")
        lines.append(f'  {name}_server: {{rule: fastapi, app: "{module}:{variable}"}}')
        package += [f"    server: :{name}_server", f"    code: :{name}_code"]
    elif found.mlflow and not found.script:
        found.note("an MLflow model needs no code, and its environment comes from its own files")
        package.append("    server: azureml_online    # loads an MLflow model without code")
    else:
        if not found.script:
            found.note("no init() and run() found: write score.py with both, or see 'buildrules rules'")
        code = _script_code(found, found.script or "score.py")
        lines.append(f"  {name}_code: {{rule: scoring_code, {code}}}")
        package += ["    server: azureml_online", f"    code: :{name}_code"]
    lines += [f"  {name}:", *package]
    if found.sample:
        lines.append(f"    sample_request: {_path(found.sample)}")
    return "\n".join(lines) + "\n"


def _requirements(found: Found, name: str) -> str:
    if found.mlflow:
        return f"model: :{name}_model    # its own files say what it needs; add here what they lack"
    path = found.environment
    if path is None:
        return "requirements: []    # fill in, such as [scikit-learn==1.7.0]"
    if path.endswith(".toml"):
        return f"pyproject: {_path(path)}"
    return f"{'requirements_file' if path.endswith('.txt') else 'conda_file'}: {_path(path)}"


def _script_code(found: Found, script: str) -> str:
    """Attributes of the code around a script: its folder, or, in the folder itself, the Python in it."""
    directory, name = os.path.split(script)
    if directory:
        return f"srcs: [{_quoted(directory + '/**')}], entry_script: {_path(name)}"
    return f"{_top_sources(found)}, entry_script: {_path(name)}"


def _app_code(found: Found, path: str) -> tuple[str, str]:
    """Attributes of the code around an application, and its module. A package stays one."""
    directory, name = os.path.split(path)
    top = directory
    while os.path.dirname(top) in found.packages and os.path.dirname(top):
        top = os.path.dirname(top)
    module = name.removesuffix(".py")
    if directory not in found.packages or not directory:
        code = f"srcs: [{_quoted(directory + '/**')}]" if directory else _top_sources(found)
        return f"{code}, entry_script: {_path(name)}", module
    above = os.path.dirname(top)
    module = os.path.relpath(f"{directory}/{module}", above or ".").replace("/", ".").removesuffix(".__init__")
    strip = above or "."
    return f"srcs: [{_quoted(top + '/**')}], strip_prefix: {_path(strip)}", module


def _top_sources(found: Found) -> str:
    tops = sorted({path.partition("/")[0] for path in found.packages if path and not found.within_model(path + "/")})
    globs = ["*.py", *(f"{top}/**" for top in tops if top in found.packages)]
    return f"srcs: [{', '.join(map(_quoted, globs))}]" + (', strip_prefix: "."' if len(globs) > 1 else "")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _path(text: str) -> str:
    """A path as YAML, in quotes where it needs them."""
    return text if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", text) else _quoted(text)
