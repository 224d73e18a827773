"""`buildrules worker`."""

import click


@click.command(short_help="run a task that an execution engine has laid out in a folder")
@click.argument("folder", type=click.Path(exists=True, file_okay=False), metavar="FOLDER")
def command(folder: str) -> int:
    """Run the task in FOLDER, which an engine of remote execution has laid out there, and write the answer to it.

    In FOLDER are `task.json`, the files of its workspace below `workspace`, and its content as a store below `store`.
    The step runs in this process. `answer.json` and the content that was made, below `out`, are written there; the
    exit code is 0 where the step did what it should. `build --executor` sends such tasks: see
    docs/how-to/run-steps-elsewhere.md.
    """
    from buildrules.actions.registry import Kinds
    from buildrules.executors.worker import run_folder
    from buildrules.net.session import Session

    session = Session()
    try:
        return run_folder(folder, session, session.own(Kinds))
    finally:
        session.close()
