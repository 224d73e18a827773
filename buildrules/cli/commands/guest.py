"""`buildrules guest`."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from buildrules.cli.options import config_option, platform_option

if TYPE_CHECKING:
    from buildrules.guest.build import Room

_FOLDER = click.Path(exists=True, file_okay=False)


@click.group(short_help="build for another build system, from declared inputs alone")
def command() -> None:
    """Build targets for another build system: from the inputs that it declares, without a store, HOME or network.

    The contract is in docs/reference/guest.md.
    """


@command.command()
@click.argument("labels", nargs=-1, required=True, metavar="LABEL...")
@click.option(
    "--root", default=".", type=_FOLDER, metavar="DIR", help="A folder of the workspace (default: the current one)."
)
@platform_option
@config_option
@click.option("--urls", is_flag=True, help="Ask package indexes where wheels are that locks name without an address.")
def inputs(
    labels: tuple[str, ...], root: str, platform: str | None, configurations: tuple[str, ...], *, urls: bool
) -> None:
    """Print what a host must declare for each target, as JSON: files of the workspace, and content to fetch."""
    from buildrules.guest.inputs import inputs
    from buildrules.workspace.root import find_root

    sys.stdout.write(json.dumps(inputs(find_root(root), labels, platform, configurations, urls=urls), indent=2) + "\n")


@command.command()
@click.argument("label", metavar="LABEL")
@click.option("--root", required=True, type=_FOLDER, metavar="DIR", help="The root of the workspace.")
@click.option(
    "--inputs",
    "declared",
    required=True,
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="What may be read: a line each, PATH of the workspace or 'sha256:HEX  PATH' of content.",
)
@click.option("--out", required=True, type=click.Path(file_okay=False), metavar="DIR", help="Where the result goes.")
@click.option("--offline", is_flag=True, help="Open no connection.")
@click.option("--layout", is_flag=True, help="Write the image as well, as an OCI layout.")
@platform_option
@config_option
@click.option("--below", multiple=True, type=_FOLDER, metavar="DIR", help="Where links may lead; several.")
@click.option("--depfile", type=click.Path(dir_okay=False), metavar="FILE", help="Write what was read, for make.")
def build(declared: str, **options: Any) -> int:
    """Build one package from declared inputs; write its digest and descriptor, and with --layout the image."""
    from buildrules.guest.build import Request, room_for

    request = Request(inputs=declared, **options)

    def perform() -> list[str]:
        with room_for(request) as room:
            return room.build(request).notices

    _end_gently()
    code, output = _told(perform)
    sys.stderr.write(output)
    return code


@command.command()
@click.option("--persistent_worker", is_flag=True, hidden=True)
def worker(persistent_worker: bool) -> None:  # noqa: ARG001 - Bazel adds it
    """Build many packages in one process: a request of JSON on each line, as Bazel sends it to its workers."""
    from buildrules.guest.build import Room
    from buildrules.guest.worker import Worker

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints must not speak in the protocol
    _end_gently()
    requests = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
    with Room(many=True) as room:
        Worker(room, _perform, answers).serve(requests)


_CHILD = "import sys; sys.path[:] = {path!r}; from buildrules.__main__ import main; sys.exit(main())"


def _perform(words: object, room: "Room") -> tuple[int, str]:
    """What `build` does with these arguments, in the worker's room."""
    from buildrules.cli.report import error_text
    from buildrules.errors import Interrupted, UsageError
    from buildrules.guest.build import NeedsProcess, Request
    from buildrules.guest.worker import arguments_of

    try:
        words = arguments_of(words)
        context = build.make_context("build", list(words))
    except UsageError as error:
        return 2, f"{error_text(error)}\n"
    except (click.ClickException, click.exceptions.Exit) as error:
        asked = "the arguments ask for help, and not for a build"
        return 2, f"error: {error.format_message() if isinstance(error, click.ClickException) else asked}\n"
    except OSError as error:
        return 2, f"error: cannot read '{error.filename}': {(error.strerror or str(error)).lower()}\n"
    request = Request(inputs=context.params.pop("declared"), **context.params)
    try:
        code, said = _told(lambda: room.build(request).notices)
        if code == Interrupted.exit_code:
            raise KeyboardInterrupt  # the worker's end as well
        return code, said
    except NeedsProcess:
        # as this process was started, which has no code from the working directory and perhaps no site folder
        flags = ["-I" if sys.flags.isolated else "-P", *["-S"] * sys.flags.no_site, *["-B"] * sys.dont_write_bytecode]
        command = [sys.executable, *flags, "-c", _CHILD.format(path=sys.path), "guest", "build", *words]
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        with subprocess.Popen(command, stdin=null, stdout=null, stderr=pipe, text=True, errors="replace") as child:
            room.stop = child.terminate
            try:
                said = child.communicate()[1]
                return child.returncode, said
            except BaseException:
                child.terminate()  # and not killed: what is private is removed
                raise
            finally:
                room.stop = None


def _told(perform: Callable[[], list[str]]) -> tuple[int, str]:
    """The exit code of a build, and what there is to say."""
    from buildrules.cli.report import error_text
    from buildrules.engine.unexpected import unexpected
    from buildrules.errors import BuildrulesError, Interrupted
    from buildrules.guest.build import NeedsProcess

    try:
        return 0, "".join(f"{line}\n" for line in perform())
    except (KeyboardInterrupt, Interrupted):  # nothing is kept, as its hint would say
        return Interrupted.exit_code, "error: interrupted\n"
    except BuildrulesError as error:
        return error.exit_code, f"{error_text(error)}\n"
    except NeedsProcess:
        raise
    except Exception as raised:  # noqa: BLE001 - a worker goes on, and there is no log elsewhere
        bug = unexpected(raised, "the build", "")
        return bug.exit_code, f"{error_text(bug)}\n{bug.traceback}"


def _end_gently() -> None:
    """Let SIGTERM end as Ctrl-C does: what is private is removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
