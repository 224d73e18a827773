"""Shows events: progress bars on a terminal, plain lines elsewhere. rich is imported when the first bar is due."""

import sys
import time
from typing import Any, TextIO

from buildrules.engine.events import ActionFinished, ActionStarted, Event, Notice, Progress, Status

_PATIENCE = 0.4  # seconds before anything is shown: short builds stay quiet
_PLAIN_EVERY = 5.0  # seconds between plain progress lines


class Console:
    """A listener that writes to standard error, so that standard output holds the report alone."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False, verbose: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._verbose = verbose
        self._terminal = self._stream.isatty()
        self._began = time.monotonic()
        self._last: dict[str, float] = {}
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, Notice):
            self._line(f"warning: {event.message}" if event.warning else event.message)
        elif self._quiet:
            return
        elif isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, ActionStarted):
            if self._verbose:
                self._line(f"start   {event.action.title}")
        elif isinstance(event, ActionFinished):
            self._finished(event)

    def _finished(self, event: ActionFinished) -> None:
        self._remove_bar(event.action.title)
        slow = event.seconds > 1.0
        if event.status is Status.FAILED:
            self._line(f"FAILED  {event.action.title}  ({event.action.target})")
        elif event.status is Status.EXECUTED and (self._verbose or slow):
            self._line(f"done    {event.action.title}  {event.seconds:.1f} s")
        elif self._verbose and event.status is not Status.SKIPPED:
            self._line(f"reused  {event.action.title}")

    def _line(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            self._stream.write(text + "\n")
            self._stream.flush()

    def _progress(self, event: Progress) -> None:
        now = time.monotonic()
        if now - self._began < _PATIENCE:
            return
        if self._terminal:
            self._bar(event)
            return
        first = self._last.setdefault(event.what, now)
        done = event.total is not None and event.done >= event.total
        if now - first >= _PLAIN_EVERY and not done:
            self._last[event.what] = now
            share = f"{100 * event.done // event.total} %" if event.total else f"{event.done / 1e6:.0f} MB"
            self._line(f"        {event.what}  {share}")

    def _bar(self, event: Progress) -> None:
        if self._bars is None:
            self._bars = _make_bars(self._stream)
            self._bars.start()
        done = event.total is not None and event.done >= event.total
        task = self._tasks.get(event.what)
        if task is None:
            if done:
                return
            task = self._tasks[event.what] = self._bars.add_task(event.what, total=event.total)
        if done:
            self._remove_bar(event.what)
        else:
            self._bars.update(task, completed=event.done, total=event.total)

    def _remove_bar(self, what: str) -> None:
        task = self._tasks.pop(what, None)
        if task is not None:
            self._bars.remove_task(task)

    def close(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()


def _make_bars(stream: TextIO) -> Any:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=RichConsole(file=stream),
        transient=True,
    )
