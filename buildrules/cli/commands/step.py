"""`buildrules step`."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from buildrules.actions.registry import Kinds
    from buildrules.engine.step import Step
    from buildrules.engine.step_file import StepFile
    from buildrules.net.session import Session


@click.command(short_help="run one step that another process wrote to a file")
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="FILE")
def command(file: str) -> int:
    """Run one step of a build, which another process wrote to FILE, and print what it made.

    FILE is JSON: the step (its kind, parameters, files with digests, what it builds upon), and the connections and
    plugins of its workspace, which is that of the current directory. `build --steps DIR` writes such files. What the
    step makes goes to the store; nothing is looked up in records, and none is written. The answer is JSON as well, also
    where the step fails. Both are described in docs/reference/steps.md.
    """
    from buildrules.actions.registry import Kinds
    from buildrules.cli.report import error_text
    from buildrules.engine.events import Event, Notice, Stream
    from buildrules.engine.executor import LocalExecutor
    from buildrules.engine.step_file import StepFile
    from buildrules.engine.unexpected import unexpected
    from buildrules.errors import BuildrulesError
    from buildrules.executors.told import told
    from buildrules.net.session import Session
    from buildrules.store.store import Store
    from buildrules.workspace.root import find_root

    warnings: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            warnings.append(event.message)

    root, session, store = find_root(os.getcwd()), Session(), Store()
    kinds = session.own(Kinds)
    here = LocalExecutor(root, store.blobs, session, kinds, Stream(listen))
    answer: dict[str, Any] = {}
    code = 0
    try:
        with store.locked():
            step = _read(StepFile.read(file), session, kinds, root)
            answer["outputs"] = here.run(step).to_dict()
    except Exception as raised:  # noqa: BLE001 - a kind may be a plugin's, and whoever asked wants an answer
        error = raised if isinstance(raised, BuildrulesError) else unexpected(raised, "the step", root)
        sys.stderr.write(error_text(error) + "\n")
        answer["error"], code = told(error), error.exit_code
    finally:
        session.close()
        store.close()
    answer |= {"bytes": {"read": here.bytes_read, "fetched": here.bytes_fetched}, "warnings": warnings}
    click.echo(json.dumps(answer))
    return code


def _read(found: "StepFile", session: "Session", kinds: "Kinds", root: str) -> "Step":
    """The step of a file, once the session knows the connections, and `kinds` the plugins. Raises UsageError."""
    from buildrules.errors import UsageError
    from buildrules.plugins import import_plugins

    session.connect(found.connections, root)
    import_plugins(root, found.plugins, kinds)
    step = found.step
    version = kinds.version(step.kind)
    if version != step.version:
        raise UsageError(
            f"the step is of {step.kind}/{step.version}, and this buildrules has {step.kind}/{version}",
            hint="use the version of buildrules that wrote it",
        )
    return step
