"""`buildrules watch`."""

from typing import Any

import click

from buildrules.cli.options import NeedsPatterns, building, pattern_argument, restored


@click.command(cls=NeedsPatterns)
@pattern_argument
@click.option("--run", "then", flag_value="run", help="Run the package, and start it anew with each build.")
@click.option("--test", "then", flag_value="test", help="Test what was built.")
@building
def command(patterns: tuple[str, ...], then: str | None, package: str | None, **_options: Any) -> int:
    """Build targets, and again whenever something changes that they are made of. Ctrl-C ends it.

    A save that changes nothing is passed over in silence; after an error the next save is another try.
    """
    from buildrules.cli.watch import Watch
    from buildrules.errors import UsageError
    from buildrules.workspace.root import here

    if package:
        raise UsageError("a file of Azure ML is not watched", hint="buildrules import azureml makes targets of it")
    if then == "run" and len(patterns) != 1:
        raise UsageError("only one package can be run", hint=f"buildrules watch --run {patterns[0]}")
    root, directory, _ = here()
    argv: list[str] = click.get_current_context().obj
    words = [word for word in argv[argv.index("watch") + 1 :] if word not in ("--run", "--test")]
    try:
        return Watch(root, directory, tuple(restored(one) for one in patterns), tuple(words), then).go()
    except KeyboardInterrupt:
        return 0
