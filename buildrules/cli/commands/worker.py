"""`buildrules worker`."""

import click


@click.command(short_help="run tasks of an execution engine")
@click.argument("folder", type=click.Path(exists=True, file_okay=False), metavar="[FOLDER]", required=False)
@click.option(
    "--room",
    default=50.0,
    envvar="BUILDRULES_WORKER_ROOM",
    metavar="GB",
    help="Without FOLDER: what the store may hold, in gigabytes. BUILDRULES_WORKER_ROOM says it too.",
)
def command(folder: str | None, room: float) -> int:
    """Run the task in FOLDER, which an engine of remote execution has laid out there, and write the answer to it.

    In FOLDER are `task.json`, the files of its workspace below `workspace`, and its content as a store below `store`.
    The step runs in this process. `answer.json` and the content that was made, below `out`, are written there; the
    exit code is 0 where the step did what it should. `build --executor` sends such tasks: see
    docs/how-to/run-steps-elsewhere.md.

    Without FOLDER, read tasks from standard input, one a line, and answer each on standard output, until the input
    ends. Content comes from the shared cache that BUILDRULES_CACHE or the workspace here names, and goes there; answers
    are signed with the key in the file BUILDRULES_SIGNING_KEY, or by `cache.signing_key`. A Dask worker starts it.
    """
    import os

    from buildrules.actions.registry import Kinds
    from buildrules.cli.errand import Errand
    from buildrules.cli.sharing import settings_of
    from buildrules.credentials.secret import Secrets
    from buildrules.executors.serve import Server
    from buildrules.executors.worker import run_folder
    from buildrules.net.session import Session
    from buildrules.workspace.trust import open_signer

    if folder is not None:
        session = Session()
        try:
            return run_folder(folder, session, session.own(Kinds))
        finally:
            session.close()
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever else is said
    with Errand(quiet=True) as errand:
        cache = errand.settings.shared_cache() if errand.settings is not None else {}
        if file := os.environ.get("BUILDRULES_SIGNING_KEY"):
            cache["signing_key"] = {"file": os.path.abspath(file)}
        signer = open_signer(cache, Secrets(errand.workspace), errand.workspace)
        caches = settings_of(cache).get("remote", [])
        kinds = errand.session.own(Kinds)
        server = Server(caches, cache.get("connection"), errand.session, kinds, signer)
        server.serve(0, answers, int(room * 1e9))
    return 0
