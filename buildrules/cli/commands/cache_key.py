"""`buildrules cache key`."""

import os
import stat

import click

from buildrules.authoring.paths import display, is_within
from buildrules.authoring.setting import with_listed
from buildrules.cli.writing import write_text
from buildrules.errors import UsageError
from buildrules.remote.keys import MAIN, PrivateKey, PublicKey, is_granted, new_key, read_private, read_public
from buildrules.workspace.loader import read_settings
from buildrules.workspace.root import BUILD_FILE, find_root, read_file
from buildrules.workspace.trust import read_key

_SETTING = ("workspace", "cache", "public_keys")
_FOLDER = "keys"


@click.group()
def command() -> None:
    """Make keys that sign records of a shared cache, and say which of them count here."""


@command.command()
@click.argument("name")
@click.option(
    "--namespace", "namespaces", multiple=True, default=[MAIN], show_default=True, help="Where it may write; several."
)
@click.option("--private", type=click.Path(dir_okay=False), metavar="FILE", help="Where the secret half is written.")
def new(name: str, namespaces: tuple[str, ...], private: str | None) -> None:
    """Make a key for the writer NAME: a secret file, and a public one to commit.

    A namespace that ends in /* stands for all below it: pull-request/*.
    """
    for namespace in namespaces:
        if not is_granted(namespace):
            raise UsageError(f"{namespace!r} is no namespace", hint="such as main, pull-request/7 or pull-request/*")
    try:
        key = new_key(name)
    except ValueError as error:
        raise UsageError(str(error)) from None
    secret = os.path.abspath(private or os.path.join(_own_folder(), f"{name}.key"))
    public = os.path.join(_workspace() or os.getcwd(), _FOLDER, f"{name}.pub")
    for path in (secret, public):
        if os.path.lexists(path):
            raise UsageError(f"there is a '{display(path)}' already", hint="give the new key another name")
    _write_secret(secret, key.text())
    write_text(public, key.public(tuple(dict.fromkeys(namespaces))).text())
    click.echo(f"writer   {key.writer}, for {', '.join(namespaces)}")
    click.echo(f"secret   {display(secret)}")
    click.echo(f"public   {display(public)}")
    click.echo(f"next: buildrules cache key trust {display(public)}")
    click.echo(
        "      and give the line in the secret file to who writes: cache.signing_key, {env: NAME} or {file: path}"
    )


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def trust(file: str) -> None:
    """Let records count in this workspace that the key signs whose public FILE this is.

    FILE is copied into the workspace unless it lies there, and named in `cache.public_keys` of its BUILD.yaml.
    """
    root = find_root(os.getcwd())
    key = _public(file)
    path = os.path.abspath(file)
    inside = is_within(path, root)
    if not inside:
        path = os.path.join(root, _FOLDER, f"{key.name}.pub")
        if os.path.lexists(path) and _public(path) != key:
            raise UsageError(
                f"'{display(path)}' is another key of that name", hint="copy the file into the workspace yourself"
            )
    build_file = os.path.join(root, BUILD_FILE)
    before = read_file(build_file).decode()
    after = with_listed(before, display(build_file), _SETTING, os.path.relpath(path, root))
    if after == before:
        click.echo(f"{key.writer} is trusted already")
        return
    if not inside:
        write_text(path, key.text())
    write_text(build_file, after)
    click.echo(f"{key.writer} is trusted for {', '.join(key.namespaces)}: commit {display(path)} and {BUILD_FILE}")


@command.command("list")
def list_() -> None:
    """List the keys that count in this workspace, and those of which the secret half is at hand."""
    root = find_root(os.getcwd())
    named = read_settings(root).cache.public_keys
    own = _own_keys()
    shown = set()
    for name in named:
        key = read_key(root, name)
        shown.add(key.writer)
        at_hand = own.get(key.writer)
        there = f", secret half in {display(at_hand)}" if at_hand else ""
        click.echo(f"{key.writer}  trusted for {', '.join(key.namespaces)}, {name}{there}")
    for writer, path in own.items():
        if writer not in shown:
            click.echo(f"{writer}  not trusted here, secret half in {display(path)}")
    if not named:
        click.echo("no key is trusted here: buildrules cache key trust FILE", err=True)


def _workspace() -> str | None:
    try:
        return find_root(os.getcwd())
    except UsageError:
        return None


def _own_folder() -> str:
    """Where the user's secret halves are (XDG base directory specification)."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(home, "buildrules", _FOLDER)


def _own_keys() -> dict[str, str]:
    """The files of the user's secret halves by writer."""
    found = {}
    folder = _own_folder()
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        key = _private(path) if name.endswith(".key") else None
        if key is not None:
            found[key.writer] = path
    return found


def _private(path: str) -> PrivateKey | None:
    try:
        return read_private(read_file(path).decode())
    except (OSError, ValueError):
        return None


def _public(path: str) -> PublicKey:
    try:
        return read_public(read_file(path))
    except (OSError, ValueError) as error:
        reason = (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"'{display(path)}' is no public key: {reason}", hint="buildrules cache key new NAME makes one"
        ) from None


def _write_secret(path: str, text: str) -> None:
    """A new file that only its owner may read, in a folder of the same kind if it has to be made."""
    mode = stat.S_IRUSR | stat.S_IWUSR
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(handle, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot write '{display(path)}': {reason}", hint="name another with --private") from None
