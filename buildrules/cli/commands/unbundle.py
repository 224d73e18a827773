"""`buildrules unbundle`."""

import click


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--to", metavar="HOST[/REPO]", help="Push the images into a registry, below REPO.")
@click.option("--layout", type=click.Path(file_okay=False), metavar="DIR", help="Write them into an OCI layout.")
@click.option("--list", "listed", is_flag=True, help="Say what is in it, and write nothing.")
@click.option("--digest", metavar="SHA256", help="Refuse a bundle whose list has another digest than this.")
@click.option("--have-list", type=click.Path(dir_okay=False), metavar="OUT", help="Write what is there, for --have.")
@click.option("--dry-run", is_flag=True, help="With --to: show what would be sent, and change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(
    file: str | None,
    to: str | None,
    layout: str | None,
    listed: bool,
    digest: str | None,
    have_list: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Take the images out of the file that 'buildrules bundle' wrote.

    Everything is held against its digest on the way: without a place to write to, that is all that is done. With
    --have-list and no file, only that list is written.
    """
    from buildrules.cli.errand import Errand
    from buildrules.cli.unbundle import unbundle, write_have_list
    from buildrules.errors import UsageError

    if sum(map(bool, (to, layout, listed))) > 1:
        raise UsageError("--to, --layout and --list exclude each other", hint="name one of them")
    if file is None and (to or listed or digest or not have_list):
        raise UsageError("no bundle given", hint="name the file that 'buildrules bundle' wrote")
    if have_list and not (to or layout):
        raise UsageError("--have-list says what is in a place", hint="name it, by --layout or --to")
    if dry_run and not to:
        raise UsageError("--dry-run belongs to --to", hint="'buildrules unbundle FILE' writes nothing")
    with Errand(quiet=quiet or as_json) as errand:
        if file is not None:
            wanted = {"to": to, "layout": layout, "digest": digest}
            unbundle(file, errand, **wanted, listed=listed, dry_run=dry_run, as_json=as_json)
        if have_list:
            write_have_list(have_list, errand, to=to, layout=layout, file=file)
    return 0
