"""`buildrules export-to`."""

import os
import sys

import click

from buildrules.authoring.paths import display, is_within
from buildrules.cli.options import PatternCommand, config_option, pattern_argument
from buildrules.errors import UsageError
from buildrules.hosts.formats import FORMATS


@click.command(cls=PatternCommand)
@click.argument("name", type=click.Choice(list(FORMATS)), metavar="|".join(FORMATS))
@pattern_argument
@click.option("--check", is_flag=True, help="Write nothing; name the files that would change, and exit with 1 if any.")
@click.option("--dir", "directory", metavar="DIR", help="The other build system's root; without it the workspace's.")
@config_option
@click.option("--urls", is_flag=True, help="Ask package indexes where wheels are that locks name without an address.")
def command(
    name: str,
    patterns: tuple[str, ...],
    check: bool,
    directory: str | None,
    configurations: tuple[str, ...],
    urls: bool,
) -> int:
    """Write files that make packages targets of another build system; without patterns all packages.

    The files say what each package is made of, from the locks and the graph: write them again where that changes.
    """
    from buildrules.cli.export_to import export, present
    from buildrules.hosts.formats import format_named
    from buildrules.oci.whole_file import write_whole
    from buildrules.workspace.root import find_root

    root = find_root(os.getcwd())
    directory = os.path.realpath(directory or root)
    if not is_within(root, directory):
        raise UsageError(
            f"the workspace '{display(root)}' is not below '{display(directory)}'",
            hint="--dir names a folder around it",
        )
    given = export(directory, patterns, configurations, urls=urls)
    texts = format_named(name)(given)
    changed = [path for path in sorted(texts) if texts[path] != (present(directory, path) or "")]
    for path in changed:
        place = os.path.join(directory, path)
        if not check and not texts[path]:
            os.unlink(place)
        elif not check:  # whole or not at all, and through no link
            os.makedirs(os.path.dirname(place), exist_ok=True)
            write_whole(place, [texts[path].encode()], "file", display(place))
        sys.stdout.write(f"{display(place)}\n")
    without = {one["sha256"] for target in given.targets for one in target.content if not one["urls"]}
    if name == "bazel" and without:
        sys.stderr.write(
            f"warning: {len(without)} files have no address: give content_repositories mirrors, ask indexes for"
            " those of wheels with --urls, or lock without locks.portable from an index\n"
        )
    said = "would change" if check else "changed"
    sys.stderr.write(f"{len(changed)} of {len(texts)} files {said}\n")
    return 1 if check and changed else 0
