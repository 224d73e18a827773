"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def building(function: F) -> F:
    """The options of every command that builds."""
    for option in reversed(
        (
            click.option(
                "-j", "--jobs", type=click.IntRange(min=1), help="Actions at once (default: cores, at least 4)."
            ),
            click.option("-k", "--keep-going", is_flag=True, help="After a failure go on with what does not need it."),
            click.option("--platform", metavar="OS/ARCH", help="Build for this platform instead of the workspace's."),
            click.option("--locked", is_flag=True, help="Fail where a lock is missing or stale instead of writing it."),
            click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
            click.option("-v", "--verbose", is_flag=True, help="Show every action and every layer."),
        )
    ):
        function = option(function)
    return function
