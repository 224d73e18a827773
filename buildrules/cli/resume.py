"""Goes on from the state of a workspace: the verbs that build, without parsing the command line again."""

from collections.abc import Sequence

from buildrules.cli.request import Request
from buildrules.cli.verbs import perform
from buildrules.state.reader import Damaged, State
from buildrules.state.reader import Request as Known


def resume(
    root: str, directory: str, argv: list[str], words: Sequence[str], state: State, known: Known, groups: list[int]
) -> int:
    """Perform the request that the state keeps as `known`, now that `groups` of rows differ; returns the exit code."""
    try:
        request = Request.from_data(state.rest(known)["request"])
    except Damaged:
        request = None
    if request is None or request.option("package"):  # what an Azure ML file stands for may have moved elsewhere
        from buildrules.cli.main import run

        return run(argv)
    return perform(root, directory, words, request, state, known, groups)
