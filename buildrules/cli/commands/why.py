"""`buildrules why`."""

from typing import TYPE_CHECKING, Any

import click

from buildrules.cli.azureml import package_options, place_of
from buildrules.cli.groups import GroupedCommand
from buildrules.cli.harmless import harmless, in_line
from buildrules.cli.options import config_option, platform_option
from buildrules.cli.request import Request
from buildrules.engine.build import FIRST
from buildrules.engine.changes import INPUT, shown
from buildrules.engine.inspection import Finding, Need

if TYPE_CHECKING:
    from buildrules.cli.invocation import Invocation
    from buildrules.engine.plan import Plan


@click.command(cls=GroupedCommand)
@click.argument("label", required=False)
@package_options
@platform_option
@config_option
@click.option("--no-remote", is_flag=True, help="Leave the shared cache out.")
@click.option("--not-cached", is_flag=True, help="Compare with what the shared cache has, made by others.")
@click.option("--since", metavar="REVISION", help="Compare with the workspace as it is at a revision of git.")
@click.option("--nearest", is_flag=True, help="Compare with the records that share most, of whatever target.")
@click.option("-v", "--verbose", is_flag=True, help="Show everything the keys see.")
def command(label: str | None, **options: Any) -> int:
    """Say which steps of a target a build would run now and why; where none would, why they last ran.

    Locks that the build would write are named, and the steps that depend on them counted. With --verbose every step is
    shown, with all that its key sees: files with their digests, parameters, the layers below.

    With --not-cached each step that the shared cache lacks is held against what was last made for it, on any machine;
    with --nearest each that would run against what this workspace, or the cache, has that is most like it. With --since
    nothing is built or asked: what steps are made of is held against what it was.
    """
    from buildrules.cli.edits import line_counts, with_lines
    from buildrules.cli.invocation import Invocation
    from buildrules.engine.events import Event, Notice, Stream
    from buildrules.engine.inspection import inspect
    from buildrules.errors import LockError, UsageError
    from buildrules.report.builds import last_placed
    from buildrules.state.location import identity, state_path
    from buildrules.state.reader import open_state

    if label is None and not options["package"]:
        raise UsageError("no target given", hint="buildrules why //models:regressor, or --package FILE")
    root, directory, patterns = place_of([label] if label is not None else [], options)
    if options["since"]:
        return _since(root, directory, patterns, options)
    request = Request("why", patterns, {**options, "locked": True, "preview": True})
    invocation = Invocation(root, directory, [], request)
    locking: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Notice) and not event.warning:
            locking.append(event.message)
        elif isinstance(event, Notice) and options["not_cached"]:  # of a cache that is down, say
            click.echo(f"warning: {harmless(event.message)}", err=True)

    invocation.stream = Stream(hear)
    try:
        wanted = identity(root, options["configurations"])
        invocation.prepare(open_state(state_path(root, wanted), wanted))
        plan = invocation.plan
        if options["not_cached"] or options["nearest"]:
            _other(invocation, options)
            return 0
        findings = inspect(invocation.run, invocation.unlocked)
        counts = line_counts(invocation.run, {reason for finding in findings.values() for reason in finding.reasons})
        for finding in findings.values():
            finding.reasons = with_lines(finding.reasons, counts)
    except LockError:
        if not locking:
            raise
        locking.append("what follows from that, other locks among it, is known once there is a lock")
        click.echo(harmless("\n".join(locking)))
        return 0
    finally:
        invocation.close()
    for line in locking:
        click.echo(harmless(line))
    for goal in plan.goals:
        click.echo(f"{goal.label}  {goal.platform}")
    placed = last_placed(invocation.store.root, root, options["configurations"])
    for line in _report(plan, findings, placed, verbose=bool(options["verbose"])):
        click.echo(in_line(line))
    return 0


def _since(root: str, directory: str, patterns: list[str], options: dict[str, Any]) -> int:
    from buildrules.cli.why_other import since_lines
    from buildrules.errors import UsageError

    if options["not_cached"] or options["nearest"]:
        raise UsageError("--since goes with neither --not-cached nor --nearest", hint="run it twice")
    for line in since_lines(root, directory, patterns, options["since"], options):
        click.echo(in_line(line))
    return 0


def _other(invocation: "Invocation", options: dict[str, Any]) -> None:
    """Compare with records: those of the shared cache, or the nearest of all."""
    from buildrules.cli.not_cached import not_cached_lines
    from buildrules.cli.why_other import nearest_lines
    from buildrules.errors import UsageError

    verbose = bool(options["verbose"])
    if options["nearest"]:
        lines = nearest_lines(invocation, verbose=verbose)
    elif invocation.sharing is None:
        raise UsageError("no cache is shared", hint="name one with workspace.cache.remote, or BUILDRULES_CACHE=URL")
    else:
        lines = not_cached_lines(invocation.run, invocation.sharing, verbose=verbose)
    for line in lines:
        click.echo(in_line(line))
    if invocation.sharing is not None:
        invocation.sharing.tell()


def _report(
    plan: "Plan", findings: dict[str, Finding], placed: dict[str, dict[str, Any]], *, verbose: bool
) -> list[str]:
    """What would be done; where nothing would, what did not come with the first build."""
    lines: list[str] = []
    settled = all(finding.need is Need.NONE for finding in findings.values())
    current = unlocked = 0
    for name, finding in findings.items():
        if not verbose and finding.need is Need.LOCK:
            unlocked += 1
        elif not verbose and finding.need is Need.NONE and (not settled or finding.last in ([], [FIRST])):
            current += 1
        else:
            lines += _lines(plan.actions[name].title, finding, placed.get(name), verbose=verbose)
    if unlocked:
        lines.append(f"  {_steps(unlocked, 'depends', 'depend')} on the new lock")
    if current:
        lines.append(f"  {_steps(current, 'is', 'are')} up to date; --verbose shows {'it' if current == 1 else 'them'}")
    return lines


def _steps(number: int, one: str, several: str) -> str:
    return f"1 step {one}" if number == 1 else f"{number} steps {several}"


def _lines(title: str, finding: Finding, placed: dict[str, Any] | None, *, verbose: bool) -> list[str]:
    from buildrules.cli.why_other import first_of

    lines = [f"  {title}: {finding.need.value}"]
    reasons = finding.reasons if finding.need is not Need.NONE else finding.last
    prefix = "last built because: " if finding.need is Need.NONE else ""
    ordered = reasons if verbose else sorted(reasons, key=_obscurity)
    lines += first_of([f"{prefix}{reason}" for reason in ordered], verbose=verbose)
    if placed is not None and finding.need is Need.NONE:
        from buildrules.cli.placed import placed_words

        lines.append(f"      last ran {placed_words(placed)}")
    if verbose and finding.key:
        lines.append(f"      key {shown(finding.key)}")
        lines += [f"      sees {name} = {shown(value)}" for name, value in finding.sees.items()]
    return lines


def _obscurity(reason: str) -> int:
    """How little a reason tells people: files first, what was told of another step last."""
    return 0 if reason.startswith("file ") else 2 if reason.startswith(INPUT) else 1
