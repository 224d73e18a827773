"""Shows events: progress bars on a terminal, plain lines elsewhere. rich is imported when the first bar is due."""

import sys
import threading
import time
from typing import Any, TextIO

from buildrules.cli.harmless import harmless
from buildrules.cli.progress import Row, Rows, short_name
from buildrules.engine.events import ActionFinished, ActionStarted, BuildStarted, Event, Notice, Progress, Status
from buildrules.errors import Interrupted, UnexpectedError

_PATIENCE = 0.4  # seconds before anything is shown: short builds stay quiet
_PLAIN_EVERY = 5.0  # seconds between plain progress lines
_ALIVE_EVERY = 20.0  # seconds between plain lines about what shows no progress
_LONG = 0.05  # actions expected to take less, in seconds, need nobody to watch them


class Console:
    """A listener that writes to standard error, so that standard output holds the report alone."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False, verbose: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._verbose = verbose
        self._terminal = self._stream.isatty()
        self._began = time.monotonic()
        self._rows = Rows()
        self._live: Any = None
        self._lock = threading.RLock()
        self._stop: threading.Event | None = None
        self._watcher: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        """Take one event."""
        with self._lock:
            if isinstance(event, Notice):
                self._line(f"warning: {event.message}" if event.warning else event.message)
            elif self._quiet:
                return
            elif isinstance(event, Progress):
                self._progress(event)
            elif isinstance(event, BuildStarted):
                self._rows.total = event.total
            elif isinstance(event, ActionStarted):
                self._started(event)
            elif isinstance(event, ActionFinished):
                self._finished(event)

    def _started(self, event: ActionStarted) -> None:
        if self._verbose:
            self._line(f"start   {event.action.title}")
        if event.action.weight > _LONG:
            self._rows.add(short_name(event.action.title), time.monotonic(), action=True)
            self._watch()

    def _finished(self, event: ActionFinished) -> None:
        self._rows.finished += 1
        self._rows.remove(short_name(event.action.title))
        slow = event.seconds > 1.0
        if isinstance(event.error, Interrupted):
            if self._verbose:
                self._line(f"stopped {event.action.title}")
        elif event.status is Status.FAILED:
            self._line(f"FAILED  {event.action.title}  ({event.action.target})")
            if self._verbose and isinstance(event.error, UnexpectedError):
                self._line(event.error.traceback.rstrip())
        elif event.status is Status.EXECUTED and (self._verbose or slow):
            self._line(f"done    {event.action.title}  {event.seconds:.1f} s")
        elif self._verbose and event.status is not Status.SKIPPED:
            self._line(f"reused  {event.action.title}")

    def _line(self, text: str) -> None:
        text = harmless(text)
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._stream.write(text + "\n")
            self._stream.flush()

    def _progress(self, event: Progress) -> None:
        now = time.monotonic()
        name = harmless(short_name(event.what))
        if event.total is not None and event.done >= event.total:
            self._rows.end(name, now)
            return
        if now - self._began < _PATIENCE and event.total is not None:
            return
        row = self._rows.add(name, now)
        row.update(event.done, event.total, now)
        self._watch()
        if self._terminal:
            self._show(now)
        elif event.done and now - row.said >= _PLAIN_EVERY:
            row.said = now
            self._line(f"        {name}  {row.share()}")

    def _show(self, now: float) -> None:
        if self._live is None and any(row.visible(now, _PATIENCE) for row in self._rows.all()):
            self._live = _make_live(self._stream, self._rows)
            self._live.start()

    def _watch(self) -> None:
        """Start the thread that looks at what says nothing itself."""
        if self._watcher is None:
            self._stop = threading.Event()
            self._watcher = threading.Thread(target=self._look, args=(self._stop,), name="console", daemon=True)
            self._watcher.start()

    def _look(self, stop: threading.Event) -> None:
        while not stop.wait(0.3):
            with self._lock:
                if stop.is_set():
                    return
                now = time.monotonic()
                if self._terminal:
                    self._show(now)
                    continue
                for row in self._rows.all():
                    self._say_alive(row, now)

    def _say_alive(self, row: Row, now: float) -> None:
        if now - max(row.said, row.touched) >= _ALIVE_EVERY:
            row.said = now
            self._line(f"        still running: {row.name}, {now - row.began:.0f} s")

    def close(self) -> None:
        """Take the bars away."""
        with self._lock:
            watcher, self._watcher = self._watcher, None
            if self._stop is not None:
                self._stop.set()
            if self._live is not None:
                self._live.stop()
                self._live = None
            self._rows.clear()
        if watcher is not None:
            watcher.join()


def _make_live(stream: TextIO, rows: Rows) -> Any:
    from rich.console import Console as RichConsole
    from rich.live import Live
    from rich.text import Text

    console = RichConsole(file=stream)
    plain = "utf" not in (stream.encoding or "").lower()

    def picture() -> Text:
        lines = rows.lines(time.monotonic(), console.width, patience=_PATIENCE, plain=plain)
        return Text("\n".join(lines), no_wrap=True, overflow="crop")

    return Live(console=console, get_renderable=picture, refresh_per_second=8, transient=True)
