"""Performs the verbs that build first."""

import os
import sys
import time
from collections.abc import Collection, Sequence

from buildrules.cli.findings import finding_text, fresh_findings
from buildrules.cli.invocation import Invocation, executed, failures
from buildrules.cli.report import (
    error_text,
    fetched_text,
    json_failure,
    json_frame,
    json_piece,
    json_report,
    summary,
    text_frame,
    text_piece,
    text_report,
)
from buildrules.cli.request import Request
from buildrules.cli.table import VERBS, module_of
from buildrules.engine.build import Build
from buildrules.engine.events import Notice
from buildrules.engine.result import counts
from buildrules.errors import BuildrulesError, DamagedError, Interrupted
from buildrules.state.location import identity, state_path
from buildrules.state.reader import Damaged, Known, State, open_state
from buildrules.typed import Any

_DAMAGED = "damaged content was removed from the store"
INTERRUPTED = "error: interrupted\n  hint: what was finished is kept; the same command goes on from there\n"
_FAILING = "it happens again and again: the disk or its file system may be failing; choose another store"


class _Mended(Exception):
    """What was damaged in the store has been removed; what a cache has `lost` is not asked for again."""

    def __init__(self, lost: set[str]) -> None:
        super().__init__()
        self.lost = lost


def start(root: str, directory: str, argv: list[str], request: Request) -> int:
    """Perform a request that click has just parsed; returns the exit code."""
    words = (directory, *argv)
    return perform(root, directory, words, request, *_known(root, words, request))


def _known(root: str, words: Sequence[str], request: Request) -> tuple[State | None, Known | None, list[int] | None]:
    """The state of the workspace, what it knows of a command line, and which rows differ."""
    wanted = identity(root, request.option("configurations", ()))
    state = open_state(state_path(root, wanted), wanted)
    if state is None:
        return None, None, None
    try:
        known = state.request(words)
        return state, known, None if known is None else state.changed(known, root + "/")
    except Damaged:
        state.close()
        return None, None, None


def resume(
    root: str, directory: str, words: Sequence[str], state: State, known: Known, groups: list[int]
) -> int | None:
    """Perform the request that the state keeps as `known`, now that `groups` of rows differ; returns the exit code.

    None where the command line has to be read anew.
    """
    try:
        request = Request(*state.rest(known)["request"])
    except Damaged:
        request = None
    if request is None or request.option("package"):  # what an Azure ML file stands for may have moved elsewhere
        return None
    return perform(root, directory, words, request, state, known, groups)


def perform(
    root: str,
    directory: str,
    words: Sequence[str],
    request: Request,
    state: State | None,
    known: Known | None,
    groups: list[int] | None,
    tries: int = 4,
    lost: Collection[str] = (),
) -> int:
    """Build, report, and do what the verb does with the results; returns the exit code.

    `known` is what the state of the workspace knows of the command line `words`, and `groups` which rows differ. Where
    it fails on what is damaged in the store, or `lost` in a cache, that is removed or left out, and all is tried again,
    at most so many `tries` in all.
    """
    began = time.perf_counter()
    log: dict[str, str] = {}
    as_events = request.option("progress") == "json"
    try:
        invocation = Invocation(root, directory, words, request, lost)
        try:
            invocation.prepare(state, known, groups)
            code = _perform(invocation, began)
            invocation.end(code)
            return code
        except Exception as raised:
            if tries > 1 and invocation.mended([raised]):
                where = "the cache has lost content" if invocation.lost.difference(lost) else _DAMAGED
                invocation.stream.emit(Notice(f"{where}; it is made or fetched anew", warning=True))
                raise _Mended(invocation.lost) from raised
            error = _failed(invocation, raised)
            log = invocation.log.to_dict()
            if error is raised:
                raise
            raise error from raised
        finally:
            invocation.close()
            if state is not None:
                state.close()
    except _Mended as mended:
        return perform(root, directory, words, request, *_known(root, words, request), tries - 1, mended.lost)
    except KeyboardInterrupt:
        if not as_events:
            sys.stderr.write(INTERRUPTED)
        return leave(130)
    except BuildrulesError as error:
        if request.option("verbose"):
            from buildrules.cli.crash import show_traceback

            show_traceback(error)
        if not (as_events and log):
            sys.stderr.write(error_text(error) + "\n")
        if request.option("json"):
            sys.stdout.write(json_failure(error, time.perf_counter() - began, log))
        return leave(130) if isinstance(error, Interrupted) else error.exit_code


