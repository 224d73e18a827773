"""`buildrules report`."""

import contextlib
import time

import click

from buildrules.cli.options import PatternCommand, config_option, pattern_argument


@click.command(cls=PatternCommand)
@pattern_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    default="report.html",
    show_default=True,
    help="The file; one that ends in .json gets the data alone; - is standard output.",
)
@config_option
def command(patterns: tuple[str, ...], output: str, configurations: tuple[str, ...]) -> None:
    """Write what was built of the targets that the patterns name (all by default) as a page to look at, or as JSON.

    The graph of targets, layers and who shares them, the last build's timeline with its critical path, why each step
    ran, test results, the last push. Nothing is built for it: it shows what the last builds of this workspace left,
    also where they failed. The page is one file that loads nothing.
    """
    from buildrules.cli.harmless import harmless
    from buildrules.cli.kept_targets import targets_of_workspace
    from buildrules.cli.report import size_text
    from buildrules.cli.writing import write_own
    from buildrules.errors import BuildrulesError, UsageError
    from buildrules.report.builds import LastBuilds
    from buildrules.report.data import Report
    from buildrules.report.page import encoded, page
    from buildrules.state.location import identity, state_path, store_root
    from buildrules.state.reader import UNREADABLE, open_state
    from buildrules.workspace.labels import parse_patterns
    from buildrules.workspace.root import here

    began = time.perf_counter()
    root, directory, _ = here()
    words = list(patterns) or ["//..."]
    report = Report(root, parse_patterns(words, directory), words, configurations)
    given = "".join(f" --config {name}" for name in sorted(set(configurations)))
    build = f"{given} {' '.join(words)}"
    wanted = identity(root, configurations)
    state = open_state(state_path(root, wanted), wanted)
    last = LastBuilds(store_root(), root, configurations)
    if state is None and last.build is None:
        raise UsageError(
            f"nothing was built in this workspace{given and f' with{given}'} yet", hint=f"buildrules build{build}"
        )
    if state is not None:
        try:
            report.add_state(state)
        except UNREADABLE as error:
            damaged = "what is known of the last builds is damaged"
            if last.build is None:
                raise UsageError(damaged, hint=f"buildrules build{build}") from error
            click.echo(f"warning: {damaged}: only the last one is shown\n  hint: buildrules build{build}", err=True)
            report = Report(root, parse_patterns(words, directory), words, configurations)
        finally:
            state.close()
    graph = None
    with contextlib.suppress(BuildrulesError):  # then what was built is shown as it was
        graph = targets_of_workspace(root, root + "/", configurations).targets
    data = report.to_dict(last, graph)
    text = encoded(data) + "\n" if output.endswith(".json") else page(data)
    write_own(output, text, '{"schema":' if output.endswith(".json") else "<title>buildrules report</title>")
    nodes = sum(len(data[name]["rows"]) for name in ("targets", "steps", "layers"))
    what = f"{output} ({given.strip()})" if given else output
    shown = f"{nodes} nodes" if nodes else "nothing was built yet, only how the last build failed"
    told = f"{what}: {shown}, {size_text(len(text))} in {time.perf_counter() - began:.2f} s"
    click.echo(harmless(told), err=output == "-")
