"""`buildrules worker`."""

import click


@click.command(short_help="run tasks of an execution engine, one after the other")
@click.option(
    "--room",
    default=50.0,
    envvar="BUILDRULES_WORKER_ROOM",
    metavar="GB",
    help="What the store may hold, in gigabytes. BUILDRULES_WORKER_ROOM says it too.",
)
def command(room: float) -> int:
    """Read tasks from standard input, one a line, and answer each on standard output, until the input ends.

    Content comes from the shared cache that BUILDRULES_CACHE or the workspace here names, and goes there; answers are
    signed with the key in the file BUILDRULES_SIGNING_KEY, or by `cache.signing_key`. A Dask worker starts it: see
    docs/how-to/dask.md.
    """
    import os

    from buildrules.actions.registry import Kinds
    from buildrules.cli.errand import Errand
    from buildrules.cli.sharing import settings_of
    from buildrules.credentials.secret import Secrets
    from buildrules.executors.serve import Server
    from buildrules.workspace.trust import open_signer

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
