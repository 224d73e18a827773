"""Options that belong together, and commands whose help shows them together."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

BUILDING = "Building"
AZUREML = "Files of Azure ML"


class GroupedOption(click.Option):
    """An option that help shows below the heading `group`."""

    def __init__(self, *args: Any, group: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self.group = group


def grouped(group: str, *names: str, **more: Any) -> Callable[[F], F]:
    """`click.option` for an option that help shows below the heading `group`."""
    return click.option(*names, cls=GroupedOption, group=group, **more)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several decorators as one; help lists them in this order."""

    def decorate(function: F) -> F:
        for one in reversed(options):
            function = one(function)
        return function

    return decorate


class GroupedCommand(click.Command):
    """A command with options in groups: its own first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As of any command, by group."""
        for heading, options in option_groups(self, ctx).items():
            rows = [row for option in options if (row := option.get_help_record(ctx)) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def option_groups(command: click.Command, ctx: click.Context) -> dict[str, list[click.Option]]:
    """The options of a command by the heading they stand under; "Options" are its own."""
    groups: dict[str, list[click.Option]] = {"Options": []}
    for option in command.get_params(ctx):
        if isinstance(option, click.Option) and not option.hidden:
            group = option.group if isinstance(option, GroupedOption) else "Options"
            groups.setdefault(group, []).append(option)
    return groups
