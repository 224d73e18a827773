"""`buildrules help-rule`."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from buildrules.rules.rule import Rule


@click.command()
@click.argument("name")
def command(name: str) -> None:
    """Show one rule: what it is for, its attributes, what it adds to an image."""
    from buildrules.rules.catalogue import Catalogue
    from buildrules.rules.describe import flat, type_text, yaml_text

    catalogue, package = Catalogue.around(os.getcwd())
    rule = catalogue.find(name, package)
    catalogue.problems.raise_all()
    assert rule is not None
    click.echo(f"{rule.reference}  provides {rule.provides}\n{rule.file.summary}\n")
    if rule.file.doc.strip():
        click.echo(rule.file.doc.strip() + "\n")
    click.echo("attributes")
    for path, item in flat(rule.attributes):
        default = "" if item.default is None else f"default {yaml_text(item.default)}"
        click.echo(f"  {path:<18} {type_text(item):<13} {'required' if item.required else default}")
        if item.doc:
            click.echo(f"  {'':<18} {item.doc}")
    for line in _image(rule):
        click.echo(line)


def _image(rule: "Rule") -> Iterator[str]:
    """What the rule adds to an image, templates as they are written."""
    file = rule.file
    for title, part in (("layout", file.layout), ("image", file.image), ("routes", file.routes)):
        if part is None:
            continue
        yield f"\n{title}"
        if isinstance(part, str):
            yield f"  {part}"
            continue
        for name, value in part.model_dump(exclude_defaults=True).items():
            if isinstance(value, dict) and title == "routes":
                yield f"  {name:<18} {value['port']}{value['path']}"
            elif isinstance(value, dict):
                yield f"  {name}"
                yield from (f"    {key}={item}" for key, item in value.items())
            else:
                yield f"  {name:<18} {' '.join(map(str, value)) if isinstance(value, list) else value}"
