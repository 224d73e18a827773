"""`buildrules rules`."""

import os

import click


@click.command(short_help="list the rules")
def command() -> None:
    """List the rules: the built-in ones, and those of the workspace."""
    from buildrules.errors import UsageError
    from buildrules.rules.catalogue import Catalogue
    from buildrules.workspace.root import find_root

    try:
        root: str | None = find_root(os.getcwd())
    except UsageError:
        root = None
    catalogue = Catalogue(root)
    rules = catalogue.all()
    catalogue.problems.raise_all()
    order = ("base", "env", "server", "model", "code", "package")
    width = max(len(rule.reference) for rule in rules)
    for provides in order:
        for rule in rules:
            if rule.provides == provides:
                click.echo(f"{rule.reference:<{width}}  {provides:<8} {rule.file.summary}")
    click.echo("\n'buildrules help-rule NAME' shows one.")
