"""`buildrules clean`."""

import contextlib
import os

import click

from buildrules.state.location import states_folder
from buildrules.store.blobs import remove
from buildrules.store.shape import PARTS
from buildrules.store.store import Store
from buildrules.workspace.root import find_root


@click.command()
@click.option("--expunge", is_flag=True, help="Remove the whole store, for all workspaces.")
def command(expunge: bool) -> None:
    """Forget the state and the digests of this workspace; the next build reads every file anew.

    Layers, wheels and packages stay in the store, so that build is still fast.
    """
    store = Store()
    try:
        store.lock(exclusive=True)
        if expunge:
            for name in PARTS:
                remove(os.path.join(store.root, name))
            with contextlib.suppress(OSError):  # what is not ours stays
                os.rmdir(store.root)
            click.echo(f"removed the store {store.root}")
            return
        root = find_root(os.getcwd())
        remove(states_folder(root))
        for name in store.table.keys(f"s:{root}/"):
            store.table.delete(name)
        click.echo(f"forgot the builds of {root}")
    finally:
        store.close()
