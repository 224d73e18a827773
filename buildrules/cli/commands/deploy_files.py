"""`buildrules deploy-files`."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from buildrules.cli.main import perform_request
from buildrules.cli.options import NeedsPatterns, building, pattern_argument

if TYPE_CHECKING:
    from buildrules.rules.platform import Platform


class _Command(NeedsPatterns):
    """Needs no patterns where it lists platforms."""

    optional = "listed"


@click.command(cls=_Command)
@pattern_argument
@building
@click.option("--for", "platform_name", metavar="PLATFORM", help="A platform's name, or the label of one of your own.")
@click.option("--to", metavar="REGISTRY[/REPO]", help="Where the images are pushed, as for push.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set an attribute of the platform.")
@click.option(
    "-o", "--output", default="deploy", show_default=True, metavar="DIR", help="Folder for the files; - for the output."
)
@click.option("--list", "listed", is_flag=True, help="List the platforms; with --for show one.")
def command(patterns: tuple[str, ...], **options: Any) -> int:
    """Build packages, and write the manifests that deploy them on a platform.

    Manifests name images by digest, in the repository that push sends them to, and have the packages' ports, routes as
    probes, and resources. Credentials of downloads stand in them as references, never as values.
    """
    from buildrules.rules.platforms import Platforms

    platforms = Platforms.around(os.getcwd())
    name = options["platform_name"]
    if options.pop("listed"):
        click.echo("\n".join(_lines(platforms.find(name)) if name else _list(platforms)))
        return 0
    if name is None:
        raise click.UsageError(f"no platform given: --for {'|'.join(platforms.references())}")
    platforms.find(name).set(options["settings"])  # what is wrong there is said before anything is built
    return perform_request("deploy-files", patterns, options)


def _list(platforms: Any) -> Iterator[str]:
    found = list(platforms.all())
    width = max(len(one.reference) for one in found)
    yield from (f"{one.reference:<{width}}  {one.file.summary}" for one in found)
    yield "\n'buildrules deploy-files --list --for PLATFORM' shows one."


def _lines(platform: "Platform") -> Iterator[str]:
    from buildrules.rules.describe import type_text, yaml_text

    file = platform.file
    yield f"{platform.reference}\n{file.summary}\n"
    if file.doc.strip():
        yield file.doc.strip() + "\n"
    if file.attributes:
        yield "attributes (--set NAME=VALUE)"
    for name, item in file.attributes.items():
        default = "" if item.default is None else f"default {yaml_text(item.default)}"
        yield f"  {name:<18} {type_text(item):<13} {default}".rstrip()
        yield f"  {'':<18} {item.doc}"
    yield "files"
    yield from (f"  {path}" for path in [*file.files, *(path for path in file.jobs if path not in file.files)])
