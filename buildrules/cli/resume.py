"""Goes on from a snapshot: the verbs that build, without parsing the command line again."""

from buildrules.cli.request import Request
from buildrules.cli.verbs import perform
from buildrules.snapshot.file import Snapshot


def resume(root: str, directory: str, argv: list[str], snapshot: Snapshot) -> int:
    """Perform the request that `snapshot` keeps; returns the exit code."""
    body = snapshot.body()
    request = None if body is None else Request.from_data(body["request"])
    if request is None or request.option("package"):  # what an Azure ML file stands for may have moved elsewhere
        from buildrules.cli.main import run

        return run(argv)
    return perform(root, directory, argv, request, snapshot)
