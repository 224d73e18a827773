"""The last line of defence: what nobody caught becomes one error, and its traceback goes into a log."""

import contextlib
import json
import os
import sys
from itertools import pairwise

from buildrules.cli.buildlog import BuildLog
from buildrules.cli.hints import hint_at
from buildrules.cli.report import error_json, error_text
from buildrules.engine.unexpected import unexpected
from buildrules.errors import BuildrulesError, UnexpectedError, UnheardError, UsageError
from buildrules.state.location import configurations, store_root

CLOSED = 128 + 13  # what a shell says of a program that SIGPIPE ended


def last_words(error: BaseException, argv: list[str]) -> int:
    """Say what ended the command line `argv`; returns the exit code. With --verbose the traceback is shown as well."""
    if isinstance(error, UnheardError):
        if not error.closed:
            _write(f"error: cannot write the output: {error.reason}\n  hint: free some space, or write it elsewhere\n")
        return CLOSED if error.closed else 1
    assert isinstance(error, Exception)
    found = logged(error)
    with contextlib.suppress(OSError):
        say(found, argv)
    return found.exit_code


def show_traceback(error: BuildrulesError) -> None:
    """Print the traceback of a bug."""
    if isinstance(error, UnexpectedError):
        _write(error.traceback)


def say(error: BuildrulesError, argv: list[str]) -> int:
    """Print an error, as JSON as well where `argv` asks for it; returns the exit code."""
    hint_at(error, configurations(argv))
    if "--verbose" in argv or "-v" in argv:
        show_traceback(error)
    if "--progress=json" in argv or ("--progress", "json") in pairwise(argv):
        from buildrules.cli.event_rows import error_lines

        sys.stderr.write("".join(f"{line}\n" for line in error_lines(error)))
    else:
        sys.stderr.write(error_text(error) + "\n")
    if "--json" in argv or "--output=json" in argv or ("json" in argv and argv[0] in ("query", "affected")):
        sys.stdout.write(json.dumps({"errors": [error_json(item) for item in error.each]}, indent=2) + "\n")
        sys.stdout.flush()
    return error.exit_code


def logged(error: Exception) -> BuildrulesError:
    """The error as one for people, where there is no build whose log could hold its traceback: it gets a log."""
    return foreseen(error, "", BuildLog(store_root()))


def foreseen(error: Exception, root: str, log: BuildLog) -> BuildrulesError:
    """The error as one for people: as it is, or one whose traceback `log` holds, which is ended then."""
    if isinstance(error, BuildrulesError):
        return error
    if isinstance(error, FileNotFoundError) and error.filename is None and not _somewhere():
        return UsageError("the current directory does not exist any more", hint="change into one that does")
    found = unexpected(error, "buildrules", root)
    if isinstance(error, OSError):  # hardly a bug: a disk, a network, a permission
        where = f": {error.filename!r}" if error.filename else ""
        from buildrules.credentials.redact import scrub

        found = UnexpectedError(scrub((error.strerror or str(error)).lower() + where), found.traceback)
    log.add(found.traceback)
    log.end(ok=False, text=f"error: {found.message}")
    bug = "" if isinstance(error, OSError) else "this is a bug of buildrules or of a plugin; "
    place = f"is in {log.path}" if os.path.exists(log.path) else "is shown with --verbose"
    found.hint = f"{bug}the traceback {place}"
    return found


def _somewhere() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
