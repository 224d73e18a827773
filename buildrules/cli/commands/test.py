"""`buildrules test`."""

from typing import Any

import click

from buildrules.cli.main import perform_request
from buildrules.cli.options import NeedsPatterns, building, gpus_option, pattern_argument, tag_option
from buildrules.serving import RUNNERS


@click.command(name="test", cls=NeedsPatterns)
@pattern_argument
@tag_option
@building
@click.option(
    "--runner", type=click.Choice(RUNNERS), help="What packages are run by; what passed by another is not run again."
)
@gpus_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Seconds until ready, instead of each test's own.",
)
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--junit", type=click.Path(dir_okay=False), help="Write the results as JUnit XML as well.")
def command(patterns: tuple[str, ...], **options: Any) -> int:
    """Start packages, send their requests, compare the answers, and check that they stop.

    A package is tested with its own `sample_request`, with the example of an MLflow model, and by the package_test
    targets that name it. What passed is not tested again while nothing in it changes. Packages run in Docker where it
    answers, else in Podman, else directly from their root file system in namespaces of their own.
    """
    return perform_request("test", patterns, {**options, "test": True, "keep_going": True})
