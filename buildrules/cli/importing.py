"""What `buildrules import azureml` does: convert, write, and say what is next."""

import difflib
import os
from typing import Any

import click

from buildrules.authoring.build_file import Addition, add_to, home_of
from buildrules.authoring.paths import display
from buildrules.authoring.text import render_connections, render_workspace
from buildrules.azureml.conversion import Conversion, Options
from buildrules.azureml.convert import convert
from buildrules.azureml.given import failed
from buildrules.cli.report import error_text
from buildrules.cli.writing import write_text
from buildrules.errors import UsageError
from buildrules.workspace.disk import Disk
from buildrules.workspace.root import find_root


def import_azureml(paths: list[str], options: dict[str, Any], *, force: bool, dry_run: bool) -> int:
    """Convert and write; returns the exit code. Raises UsageError, LoadError."""
    paths = [os.path.abspath(path) for path in paths]
    given = Options.of(options)
    start = given.output or (paths[0] if os.path.isdir(paths[0]) else os.path.dirname(paths[0]))
    top = _root(start)
    conversion = convert(paths, given, top, Disk("/"))
    for note in dict.fromkeys([*conversion.notes, *conversion.later]):
        click.echo(note)
    if not conversion.targets.all and not conversion.connections:
        click.echo("nothing to write")
        return 0
    named = [path if os.path.isdir(path) else os.path.dirname(path) for path in paths]
    home = home_of(conversion.targets.all, named, given.output, top)
    top = _root(home)
    names = dict.fromkeys(os.path.basename(document.path) for document in conversion.documents)
    head = f"# Imported from Azure ML: {', '.join(names)}\n"
    workspace = "" if top is not None else render_workspace(os.path.basename(home), conversion.connections)
    addition = add_to(home, conversion.targets.all, head=head, workspace=workspace, force=force)
    code = _write(addition, conversion, top, force=force, dry_run=dry_run)
    return _failed(conversion) or code


def _root(directory: str) -> str | None:
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    try:
        return find_root(directory)
    except UsageError:
        return None


def _write(addition: Addition, conversion: Conversion, top: str | None, *, force: bool, dry_run: bool) -> int:
    path = display(addition.path)
    if dry_run:
        click.echo(_diff(addition.before or "", addition.text, path), nl=False)
    elif not conversion.targets.all and top is not None:
        pass  # connections belong into the workspace's own file
    elif addition.text != addition.before:
        write_text(addition.path, addition.text)
        click.echo(f"{'wrote' if addition.before is None else 'added to'} {path}: {', '.join(addition.added) or '-'}")
    else:
        click.echo(f"{path} has it all already")
    if conversion.connections and top is not None:
        click.echo(f"add this to `workspace:` in {display(os.path.join(top, 'BUILD.yaml'))}:")
        click.echo(render_connections(conversion.connections), nl=False)
    if addition.differing and not force:
        click.echo(_diff(addition.text, addition.forced, path), nl=False)
        names = ", ".join(addition.differing)
        raise UsageError(
            f"{path} has other targets of these names: {names}", hint="--force replaces them as the diff above shows"
        )
    if conversion.packages and not dry_run:
        click.echo(f"next: {_next(addition, conversion)}")
    return 0


def _failed(conversion: Conversion) -> int:
    """Say what is wrong with files of a directory that could not be converted; returns the exit code."""
    if not conversion.failed:
        return 0
    for error in failed(conversion).errors:
        click.echo(error_text(error), err=True)
    names = ", ".join(display(path) for path in conversion.failed)
    count = len(conversion.failed)
    click.echo(f"{count} file{'s' if count > 1 else ''} could not be converted: {names}", err=True)
    return 1


def _diff(before: str, after: str, path: str) -> str:
    return "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), path, path))


def _next(addition: Addition, conversion: Conversion) -> str:
    home = os.path.dirname(addition.path)
    command = f"buildrules build {' '.join(f':{target.name}' for target in conversion.packages)}"
    return command if os.path.realpath(os.getcwd()) == os.path.realpath(home) else f"cd {display(home)}; {command}"
