"""The verbs that build first: build, load, export, run, test. Each is handed the built results."""

import importlib
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from buildrules.cli.crash import foreseen, show_traceback
from buildrules.cli.findings import finding_text, fresh_findings
from buildrules.cli.invocation import Invocation, executed, failures
from buildrules.cli.report import (
    error_text,
    json_failure,
    json_frame,
    json_piece,
    json_report,
    text_frame,
    text_piece,
    text_report,
)
from buildrules.cli.request import Request
from buildrules.cli.table import VERBS
from buildrules.engine.result import GoalResult, counts
from buildrules.errors import BuildrulesError, Interrupted, UsageError
from buildrules.state.location import identity, state_path
from buildrules.state.reader import Damaged, State, open_state
from buildrules.state.reader import Request as Known

if TYPE_CHECKING:
    from buildrules.cli.trace import Trace


def start(root: str, directory: str, argv: list[str], request: Request) -> int:
    """Perform a request that click has just parsed; returns the exit code."""
    words = (directory, *argv)
    wanted = identity(root)
    state = open_state(state_path(root, wanted), wanted)
    known = groups = None
    if state is not None:
        try:
            known = state.request(words)
            groups = None if known is None else state.changed(known, root + "/")
        except Damaged:
            state = known = None
    return perform(root, directory, words, request, state, known, groups)


def perform(
    root: str,
    directory: str,
    words: Sequence[str],
    request: Request,
    state: State | None,
    known: Known | None,
    groups: list[int] | None,
) -> int:
    """Build, report, and do what the verb does with the results; returns the exit code.

    `known` is what the state of the workspace knows of the command line `words`, and `groups` which rows differ.
    """
    began = time.perf_counter()
    log: dict[str, str] = {}
    try:
        invocation = Invocation(root, directory, words, request)
        try:
            invocation.prepare(state, known, groups)
            return _perform(invocation, began)
        except Exception as raised:
            error = foreseen(raised, root, invocation.log)
            if invocation.log.state == "Running":
                invocation.log.end(ok=False, text=error_text(error))
            log = invocation.log.to_dict()
            if error is raised:
                raise
            raise error from raised
        finally:
            invocation.console.close()
            invocation.session.close()
            invocation.store.close()
            if state is not None:
                state.close()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n  hint: what was finished is kept; the same command goes on from there\n")
        return _leave(130)
    except BuildrulesError as error:
        if request.option("verbose"):
            show_traceback(error)
        sys.stderr.write(error_text(error) + "\n")
        if request.option("json"):
            sys.stdout.write(json_failure(error, time.perf_counter() - began, log))
        return _leave(130) if isinstance(error, Interrupted) else error.exit_code


def _leave(code: int) -> int:
    """End now if a thread hangs in a transfer: the interpreter would wait for the pools of threads at its exit."""
    import threading

    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        os._exit(code)
    return code


def _perform(invocation: Invocation, began: float) -> int:
    request = invocation.request
    path = request.option("trace")
    trace = _traced(invocation) if path else None
    build = invocation.build()
    if trace is not None:
        _write_trace(trace, str(path))
    seconds = time.perf_counter() - began
    if request.verb == "test":
        from buildrules.cli.test import finish

        return finish(invocation, build, seconds)
    findings = fresh_findings(invocation)
    if request.verb == "lint":
        from buildrules.cli.lint import finish as finish_lint

        return finish_lint(invocation, build, findings)
    results = invocation.report_rows()
    as_json = bool(request.option("json"))
    told = invocation.results if as_json else results
    report = text_report(told, build, seconds, verbose=bool(request.option("verbose")))
    invocation.log.end(ok=build.ok, text="\n".join([report, *(error_text(error) for error in failures(build))]))
    log = invocation.log.to_dict()
    if request.option("json") and request.verb == "build":
        sys.stdout.write(json_report(results, build, seconds, log, findings))
    elif request.verb == "build" or executed(build) or not build.ok:
        (sys.stdout if request.verb == "build" else sys.stderr).write(report)
    if findings and not request.option("json"):
        sys.stdout.flush()
        sys.stderr.write("".join(finding_text(finding, aside=True) + "\n" for finding in findings))
    if not build.ok:
        for error in failures(build):
            sys.stderr.write(error_text(error) + "\n")
        sys.stderr.write(invocation.log.line())
        return failures(build)[0].exit_code if failures(build) else 1
    sys.stdout.flush()
    actions = sum(counts(build).values())
    piece, frame = (
        (json_piece, json_frame(actions, log, bool(results))) if as_json else (text_piece, text_frame(actions))
    )
    invocation.save([piece(result) for result in invocation.results], frame)
    module = VERBS[request.verb].after
    if module is None:
        return 0
    sys.stdout.flush()
    code: int = importlib.import_module(module).after(invocation)
    return code


def _traced(invocation: Invocation) -> "Trace":
    from buildrules.cli.trace import Trace

    trace = Trace()
    invocation.stream.add(trace)
    return trace


def _write_trace(trace: "Trace", path: str) -> None:
    try:
        trace.write(path)
    except OSError as error:
        raise UsageError(f"cannot write the trace {path!r}: {error.strerror}") from error


def one_image(invocation: Invocation) -> GoalResult:
    """The image the patterns named: of several platforms this machine's. Raises UsageError where they named others."""
    from buildrules.serving.platform import host_platform

    images = [result for result in invocation.results if result.goal.kind == "image"]
    if len({image.goal.label for image in images}) == 1:
        return next((image for image in images if image.goal.platform == host_platform()), images[0])
    names = " ".join(invocation.request.patterns)
    if not images:
        raise UsageError(f"'{names}' is not an image", hint="name a model_package target")
    found = ", ".join(f"{image.goal.label} ({image.goal.platform})" for image in images[:4])
    raise UsageError(
        f"'{names}' names {len(images)} images: {found}", hint="name one, and a --platform if there are several"
    )
