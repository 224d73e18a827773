"""`buildrules query`."""

import json
import os

import click

from buildrules.cli.options import PatternCommand, pattern_argument


@click.command(cls=PatternCommand)
@pattern_argument
@click.option("--deps", is_flag=True, help="What the targets need, themselves included.")
@click.option("--rdeps", is_flag=True, help="What needs the targets, themselves included.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list with rule, place and dependencies.")
def command(patterns: tuple[str, ...], deps: bool, rdeps: bool, as_json: bool) -> None:
    """List the targets that the patterns name (all by default), what they need, or what needs them."""
    from buildrules.analysis.loaded import Loaded
    from buildrules.analysis.targets import dependencies, dependents
    from buildrules.errors import UsageError
    from buildrules.workspace.disk import Disk
    from buildrules.workspace.labels import parse_patterns
    from buildrules.workspace.root import find_root, package_of

    if deps and rdeps:
        raise UsageError("--deps and --rdeps exclude each other", hint="run it twice")
    here = os.getcwd()
    root = find_root(here)
    loaded = Loaded(Disk(root))
    labels = loaded.select(parse_patterns(list(patterns) or ["//..."], package_of(root, here)))
    if deps:
        labels = dependencies(loaded.graph, labels)
    elif rdeps:
        labels = dependents(loaded.graph, labels)
    targets = [loaded.resolution.of(label) for label in labels]
    if as_json:
        rows = [
            {
                "label": str(target.label),
                "rule": target.rule.reference,
                "provides": target.provides,
                "position": str(target.target.position) if target.target else None,
                "deps": [str(label) for label in sorted(loaded.graph.needs[target.label])],
            }
            for target in targets
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for target in targets:
        if not target.implicit:
            click.echo(f"{target.label}  {target.rule.reference}")
