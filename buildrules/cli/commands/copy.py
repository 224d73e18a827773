"""`buildrules copy`."""

import click


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--platform", metavar="OS/ARCH", help="Of an index only the image for this platform.")
@click.option("--dry-run", is_flag=True, help="Show what would be copied, and change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(source: str, target: str, platform: str | None, dry_run: bool, quiet: bool, as_json: bool) -> int:
    """Copy an image, unchanged, to another place: only what is missing there, each byte held against its digest.

    FROM and TO are HOST/REPOSITORY:TAG (or @sha256:...), oci-layout:DIR[:NAME] or oci-archive:FILE[:NAME]. An index is
    copied with the images of all its platforms.
    """
    from buildrules.cli.copy import copy
    from buildrules.cli.errand import Errand

    with Errand(quiet=quiet or as_json) as errand:
        copy(source, target, errand, platform=platform, dry_run=dry_run, as_json=as_json)
    return 0
