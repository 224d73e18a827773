"""`buildrules test`."""

import json
from typing import Any

import click

from buildrules.cli.main import perform_request
from buildrules.cli.options import NeedsPatterns, building, explain_option, gpus_option, pattern_argument, tag_option
from buildrules.cli.request import Request
from buildrules.errors import UsageError
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
@click.option("--affected", is_flag=True, help="Only what a change touches since --since, or since the last commit.")
@click.option("--since", metavar="REV", help="A revision of git, for --affected, see there; implies it.")
@click.option("--shards", metavar="I/N", help="Only the I-th of N parts, which are the same on every machine.")
@click.option(
    "--timings",
    multiple=True,
    type=click.Path(dir_okay=False),
    help="What an earlier test --json printed: parts take about as long by it; may be given again.",
)
@click.option("--rerun-failed", is_flag=True, help="Only what failed when it was last run here.")
@explain_option
@click.option("--json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--junit", type=click.Path(dir_okay=False), help="Write the results as JUnit XML as well.")
def command(patterns: tuple[str, ...], **options: Any) -> int:
    """Start packages, send their requests, compare the answers, and check that they stop.

    A package is tested with its own `sample_request`, with the example of an MLflow model, and by the package_test
    targets that name it. What passed is not tested again while nothing in it changes. Packages run in Docker where it
    answers, else in Podman, else directly from their root file system in namespaces of their own.
    """
    timings = options.pop("timings")
    given = {name: options.pop(name) for name in ("affected", "since", "shards", "rerun_failed")}
    options.update(test=True, keep_going=True)
    if timings and not given["shards"]:
        raise UsageError("--timings are for --shards", hint="name a part: --shards 1/4")
    if not any(given.values()):
        return perform_request("test", patterns, options)
    if options["package"]:
        option = next(name for name, value in given.items() if value).replace("_", "-")
        raise UsageError(f"--{option} and --package exclude each other", hint="the targets of a workspace have tests")
    from buildrules.cli.azureml import place_of
    from buildrules.cli.chosen_tests import chosen, shard_of
    from buildrules.cli.verbs import start

    root, directory, named = place_of(list(patterns), options)
    since = given["since"] or ("HEAD" if given["affected"] else None)
    shard = shard_of(given["shards"]) if given["shards"] else None
    plans = {name: options[name] for name in ("configurations", "platform")}
    found = chosen(
        root, directory, named, since=since, failed=given["rerun_failed"], shard=shard, timings=timings, **plans
    )
    if not found.labels:
        return _nothing(found.why, options)
    words = ["test", *map(str, click.get_current_context().obj or ()), *found.labels]
    return start(root, "", words, Request("test", found.labels, {**options, "goals": found.labels}))


def _nothing(what: str, options: dict[str, Any]) -> int:
    from buildrules.cli.test import write_junit

    if options["junit"]:
        write_junit(str(options["junit"]), [])
    click.echo(json.dumps({"tests": [], "seconds": 0.0}, indent=2) if options["json"] else f"no {what}")
    return 0
