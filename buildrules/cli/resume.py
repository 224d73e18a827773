"""Goes on from a snapshot: the verbs that build, without parsing the command line again."""

from typing import Any

from buildrules.cli.request import Request
from buildrules.cli.verbs import perform
from buildrules.snapshot.file import Snapshot


def resume(root: str, directory: str, argv: list[str], snapshot: Snapshot) -> int:
    """Perform the request that `snapshot` keeps; returns the exit code."""
    body: dict[str, Any] = snapshot.body()
    return perform(root, directory, argv, Request.from_data(body["request"]), snapshot)
