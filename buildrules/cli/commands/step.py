"""`buildrules step`."""

import json
import os

import click


@click.command(short_help="run one step that another process wrote to a file")
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="FILE")
def command(file: str) -> None:
    """Run one step of a build, which another process wrote to FILE, and print what it made.

    FILE is JSON: the step (its kind, parameters, files with digests, what it builds upon), and the connections and
    plugins of its workspace, which is that of the current directory. What it makes goes to the store; nothing is
    looked up in records, and none is written.
    """
    from buildrules.actions.registry import Kinds
    from buildrules.cli.plugins import import_plugins
    from buildrules.engine.events import Stream
    from buildrules.engine.executor import Here
    from buildrules.engine.step import Step
    from buildrules.errors import UsageError
    from buildrules.net.session import Session
    from buildrules.store.store import Store
    from buildrules.workspace.root import find_root

    root = find_root(os.getcwd())
    try:
        with open(file, encoding="utf-8") as opened:
            data = json.load(opened)
        step, connections, plugins = Step.from_dict(data["step"]), list(data["connections"]), list(data["plugins"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"'{file}' is no step: {error!r}", hint="it is written by a program, not by hand") from None
    session = Session()
    session.connect(connections, root)
    kinds = session.own(Kinds)
    import_plugins(root, plugins, kinds)
    version = kinds.version(step.kind)
    if version != step.version:
        raise UsageError(
            f"the step is of {step.kind}/{step.version}, and this buildrules has {step.kind}/{version}",
            hint="use the version of buildrules that wrote it",
        )
    store = Store()
    with store.locked():
        made = Here(root, store.blobs, session, kinds.named, Stream()).run(step)
    click.echo(json.dumps(made.to_dict()))
