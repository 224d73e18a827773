"""`buildrules why`."""

import os
from typing import Any

import click

from buildrules.cli.request import Request
from buildrules.engine.inspection import Finding, Need


@click.command(short_help="say why a target was, or would be, rebuilt")
@click.argument("label")
@click.option("--platform", metavar="OS/ARCH", help="For this platform instead of the workspace's.")
@click.option("-v", "--verbose", is_flag=True, help="Show everything the keys see.")
def command(label: str, **options: Any) -> int:
    """Say of each step of a target whether it would run now and why, and why it last ran.

    The answer is what the step's key really sees: files with their digests, parameters, the layers below.
    """
    from buildrules.actions.registry import kind_version
    from buildrules.cli.invocation import Invocation
    from buildrules.engine.inspection import inspect
    from buildrules.engine.sources import SourceReader
    from buildrules.workspace.globs import expand
    from buildrules.workspace.root import find_root, package_of

    root = find_root(os.getcwd())
    request = Request("why", [label], {**options, "locked": True})
    invocation = Invocation(root, package_of(root, os.getcwd()), [], request)
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
        findings = inspect(plan, invocation.store, root, reader, kind_version)
    finally:
        invocation.store.close()
    for goal in plan.goals:
        click.echo(f"{goal.label}  {goal.platform}")
    for name, finding in findings.items():
        for line in _lines(plan.actions[name].title, finding, verbose=bool(options["verbose"])):
            click.echo(line)
    return 0


def _lines(title: str, finding: Finding, *, verbose: bool) -> list[str]:
    lines = [f"  {title}: {finding.need.value}"]
    reasons = finding.reasons if finding.need is not Need.NONE else finding.last
    prefix = "last built because: " if finding.need is Need.NONE else ""
    shown = reasons if verbose else reasons[:5]
    lines += [f"      {prefix}{reason}" for reason in shown]
    if len(reasons) > len(shown):
        lines.append(f"      and {len(reasons) - len(shown)} more (--verbose shows all)")
    if verbose:
        lines.append(f"      key {finding.key}")
        lines += [f"      sees {name} = {value}" for name, value in finding.sees.items()]
    return lines
