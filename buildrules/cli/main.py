"""The command line by click: options, help, errors. The verbs themselves are in files of their own."""

import importlib
import os
import sys
from typing import Any

import click

from buildrules import __version__
from buildrules.cli.request import Request
from buildrules.cli.table import VERBS, module_of
from buildrules.errors import BuildrulesError


class _Verbs(click.Group):
    """Imports a verb's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"buildrules.cli.commands.{module_of(cmd_name)}")
        command: click.Command = module.command
        command.name = cmd_name
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """As of any group; click would end without a word where a server or a program breaks a connection."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # not of our output, which raises UnheardError
            from buildrules.cli.crash import logged

            raise logged(error) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS:
            from difflib import get_close_matches

            close = get_close_matches(name, VERBS, n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            ctx.fail(f"no command '{name}'{meant}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="buildrules")
@click.option(
    "-C", "directory", type=click.Path(exists=True, file_okay=False), help="Work as if started in this directory."
)
def cli(directory: str | None) -> None:
    """Package machine-learning models as OCI images, and rebuild only what changed."""
    if directory:
        os.chdir(directory)


def run(argv: list[str]) -> int:
    """Run a command line; returns the exit code."""
    try:
        name = os.path.basename(sys.argv[0])
        prog = "docker buildrules" if name == "docker-buildrules" else "buildrules"
        value: Any = cli.main(args=argv, prog_name=prog, standalone_mode=False, obj=argv)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("error: interrupted\n")
        return 130
    except BuildrulesError as error:
        from buildrules.cli.crash import say

        return say(error, argv)
    return value if isinstance(value, int) else 0


def perform_request(verb: str, named: tuple[str | None, ...], options: dict[str, Any]) -> int:
    """Perform a verb that builds, in the workspace of the current directory; returns the exit code."""
    from buildrules.cli.azureml import place_of
    from buildrules.cli.verbs import start

    if VERBS[verb].here:
        from buildrules.serving.platform import host_platform

        options["host_platform"] = host_platform()
    wanted = [pattern for pattern in named if pattern is not None]
    argv = list(click.get_current_context().obj or [verb, *wanted])
    if not wanted and not options["package"]:
        raise click.MissingParameter(param_hint="'LABEL'", param_type="argument")
    root, directory, patterns = place_of(wanted, options)
    if options["package"]:
        argv.append(os.getcwd())  # its paths are relative to that
    return start(root, directory, argv, Request(verb, patterns, options))
