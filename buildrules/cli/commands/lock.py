"""`buildrules lock`."""

import contextlib
import os
import time
from typing import Any

import click

from buildrules.cli.azureml import check_package, located, package_options
from buildrules.cli.options import PatternCommand, pattern_argument
from buildrules.cli.request import Request

_LOCKED = ("package", "base", "env", "model", "input")


@click.command(cls=PatternCommand)
@pattern_argument
@click.option("--platform", metavar="OS/ARCH", help="For this platform instead of the workspace's.")
@click.option("--upgrade", is_flag=True, help="Take the newest versions the requirements allow.")
@click.option("--upgrade-package", "upgrade_packages", multiple=True, metavar="NAME", help="Only of this package.")
@package_options
@click.option("--check", is_flag=True, help="Write nothing; fail where a lock is missing or stale.")
def command(patterns: tuple[str, ...], check: bool, **options: Any) -> int:
    """Resolve the environments and bases of the targets (all by default), and write their locks.

    Python versions that still fit are kept, unless --upgrade; Debian packages become what the archive has now, for it
    keeps no older ones.
    """
    from buildrules.cli.console import Console
    from buildrules.cli.planning import Planning
    from buildrules.engine.events import Stream
    from buildrules.net.session import Session
    from buildrules.plan.planner import check_named
    from buildrules.store.store import Store
    from buildrules.workspace.root import find_root, package_of

    began = time.perf_counter()
    here = os.getcwd()
    directory = ""
    if options["package"]:
        root, labels = located(list(patterns), options)
        patterns = tuple(labels)
    else:
        check_package(options)
        root = find_root(here)
        directory = package_of(root, here)
    options["upgrade_packages"] = list(options["upgrade_packages"])
    request = Request(
        "lock", list(patterns or ("//...",)), {**options, "locked": check, "relock": not check, "locking": True}
    )
    store = Store()
    console = Console()
    try:
        store.lock()
        _check_names(root, options["upgrade_packages"])
        planning = Planning(root, directory, request.patterns, request.options, store, Stream(console), Session())
    finally:
        console.close()
        store.close()
    for label in planning.selection.named:
        target = planning.loaded.resolution.of(label)
        if target.provides not in _LOCKED:
            check_named(planning.loaded, target, testing=False)
    locks = planning.keeper
    if check:
        click.echo(f"{len(locks.files)} locks are up to date")
    else:
        seconds = time.perf_counter() - began
        click.echo(f"{len(locks.written)} of {len(locks.files)} locks written in {seconds:.1f} s")
    return 0


def _check_names(root: str, names: list[str]) -> None:
    """Raise UsageError for a name to upgrade that no lock of the workspace has. Where there is no lock, any will do."""
    from packaging.utils import canonicalize_name

    from buildrules.errors import UsageError
    from buildrules.workspace.suggest import did_you_mean

    locked = _locked_names(root) if names else set()
    for name in names:
        if locked and canonicalize_name(name) not in locked:
            raise UsageError(
                f"no lock has a package '{name}'", hint=did_you_mean(name, locked) or "a new one is locked without this"
            )


def _locked_names(root: str) -> set[str]:
    import tomllib

    from buildrules.workspace.root import find_packages

    names: set[str] = set()
    for package in find_packages(root, []).packages:
        for entry in os.scandir(os.path.join(root, package)):
            if entry.name.startswith("pylock.") and entry.name.endswith(".toml"):
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(entry.path, "rb") as file:
                    names |= {str(table["name"]) for table in tomllib.load(file)["packages"]}
    return names
