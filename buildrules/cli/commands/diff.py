"""`buildrules diff`."""

from typing import Any

import click

from buildrules.cli.groups import GroupedCommand
from buildrules.cli.options import building_labels


@click.command(cls=GroupedCommand)
@click.argument("before", metavar="[A]")
@click.argument("after", metavar="B", required=False)
@building_labels
@click.option("--exit-code", is_flag=True, help="End with 1 where they differ.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Form.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --output json.")
def command(before: str, after: str | None, **options: Any) -> int:
    """Say how image B differs from image A: layers, packages, files, models, settings, sizes.

    Each is LABEL, which is built; LABEL@before, what it was before a build here made another image of it;
    LABEL@REVISION, what it is at a revision of git, built from the locks of then; HOST/REPOSITORY:TAG (or
    @sha256:...), oci-layout:DIR[:NAME], oci-archive:FILE[:NAME] or docker-daemon:NAME. One label alone is held
    against what it was before, and LABEL@REVISION against LABEL.
    """
    from buildrules.cli.diff import compare_images
    from buildrules.cli.images import BEFORE, ask
    from buildrules.errors import UsageError

    if options.pop("as_json"):
        options["form"] = "json"
    options["json"] = options["form"] == "json"
    label, at, _ = before.partition("@")
    words = [before, after or label] if after or at else [f"{before}@{BEFORE}", before]
    if after is None and not before.startswith(("//", ":")):
        raise UsageError(f"'{before}' is to be compared with nothing", hint="name two images, or one label")
    return ask("diff", words, options, compare_images)
