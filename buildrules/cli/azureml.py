"""Options for files of Azure ML, and where the workspace of one is."""

import os
from functools import partial
from typing import Any

import click

from buildrules.cli.groups import AZUREML, GroupedOption, grouped, together
from buildrules.errors import UsageError

_option = partial(grouped, AZUREML)

converting_options = together(
    _option("--model", "models", multiple=True, metavar="PATH", help="The model, a path or an address."),
    _option("--python", metavar="VERSION", help="This Python, whatever the environment asks for."),
    _option("--solver", type=click.Choice(["uv", "conda"]), help="Take wheels or conda's own packages."),
    _option("--base", metavar="LABEL|IMAGE", help="Stand on this base instead."),
    _option("--code", type=click.Path(), metavar="DIR", help="The scoring code's folder."),
    _option("--environment", type=click.Path(), metavar="FILE", help="The environment."),
    _option("--input", "inputs", multiple=True, metavar="NAME=PATH", help="Where an input's files are."),
    _option("--mode", type=click.Choice(["copy", "download"]), help="How the model gets in."),
    _option("--download-uri", metavar="URI", help="Where the model's files lie in mode download."),
)


package_options = together(
    _option("--package", type=click.Path(), metavar="FILE", help="Build this package or deployment as it stands."),
    converting_options,
)


def place_of(patterns: list[str], options: dict[str, Any]) -> tuple[str, str, list[str]]:
    """The root of the workspace, the package of the current directory in it, and what to build.

    That is `patterns`, or what `--package` names, whose file lies in the workspace or makes one. Raises UsageError,
    LoadError.
    """
    from buildrules.workspace.root import here, package_of

    if not options["package"]:
        for one in click.get_current_context().command.params:
            if isinstance(one, GroupedOption) and one.group == AZUREML and options[one.name or ""]:
                hint = "name the Azure ML file: --package package.yml"
                raise UsageError(f"{one.opts[0]} belongs to --package", hint=hint)
        root, directory, _ = here()
        return root, directory, patterns
    from buildrules.azureml.conversion import Options
    from buildrules.azureml.generated import generate
    from buildrules.workspace.disk import Disk

    if patterns:
        raise UsageError(f"'{patterns[0]}' and --package: both name what to build", hint="leave one of them out")
    for name in ("package", "code", "environment"):
        options[name] = None if options[name] is None else os.path.abspath(options[name])
    found = generate(options["package"], Options.of(options), Disk("/"))
    inside = f"{os.path.realpath('.')}/".startswith(found.root.rstrip("/") + "/")
    return found.root, package_of(found.root, ".") if inside else "", found.labels
