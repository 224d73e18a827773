"""`buildrules clean`."""

import os
import shutil

import click

from buildrules.snapshot.file import snapshot_path
from buildrules.store.store import Store
from buildrules.workspace.root import find_root


@click.command(short_help="forget what this workspace's builds remembered")
@click.option("--expunge", is_flag=True, help="Remove the whole store, for all workspaces.")
def command(expunge: bool) -> None:
    """Forget the snapshots and explanations of this workspace; the next build looks at everything anew.

    Layers, wheels and packages stay in the store, so that build is still fast.
    """
    store = Store()
    try:
        store.lock(exclusive=True)
        if expunge:
            shutil.rmtree(store.root)
            click.echo(f"removed {store.root}")
            return
        root = find_root(os.getcwd())
        shutil.rmtree(os.path.dirname(snapshot_path(root, [], "")), ignore_errors=True)
        for name in list(store.explanations.keys()):
            if name.startswith(f"{root}\0"):
                store.explanations.delete(name)
        click.echo(f"forgot the builds of {root}")
    finally:
        store.close()
