"""`buildrules setup`."""

import os

import click

from buildrules.errors import UsageError

_PLUGIN = "docker-buildrules"
_MARK = b"buildrules.docker_plugin"  # what an installed program has in its text


@click.group()
def command() -> None:
    """Make buildrules a part of other tools."""


@command.command()
@click.option("--remove", is_flag=True, help="Take it away again.")
def docker(remove: bool) -> None:
    """Make `docker buildrules …` work: a link to this installation among the plugins of Docker's command line.

    It lies in cli-plugins below $DOCKER_CONFIG, or ~/.docker, and stays when buildrules is upgraded in its place.
    """
    from buildrules.oci.docker_connect import config_folder

    link = os.path.join(config_folder(os.environ), "cli-plugins", _PLUGIN)
    there = os.path.lexists(link)
    if there and not _ours(link):
        raise UsageError(f"'{link}' is not of buildrules", hint="look what it is, and move it out of the way")
    try:
        if remove:
            if there:
                os.unlink(link)
            click.echo(f"removed '{link}'" if there else f"there is no '{link}'")
            return
        program = _program()
        before = os.readlink(link) if there else ""
        if before != program:
            os.makedirs(os.path.dirname(link), mode=0o700, exist_ok=True)
            aside = f"{link}.{os.getpid()}.tmp"
            os.symlink(program, aside)
            os.replace(aside, link)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot write '{link}': {reason}", hint="make its folder writable, or name another in DOCKER_CONFIG"
        ) from error
    click.echo(f"'{link}' {'leads' if before == program else 'now leads'} to '{program}'")
    if before not in ("", program):
        click.echo(f"  before: '{before}'")
    click.echo("try: docker buildrules --help")


def _ours(link: str) -> bool:
    """Whether a link leads to a program that buildrules installed, or to where one has been."""
    if not os.path.islink(link) or os.path.basename(os.readlink(link)) != _PLUGIN:
        return False
    try:
        with open(link, "rb") as file:
            return _MARK in file.read(1 << 16)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _program() -> str:
    """The plugin's program that was installed with what runs now. Raises UsageError where there is none."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution("buildrules").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        path = os.path.abspath(file.locate())
        if file.name == _PLUGIN and os.path.isfile(path):
            return path
    raise UsageError(
        f"this installation has no program '{_PLUGIN}'", hint="install buildrules again: pip install --force-reinstall"
    )
