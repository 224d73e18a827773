"""Options for files of Azure ML, and where the workspace of one is."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from buildrules.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_CONVERTING = (
    click.option("--model", "models", multiple=True, metavar="PATH", help="Azure ML: the model, a path or an address."),
    click.option("--python", metavar="VERSION", help="Azure ML: this Python, whatever the environment asks for."),
    click.option("--base", metavar="LABEL|IMAGE", help="Azure ML: stand on this base instead."),
    click.option("--code", type=click.Path(), metavar="DIR", help="Azure ML: the scoring code's folder."),
    click.option("--environment", type=click.Path(), metavar="FILE", help="Azure ML: the environment."),
    click.option("--input", "inputs", multiple=True, metavar="NAME=PATH", help="Azure ML: where an input's files are."),
    click.option("--mode", type=click.Choice(["copy", "download"]), help="Azure ML: how the model gets in."),
    click.option("--download-uri", metavar="URI", help="Azure ML: where the model's files lie in mode download."),
)


def converting_options(function: F) -> F:
    """The options of a conversion."""
    for option in reversed(_CONVERTING):
        function = option(function)
    return function


def package_options(function: F) -> F:
    """`--package FILE` and the options of a conversion."""
    function = converting_options(function)
    option = click.option(
        "--package", type=click.Path(), metavar="FILE", help="Build this Azure ML package or deployment as it stands."
    )
    return option(function)


def located(patterns: list[str], options: dict[str, Any]) -> tuple[str, list[str]]:
    """The root of the workspace that `--package` makes or lies in, and the labels to build. Raises UsageError."""
    from buildrules.azureml.conversion import Options
    from buildrules.azureml.generated import generate
    from buildrules.workspace.disk import Disk

    if patterns:
        raise UsageError(f"'{patterns[0]}' and --package: both name what to build", hint="leave one of them out")
    options["package"] = os.path.abspath(options["package"])
    for name in ("code", "environment"):
        options[name] = None if options[name] is None else os.path.abspath(options[name])
    found = generate(options["package"], Options.of(options), Disk("/"))
    return found.root, found.labels


def check_package(options: dict[str, Any]) -> None:
    """Raise UsageError where options for files of Azure ML stand without one."""
    names = {"models": "model", "inputs": "input", "download_uri": "download-uri"}
    for name in ("models", "python", "base", "code", "environment", "inputs", "mode", "download_uri"):
        if options.get(name):
            option = names.get(name, name)
            raise UsageError(f"--{option} belongs to --package", hint="name the Azure ML file: --package package.yml")
