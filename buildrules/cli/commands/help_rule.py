"""`buildrules help-rule`."""

import os

import click


@click.command(short_help="show one rule")
@click.argument("name")
def command(name: str) -> None:
    """Show one rule: what it is for, its attributes, what it adds to an image."""
    from buildrules.errors import UsageError
    from buildrules.rules.catalogue import Catalogue
    from buildrules.rules.describe import describe
    from buildrules.workspace.root import find_root, package_of

    here = os.getcwd()
    try:
        root: str | None = find_root(here)
        package = package_of(root, here) if root else ""
    except UsageError:
        root, package = None, ""
    catalogue = Catalogue(root)
    rule = catalogue.find(name, package)
    catalogue.problems.raise_all()
    assert rule is not None
    shown = describe(rule)
    click.echo(f"{shown.reference}  provides {shown.provides}\n{shown.summary}\n")
    if shown.doc:
        click.echo(shown.doc + "\n")
    click.echo("attributes")
    for item in shown.attributes:
        default = "required" if item.required else f"default {item.default}" if item.default not in (None, "") else ""
        click.echo(f"  {item.name:<18} {item.type:<13} {default}")
        if item.doc:
            click.echo(f"  {'':<18} {item.doc}")
