"""`buildrules lock`."""

import os
import time
from typing import TYPE_CHECKING, Any

import click

from buildrules.cli.azureml import package_options, place_of
from buildrules.cli.options import (
    PatternCommand,
    config_option,
    pattern_argument,
    platform_option,
    restored,
    tag_option,
)

if TYPE_CHECKING:
    from buildrules.prepared import Prepared
    from buildrules.store.store import Store

_ALL = "//"  # no package is named so
_LOCKED = ("package", "base", "env", "model", "input")


@click.command(cls=PatternCommand)
@pattern_argument
@tag_option
@platform_option
@config_option
@click.option(
    "--upgrade",
    "--upgrade-package",
    "upgrades",
    multiple=True,
    is_flag=False,
    flag_value=_ALL,
    metavar="[NAME]",
    help="Take the newest version of this package that the requirements allow; without a name, of all.",
)
@click.option(
    "--sync",
    multiple=True,
    metavar="GROUP",
    help="Bring the environments of this group to equal versions, also those with locks of their own.",
)
@package_options
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--check", is_flag=True, help="Write nothing; fail where a lock is missing or stale.")
def command(patterns: tuple[str, ...], check: bool, quiet: bool, upgrades: tuple[str, ...], **options: Any) -> int:
    """Resolve the environments and bases of the targets (all by default), and write their locks.

    Python versions that still fit are kept, unless --upgrade; Debian packages become what the archive has now, for it
    keeps no older ones.
    """
    from packaging.utils import canonicalize_name

    from buildrules.cli.console import Console
    from buildrules.cli.movement import movement_lines
    from buildrules.engine.events import Stream
    from buildrules.errors import UsageError
    from buildrules.net.session import Session
    from buildrules.plan.planner import user_of
    from buildrules.prepared import prepare
    from buildrules.store.store import Store

    names = [canonicalize_name(name) for name in upgrades if not _is_pattern(name)]
    # Without a name, what comes next is taken for one.
    patterns = (*patterns, *(restored(one) for one in upgrades if _is_pattern(one) and one != _ALL))
    options |= {"upgrade": len(names) < len(upgrades), "upgrade_packages": tuple(names)}
    planned = bool(upgrades or options["sync"])
    if options["sync"] and patterns:
        raise UsageError("--sync says which environments are locked", hint="leave out the patterns")
    began = time.perf_counter()
    root, directory, named = place_of(list(patterns), options)
    options |= {"locked": check, "relock": planned or not check, "locking": True}
    store = Store()
    console = Console(quiet=quiet)
    try:
        store.lock()
        _check_names(root, options["upgrade_packages"])
        prepared = prepare(root, directory, named or ["//..."], options, store, Stream(console), Session())
    finally:
        console.close()
        store.close()
    for label in prepared.selection.named:
        target = prepared.loaded.resolution.of(label)
        if target.provides not in _LOCKED:
            raise UsageError(
                f"'{label}' provides {target.provides}, of which nothing is locked",
                hint=user_of(prepared.loaded, label),
            )
    locks = prepared.keeper
    if planned:
        differences = [line for one in prepared.all_locks for line in one.differences]
        for line in (*movement_lines(prepared.all_locks, locks.replaced, names), *differences):
            click.echo(line)
    if check and locks.replaced:
        click.echo(f"{len(locks.replaced)} of {len(locks.files)} locks would be written")
        return 1
    locks.write_pending()
    if check:
        click.echo(f"{len(locks.files)} locks are up to date")
    else:
        _tell_downloads(prepared, store)
        seconds = time.perf_counter() - began
        click.echo(f"{len(locks.written)} of {len(locks.files)} locks written in {seconds:.1f} s")
    if not (named or options["sync"] or options["platform"] or options["with_tags"] or options["package"]):
        settings = prepared.loaded.workspace.settings
        platforms = [platform for one in (prepared, *prepared.others) for platform in one.selection.platforms]
        _tell_strays(locks.strays(prepared.loaded.workspace.packages, platforms, settings.configurations), root)
    return 0


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in ("/", ":", "..."))


def _tell_downloads(prepared: "Prepared", store: "Store") -> None:
    """Say what a cold build has to download."""
    from buildrules.cli.downloads import download_lines
    from buildrules.locking.downloads import needed

    found = [row for one in prepared.all_locks for row in needed(one)]
    stored = store.blobs.holds({file.sha256 for one in found for file in one.files})
    for line in download_lines(found, prepared.keeper.written, stored):
        click.echo(line)


def _tell_strays(paths: list[str], root: str) -> None:
    """Name the locks that nobody has: those of targets that went, or have another name now."""
    import shlex

    for path in paths:
        click.echo(f"no target has the lock {path!r}")
    if paths:
        files = [os.path.relpath(os.path.join(root, path)) for path in paths]
        click.echo(f"  hint: remove what nobody needs: rm {shlex.join(files)}")


def _check_names(root: str, names: list[str]) -> None:
    """Raise UsageError for a name to upgrade that no lock of the workspace has. Where there is no lock, any will do."""
    from packaging.utils import canonicalize_name

    from buildrules.cli.locked_names import locked_names
    from buildrules.errors import UsageError
    from buildrules.workspace.suggest import did_you_mean

    locked = locked_names(root) if names else set()
    for name in names:
        if locked and canonicalize_name(name) not in locked:
            raise UsageError(
                f"no lock has a package '{name}'", hint=did_you_mean(name, locked) or "a new one is locked without this"
            )
