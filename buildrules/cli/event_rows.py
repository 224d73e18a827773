"""`--events`, `--progress json`: a listener that says each event as a line of JSON. The form: docs/reference/events.md.

What a build did is kept beside its log in the same form, for `buildrules report`.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable

from buildrules import __version__
from buildrules.engine.events import (
    ActionFinished,
    ActionStarted,
    BuildStarted,
    Event,
    Notice,
    Progress,
    Status,
)
from buildrules.errors import BuildrulesError, PackageTestError
from buildrules.sha256 import hex_digest
from buildrules.start.secret import hide
from buildrules.typed import Any, TextIO

SCHEMA = 1
_EVERY = 0.2  # seconds between two rows about one thing that goes on
_REASONS = 20


class EventRows:
    """Hands each row as a line to those who listen, and keeps those that tell what was done."""

    def __init__(self, **begin: Any) -> None:
        """`begin` is what the first row says of the command: its id, verb, patterns and workspace."""
        self._sinks: list[Callable[[str], None]] = []
        self._said: dict[str, float] = {}  # when it was last told how far something is
        self._kept: list[str] = []
        self.counts = {status.value: 0 for status in Status}  # of a build that ended: as its last line says
        self._files: list[TextIO] = []
        self._began = time.perf_counter()
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._first = {"schema": SCHEMA, **begin, "time": now, "buildrules": __version__}
        self._ended = self._worth = False

    def write_to(self, path: str, warn: Callable[[str], None]) -> None:
        """Write all rows to a file from now on, each as it happens; to standard output for "-". Raises UsageError.

        What cannot be written any more is said once by `warn`.
        """
        from buildrules.cli.writing import STREAM, check_own, opened

        if path == STREAM:
            self._add(sys.stdout)
            return
        check_own(path, '{"event":"build_started"')
        file = opened(path)
        self._files.append(file)
        self._add(file, warn)

    def write_to_stderr(self) -> None:
        """The same, to standard error."""
        self._add(sys.stderr)

    def _add(self, file: TextIO, warn: Callable[[str], None] | None = None) -> None:
        def write(line: str) -> None:
            nonlocal warn
            try:
                file.write(line + "\n")
                file.flush()
            except (OSError, ValueError) as error:  # a full disk costs nobody the build
                if warn is not None:
                    say, warn = warn, None
                    reason = getattr(error, "strerror", None) or str(error)
                    say(f"cannot write the events to {file.name!r}, which lacks some: {reason.lower()}")

        self._sinks.append(write)
        write(_line("build_started", self._first))

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, ActionFinished):
            self._finished(event)
        elif isinstance(event, Notice):
            self.tell("notice", {"message": event.message, "warning": event.warning})
        elif not self._sinks:
            return
        elif isinstance(event, BuildStarted):
            self.tell("steps_counted", {"total": event.total}, keep=False)
        elif isinstance(event, ActionStarted):
            action = event.action
            row = {"step": action.id, "target": action.target, "title": action.title, "kind": action.kind}
            self.tell("step_started", {**row, "at": round(event.seconds, 4), "worker": event.worker}, keep=False)
        elif isinstance(event, Progress):
            now = time.monotonic()
            ended = event.total is not None and event.done >= event.total
            if ended or now - self._said.get(event.what, 0.0) >= _EVERY:
                self._said[event.what] = now
                self.tell("progress", {"what": event.what, "done": event.done, "total": event.total}, keep=False)

    def _finished(self, event: ActionFinished) -> None:
        action, status = event.action, event.status
        keep = status is not Status.UNCHANGED
        self._worth = self._worth or keep
        if not keep and not self._sinks:
            return
        row: dict[str, Any] = {
            "step": action.id,
            "target": action.target,
            "title": action.title,
            "kind": action.kind,
            "needs": action.deps,
            "status": status.value,
            "at": round(event.began, 4),
            "seconds": round(event.seconds, 4),
            "worker": event.worker,
            "reasons": list(event.reasons[:_REASONS]),
        }
        if event.outputs is not None:
            row["layers"] = [{"digest": layer.digest, "size": layer.size} for layer in event.outputs.layers]
        if event.placed is not None:
            row["placed"] = event.placed.row()
        if event.error is not None:
            row["error"] = _error(event.error)
        self.tell("step_finished", row, keep=keep)

    def tell_error(self, error: BuildrulesError) -> None:
        """A row for each of what is wrong; what is kept has it at the step, or at the end."""
        for line in error_lines(error) if self._sinks else ():
            for sink in self._sinks:
                sink(line)

    def tell(self, name: str, row: dict[str, Any], *, keep: bool = True) -> None:
        """A row of this name."""
        if keep or self._sinks:
            line = _line(name, row)
            for sink in self._sinks:
                sink(line)
            if keep:
                self._kept.append(line)
                self._worth = self._worth or name in ("pushed", "test_finished")

    def end(self, code: int, path: str, error: BuildrulesError | None = None) -> None:
        """The last row; what was done is kept in the file `path`. Only the first call counts."""
        if self._ended:
            return
        self._ended = True
        row: dict[str, Any] = {"exit_code": code, "seconds": round(time.perf_counter() - self._began, 4)}
        row["steps"] = self.counts
        if error is not None:
            row["error"] = _error(error)
        self.tell("build_finished", row)
        for file in self._files:
            with contextlib.suppress(OSError):
                file.close()
        if self._worth or error is not None:
            with contextlib.suppress(OSError):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as kept:
                    # each with what shows damage: nobody else could tell (`report.builds` reads them)
                    for line in (_line("build_started", self._first), *self._kept):
                        kept.write(f"{hex_digest(line.encode())[:16]} {line}\n")


def _line(name: str, row: dict[str, Any]) -> str:
    return hide(json.dumps({"event": name, **row}, separators=(",", ":")))


def error_lines(error: BuildrulesError) -> list[str]:
    """An error as lines, one for each of what is wrong."""
    return [_line("error", _error(one)) for one in error.each]


def _error(error: BuildrulesError) -> dict[str, Any]:
    from buildrules.cli.report import error_json

    row: dict[str, Any] = error_json(error)
    if isinstance(error, PackageTestError):
        row["failures"] = error.failures
    return row
