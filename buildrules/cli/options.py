"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_LEFT_OUT = "\0"  # stands for the minus of a pattern while click looks for options


class PatternCommand(click.Command):
    """A command whose patterns may begin with a minus, as in `-//models:old`, without `--` before them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hide the minus of patterns from click."""
        return super().parse_args(ctx, [_LEFT_OUT + arg[1:] if arg.startswith(("-//", "-:")) else arg for arg in args])


class NeedsPatterns(PatternCommand):
    """A command that wants patterns, unless --package names a file instead."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say how to name all targets where none is named."""
        try:
            left = super().parse_args(ctx, args)
            if not ctx.params["patterns"] and not ctx.params["package"]:
                raise click.MissingParameter
            return left
        except click.MissingParameter as error:
            verb = self.name
            message = f"no targets given; 'buildrules {verb} //...' {verb}s them all"
            raise click.UsageError(message, ctx) from error


def pattern_argument(function: F) -> F:
    """The argument `patterns` of a `PatternCommand`."""

    def restore(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple("-" + value[1:] if value.startswith(_LEFT_OUT) else value for value in values)

    return click.argument("patterns", nargs=-1, metavar="[PATTERN]...", callback=restore)(function)


def label_argument(function: F) -> F:
    """The argument `label`; not needed where --package names a file instead."""
    return click.argument("label", required=False)(function)


def building(function: F) -> F:
    """The options of every command that builds; those for files of Azure ML among them."""
    from buildrules.cli.azureml import package_options

    function = package_options(function)
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
