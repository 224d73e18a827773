"""`buildrules hook`: what hooks of git run, for pre-commit and the like. They are given the files of a commit."""

import os
from collections.abc import Callable, Iterable

import click

from buildrules.errors import BuildrulesError, UsageError
from buildrules.workspace.root import find_root

_files = click.argument("files", nargs=-1, metavar="[FILE]...")


@click.group()
def command() -> None:
    """Check what belongs to the files of a commit, in as many workspaces as they lie in."""


@command.command()
@_files
@click.option("--strict", is_flag=True, help="Fail for warnings as well.")
def lint(files: tuple[str, ...], strict: bool) -> int:
    """Lint the packages that the files' folders have a part in. Locks are taken as they are."""
    options = ["--locked", "--quiet", *(["--strict"] if strict else [])]
    return _in_each(
        files, lambda root, paths: ["lint", *options, *found] if (found := _packages(root, paths)) else None
    )


@command.command("lock-check")
@_files
def lock_check(files: tuple[str, ...]) -> int:
    """Check that the locks of the files' workspaces are there and up to date."""
    return _in_each(files, lambda *_: ["lock", "--check"])


def _in_each(files: Iterable[str], words: Callable[[str, list[str]], list[str] | None]) -> int:
    """Run a command in each workspace that files lie in; the highest exit code. Files elsewhere are left out.

    `words` gives it from the workspace's root and the paths below, None where there is nothing to do.
    """
    from buildrules.cli.main import run

    here, worst = os.path.realpath("."), 0
    roots: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for file in files:
        folder = os.path.realpath(os.path.dirname(file))
        if folder not in roots:
            try:
                roots[folder] = find_root(folder)
            except UsageError:
                roots[folder] = ""
        if root := roots[folder]:
            found.setdefault(root, []).append(os.path.relpath(os.path.join(folder, os.path.basename(file)), root))
    for root, paths in found.items():
        os.chdir(root)
        if (argv := words(root, paths)) is not None:
            if root != here:
                click.echo(f"in {os.path.relpath(root, here)!r}:")
            worst = max(worst, run(argv))
    return worst


def _packages(root: str, paths: Iterable[str]) -> list[str]:
    """The model packages that are made of targets whose BUILD.yaml is next above one of the files, or of that rule."""
    from buildrules.cli.kept_targets import targets_of_workspace

    try:
        known = targets_of_workspace(root, "")
    except BuildrulesError:
        return ["//..."]  # says what is wrong
    targets, folders, rules = known.targets, set(), set()
    packages = set(known.packages)
    for path in paths:
        folder, name = os.path.split(path)
        rules.add(f"//{folder}:{name.removesuffix('.yaml')}")
        while folder and folder not in packages:
            folder = os.path.dirname(folder)
        folders.add(f"//{folder}")
    own = [
        number
        for number, label in enumerate(targets.labels)
        if label.partition(":")[0] in folders or targets.rules[number] in rules
    ]
    found = set(own)
    while own:
        own = [other for number in own for other in targets.needed_by[number] if other not in found]
        found.update(own)
    return [
        targets.labels[number]
        for number in targets.written
        if number in found and targets.detail(number)[0] == "package"
    ]