def _failed(invocation: Invocation, raised: Exception) -> BuildrulesError:
    """Note in the log and tell as events what ended a command; returns it as an error for people."""
    from buildrules.cli.crash import foreseen
    from buildrules.cli.hints import hint_at

    error = foreseen(raised, invocation.root, invocation.log)
    hint_at(error, invocation.request.option("configurations", ()))
    if invocation.log.state == "Running":
        invocation.log.end(ok=False, text=error_text(error))
    invocation.events.tell_error(error)
    invocation.end(130 if isinstance(error, Interrupted) else error.exit_code, error)
    return error


def leave(code: int) -> int:
    """End now if a thread hangs in a transfer: the interpreter would wait for the pools of threads at its exit."""
    import threading

    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        os._exit(code)
    return code


def _perform(invocation: Invocation, began: float) -> int:
    request = invocation.request
    calls = VERBS[request.verb].calls
    if "before" in calls:
        _call("before", invocation)
    build = _profiled(invocation) if request.option("profile") else invocation.build()
    if not build.ok and (found := invocation.mended(build.errors)):
        raise DamagedError(f"{found} blobs of the store were damaged", "", hint=_FAILING)
    seconds = time.perf_counter() - began
    if "report" in calls:
        return int(_call("report", invocation, build, seconds))
    findings = fresh_findings(invocation)
    results = invocation.report_rows()
    as_json = bool(request.option("json"))
    told = invocation.results if as_json else results
    tags = [f"--tag {tag}" for tag in request.option("with_tags") or ()]
    none = f"nothing that is named and can be built fits {' '.join(tags)}\n" if tags and not results else ""
    report = none + text_report(told, build, seconds, verbose=bool(request.option("verbose")))
    invocation.log.end(ok=build.ok, text="\n".join([report, *(error_text(error) for error in failures(build))]))
    log = invocation.log.to_dict()
    executor, lines = _explained(invocation, build) if request.option("explain_executor") else (None, "")
    report += lines
    shared = invocation.sharing.figures() if invocation.sharing is not None else None
    if as_json and request.verb == "build":
        sys.stdout.write(json_report(results, build, seconds, log, findings, shared, executor))
    elif request.verb == "build":
        sys.stdout.write(report)
    elif executed(build) or not build.ok:
        invocation.say(report.removesuffix("\n"))
    if findings and not as_json:
        for finding in findings:
            invocation.say(finding_text(finding, harmful=False), warning=True)
    if not build.ok:
        return invocation.say_failures(failures(build), summary(build, seconds))
    sys.stdout.flush()
    actions = sum(counts(build).values())
    piece, frame = (
        (json_piece, json_frame(actions, log, bool(results))) if as_json else (text_piece, text_frame(actions, none))
    )
    invocation.save([piece(result) for result in invocation.results], frame)
    if "after" not in calls:
        return 0
    sys.stdout.flush()
    before = dict(build.here.moved)
    code = int(_call("after", invocation))
    if invocation.sharing is not None:
        invocation.sharing.count(build.here)
    more = {source: size - before.get(source, 0) for source, size in build.here.moved.items()}
    if not as_json and any(more.values()):
        invocation.say(f"{fetched_text(more)} meanwhile")
    return code


def _call(name: str, invocation: Invocation, *more: object) -> Any:
    """Call that function of the verb, see `cli.table`."""
    module = __import__(f"buildrules.cli.{module_of(invocation.request.verb)}", fromlist=[name])
    return getattr(module, name)(invocation, *more)


def _explained(invocation: Invocation, build: Build) -> tuple[dict[str, Any], str]:
    from buildrules.cli.placed import explained

    return explained(invocation.away, build)


def _profiled(invocation: Invocation) -> Build:
    from buildrules.cli.profile import Profile

    profile = Profile(str(invocation.request.option("profile")))
    invocation.stream.add(profile)
    try:
        return invocation.build()
    finally:
        profile.write()
