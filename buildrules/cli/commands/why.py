"""`buildrules why`."""

import os
from typing import TYPE_CHECKING, Any

import click

from buildrules.cli.azureml import check_package, located, package_options
from buildrules.cli.harmless import harmless
from buildrules.cli.request import Request
from buildrules.engine.explanations import FIRST
from buildrules.engine.inspection import Finding, Need

if TYPE_CHECKING:
    from buildrules.engine.plan import Plan


@click.command()
@click.argument("label", required=False)
@package_options
@click.option("--platform", metavar="OS/ARCH", help="For this platform instead of the workspace's.")
@click.option("-v", "--verbose", is_flag=True, help="Show everything the keys see.")
def command(label: str | None, **options: Any) -> int:
    """Say of each step of a target whether it would run now and why, and why it last ran.

    The answer is what the step's key really sees: files with their digests, parameters, the layers below.
    """
    from buildrules.cli.invocation import Invocation
    from buildrules.cli.memory import explanations_of
    from buildrules.engine.events import Event, Notice, Stream
    from buildrules.engine.inspection import inspect
    from buildrules.engine.sources import SourceReader
    from buildrules.errors import LockError, UsageError
    from buildrules.workspace.globs import expand
    from buildrules.workspace.root import find_root, package_of

    patterns = [label] if label is not None else []
    if options["package"]:
        root, patterns = located(patterns, options)
    else:
        check_package(options)
        if not patterns:
            raise UsageError("no target given", hint="buildrules why //models:regressor, or --package FILE")
        root = find_root(os.getcwd())
    request = Request("why", patterns, {**options, "locked": True, "preview": True})
    invocation = Invocation(root, package_of(root, root if options["package"] else os.getcwd()), [], request)
    locking: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Notice) and not event.warning:
            locking.append(event.message)

    invocation.stream = Stream(hear)
    try:
        invocation.store.lock()
        invocation.make_plan()
        reader = SourceReader(
            root,
            invocation.store.index,
            expand,
            jobs=os.cpu_count() or 1,
            count_read=lambda _: None,
            progress=lambda *_: None,
        )
        plan = invocation.plan
        findings = inspect(plan, invocation.store, explanations_of(root), reader, invocation.kinds.version)
    except LockError:
        if not locking:
            raise
        click.echo("\n".join([*locking, "what follows from that is known once there is a lock"]))
        return 0
    finally:
        invocation.store.close()
    for line in locking:
        click.echo(harmless(line))
    for goal in plan.goals:
        click.echo(f"{goal.label}  {goal.platform}")
    for line in _report(plan, findings, verbose=bool(options["verbose"])):
        click.echo(harmless(line))
    return 0


def _report(plan: "Plan", findings: dict[str, Finding], *, verbose: bool) -> list[str]:
    """What would be done; where nothing would, what did not come with the first build."""
    lines: list[str] = []
    settled = all(finding.need is Need.NONE for finding in findings.values())
    collapsed = 0
    for name, finding in findings.items():
        quiet = finding.need is Need.NONE and (not settled or finding.last in ([], [FIRST]))
        if quiet and not verbose:
            collapsed += 1
        else:
            lines += _lines(plan.actions[name].title, finding, verbose=verbose)
    if collapsed:
        steps = "1 step is" if collapsed == 1 else f"{collapsed} steps are"
        lines.append(f"  {steps} up to date; --verbose shows {'it' if collapsed == 1 else 'them'}")
    return lines


def _lines(title: str, finding: Finding, *, verbose: bool) -> list[str]:
    lines = [f"  {title}: {finding.need.value}"]
    reasons = finding.reasons if finding.need is not Need.NONE else finding.last
    prefix = "last built because: " if finding.need is Need.NONE else ""
    shown = reasons if verbose else sorted(reasons, key=_obscurity)[:5]
    lines += [f"      {prefix}{reason}" for reason in shown]
    if len(reasons) > len(shown):
        lines.append(f"      and {len(reasons) - len(shown)} more (--verbose shows all)")
    if verbose:
        lines.append(f"      key {finding.key}")
        lines += [f"      sees {name} = {value}" for name, value in finding.sees.items()]
    return lines


def _obscurity(reason: str) -> int:
    """How little a reason tells people: files first, counts and digests last."""
    name = reason.partition(" changed: ")[0]
    if reason.startswith("file "):
        return 0
    return 2 if name.endswith((".length", "sha256", ".size", ".digest")) or name.startswith("sources[") else 1
