"""`buildrules schema`."""

import json
import os

import click


@click.command()
@click.option("--rule-file", is_flag=True, help="The schema of rule files instead.")
def command(rule_file: bool) -> None:
    """Print the JSON schema of BUILD.yaml, this workspace's own rules included.

    \b
    Editors with the YAML language server use it:  # yaml-language-server: $schema=build.schema.json
    """
    from buildrules.rules.catalogue import Catalogue
    from buildrules.rules.schema import build_schema, rule_schema

    catalogue, _ = Catalogue.around(os.getcwd())
    schema = rule_schema() if rule_file else build_schema(catalogue)
    catalogue.problems.raise_all()
    click.echo(json.dumps(schema, indent=2))
