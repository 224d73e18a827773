"""`buildrules doctor`."""

import json
import os
from collections.abc import Iterator

import click

from buildrules.cli.doctor import machine, surroundings
from buildrules.cli.doctor.finding import BROKEN, GOOD, LACKING, Finding, failed
from buildrules.errors import BuildrulesError, UsageError
from buildrules.net.session import Session

_MARKS = {GOOD: "ok", LACKING: "note", BROKEN: "BROKEN"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(as_json: bool) -> int:
    """Look at this machine and this workspace: what works, what is missing, and how to get it.

    Asks the engines, the shared cache, the executor and the registry whether they answer; builds and writes nothing.
    The exit code is 1 where something is broken that a build needs or that the workspace asks for.
    """
    found = []
    for finding in _findings():
        found.append(finding)
        if not as_json:
            remedy = f"\n        {finding.remedy}" if finding.remedy else ""
            click.echo(f"{_MARKS[finding.state]:<7} {finding.about}: {finding.text}{remedy}")
    if as_json:
        click.echo(json.dumps({"findings": [finding._asdict() for finding in found]}, indent=2))
    return int(any(finding.state == BROKEN for finding in found))


def _findings() -> Iterator[Finding]:
    yield from machine.program()
    yield from machine.store()
    yield from machine.programs()
    yield from machine.engines()
    yield from machine.kernel()
    session = Session()
    try:
        yield from _of_workspace(session)
        yield from surroundings.certificates(session)
    finally:
        session.close()


def _of_workspace(session: Session) -> Iterator[Finding]:
    from buildrules.workspace.loader import read_settings
    from buildrules.workspace.root import find_root

    try:
        root = find_root(os.getcwd())
    except UsageError:
        return  # nothing else can be asked here
    yield from surroundings.neighbours(root)
    yield from surroundings.targets(root)
    try:
        settings = read_settings(root)
        session.connect(settings.rows(), root)
    except BuildrulesError as error:
        yield failed("workspace", error)
        return
    yield from surroundings.connections(settings, session)
    yield from surroundings.cache(root, settings, session)
    yield from surroundings.executor(root, settings, session)
