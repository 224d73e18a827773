"""The full log of a build, kept in the store under the build's id."""

import contextlib
import os
import time

from buildrules.cli.harmless import in_line
from buildrules.engine.events import ActionFinished, ActionStarted, Event, Notice, Status
from buildrules.errors import UnexpectedError
from buildrules.start.secret import hide

KEPT = 200  # logs; the oldest go first

_WORDS = {
    Status.EXECUTED: "built",
    Status.CACHED: "reused",
    Status.FAILED: "FAILED",
    Status.SKIPPED: "skipped",
}


class BuildLog:
    """Hears the events of one build and writes `logs/<id>.log` below the store at its end.

    `id` is unique and sorts by time, as "20260131T093000-1f9c0a7b"; `state` is Running, Succeeded or Failed. Nothing in
    events holds a credential; what a server repeats of one is taken out.
    """

    def __init__(self, store: str) -> None:
        self.id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(4).hex()}"
        self.state = "Running"
        self.path = os.path.join(store, "logs", f"{self.id}.log")
        self.events_path = os.path.join(store, "logs", f"{self.id}.jsonl")  # what `event_rows` keeps
        self._lines: list[str] = []

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, Notice):
            self.add(("warning: " if event.warning else "") + event.message)
        elif isinstance(event, ActionStarted):
            self.add(f"{event.seconds:8.3f} s  {event.action.target}: {event.action.title}: begins")
        elif isinstance(event, ActionFinished) and event.status in _WORDS:
            action = event.action
            ended = event.began + event.seconds
            self.add(f"{ended:8.3f} s  {action.target}: {action.title}: {_WORDS[event.status]} ({event.seconds:.3f} s)")
            if event.placed is not None:
                from buildrules.cli.placed import placed_words

                self.add(f"              ran {placed_words(event.placed.row())}")
            for reason in event.reasons:
                self.add(f"              because {in_line(reason)}")
            for layer in event.outputs.layers if event.outputs and event.status is Status.EXECUTED else ():
                self.add(f"              layer {layer.digest}  {layer.size} bytes")
            if isinstance(event.error, UnexpectedError):
                self.add(event.error.traceback)

    def add(self, text: str) -> None:
        """Add lines of text."""
        self._lines.extend(hide(text).splitlines())

    def end(self, *, ok: bool, text: str) -> None:
        """Write the log, with `text` (report or errors) as its end. Failing to costs nobody the build."""
        self.state = "Succeeded" if ok else "Failed"
        self.add(text)
        self.add(f"build {self.id}: {self.state}")
        folder = os.path.dirname(self.path)
        with contextlib.suppress(OSError):
            os.makedirs(folder, exist_ok=True)
            with open(self.path, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write("\n".join(self._lines) + "\n")
            names = os.listdir(folder)
            old = set(sorted({name.partition(".")[0] for name in names})[:-KEPT])
            for name in names:
                if name.partition(".")[0] in old:
                    os.unlink(os.path.join(folder, name))

    def line(self, summary: str) -> str:
        """The last line of a build that failed: what it did, and where the log is."""
        return f"failed: {summary}; the full log of build {self.id}: {self.path}"

    def to_dict(self) -> dict[str, str]:
        """The `build` of `--json`."""
        return {"id": self.id, "state": self.state, "log": self.path}
