"""Options that several commands share."""

from functools import partial

import click

from buildrules.cli.azureml import package_options
from buildrules.cli.groups import BUILDING, F, GroupedCommand, GroupedOption, grouped, together

_LEFT_OUT = "\0"  # stands for the minus of a pattern while click looks for options


class PatternCommand(GroupedCommand):
    """A command whose patterns may begin with a minus, as in `-//models:old`, without `--` before them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hide the minus of patterns from click."""
        return super().parse_args(ctx, [_LEFT_OUT + arg[1:] if arg.startswith(("-//", "-:")) else arg for arg in args])


class NeedsPatterns(PatternCommand):
    """A command that wants patterns, unless --package names a file instead, or its parameter `optional` is set."""

    optional = "package"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say how to name all targets where none is named."""
        typed = list(args)
        try:
            left = super().parse_args(ctx, args)
            if not ctx.params["patterns"] and not ctx.params["package"] and not ctx.params[self.optional]:
                if not ctx.params.get("rerun_failed"):
                    raise click.MissingParameter
                ctx.params["patterns"] = ("//...",)
            return left
        except click.MissingParameter as error:
            import shlex

            verb, line = self.name, shlex.join([str(self.name), "//...", *typed])
            ending = "es" if str(verb).endswith(("sh", "ch")) else "" if str(verb).endswith("s") else "s"
            message = f"no targets given; 'buildrules {line}' {verb}{ending} them all"
            raise click.UsageError(message, ctx) from error


def restored(pattern: str) -> str:
    """A pattern as it was given."""
    return "-" + pattern[1:] if pattern.startswith(_LEFT_OUT) else pattern


def pattern_argument(function: F) -> F:
    """The argument `patterns` of a `PatternCommand`."""

    def restore(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(restored, values))

    return click.argument("patterns", nargs=-1, metavar="[PATTERN]...", callback=restore)(function)


tag_option = click.option(
    "--tag", "with_tags", multiple=True, metavar="[-]TAG", help="Only targets with this tag; with a minus, without it."
)
"""Of a command with patterns; several times for one of several tags."""

label_argument = click.argument("label", required=False)
"""Not needed where --package names a file instead."""


_FILE = click.Path(dir_okay=False)
_option = partial(grouped, BUILDING)

_config = partial(
    click.option,
    "--config",
    "configurations",
    multiple=True,
    metavar="NAME",
    help="A configuration of the workspace that holds, for `select` in targets; may be given again.",
)
config_option = _config()
"""Of a command that builds nothing: it stands among its own."""

platform_option = click.option("--platform", metavar="OS/ARCH", help="For this platform instead of the workspace's.")
"""Of such a command."""

_jobs = together(
    _option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        metavar="NUMBER",
        help="Actions at once (default: cores, at least 4).",
    ),
    _option("-k", "--keep-going", is_flag=True, help="After a failure go on with what does not need it."),
    _option("--platform", metavar="OS/ARCH", help="Build for this platform instead of the workspace's."),
    _config(cls=GroupedOption, group=BUILDING),
    _option("--locked", is_flag=True, help="Fail where a lock is missing or stale instead of writing it."),
    _option("--no-remote", is_flag=True, help="Leave the shared cache out."),
    _option("--executor", metavar="URL", help="Run steps on other machines: grpc(s)://, dask+tls://; local is here."),
    _option("-q", "--quiet", is_flag=True, help="Show no progress."),
    _option(
        "--progress",
        type=click.Choice(["auto", "plain", "json"]),
        default="auto",
        help="How to show it: bars on a terminal (auto), lines, or events as lines of JSON.",
    ),
    _option("--events", type=_FILE, help="Write what happens to a file, as lines of JSON; - is standard output."),
    _option("--profile", type=_FILE, help="Write a profile of the steps for Perfetto or chrome://tracing."),
)
_VERBOSE = "Show every action and every layer."

building = together(_jobs, _option("-v", "--verbose", is_flag=True, help=_VERBOSE), package_options)
"""The options of every command that builds; those for files of Azure ML among them."""
building_labels = together(_jobs, _option("-v", "--verbose", is_flag=True, help=_VERBOSE))
"""The same of commands that take labels among others, and no file of Azure ML."""
building_to_run = together(_jobs, _option("--verbose", is_flag=True, help=_VERBOSE), package_options)
"""The same of the command whose -v stands for volumes, as that of `docker run`."""


def _checked_gpus(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from buildrules.serving.given import Gpus

    if value is not None:
        Gpus.parse(value)
    return value


explain_option = click.option(
    "--explain-executor", is_flag=True, help="Say at the end which steps ran where, why, and what that cost."
)

gpus_option = click.option(
    "--gpus", metavar="all|NUMBER|device=IDS", callback=_checked_gpus, help="GPUs that the container gets."
)
