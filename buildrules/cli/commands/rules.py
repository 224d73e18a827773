"""`buildrules rules`."""

import os

import click


@click.command()
def command() -> None:
    """List the rules: the built-in ones, and those of the workspace."""
    from buildrules.rules.catalogue import Catalogue
    from buildrules.rules.describe import list_rules

    catalogue, _ = Catalogue.around(os.getcwd())
    rules = list_rules(catalogue)
    catalogue.problems.raise_all()
    width = max(len(rule.reference) for rule in rules)
    for rule in rules:
        click.echo(f"{rule.reference:<{width}}  {rule.provides:<8} {rule.file.summary}")
    click.echo("\n'buildrules help-rule NAME' shows one.")
