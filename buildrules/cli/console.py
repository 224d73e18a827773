"""Shows events: progress bars on a terminal, plain lines elsewhere. rich is imported when the first bar is due."""

import sys
import threading
import time

from buildrules.cli.harmless import harmless
from buildrules.cli.progress import PATIENCE, Row
from buildrules.engine.changes import short_name
from buildrules.engine.events import ActionFinished, ActionStarted, BuildStarted, Event, Notice, Progress, Status
from buildrules.errors import Interrupted, UnexpectedError
from buildrules.typed import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_PLAIN_EVERY = 5.0  # seconds between plain progress lines
_ALIVE_EVERY = 20.0  # seconds between plain lines about what shows no progress
_LONG = 0.05  # actions expected to take less, in seconds, need nobody to watch them


class Console:
    """A listener that writes to standard error, so that standard output holds the report alone."""

    def __init__(
        self, stream: TextIO | None = None, *, quiet: bool = False, verbose: bool = False, plain: bool = False
    ) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._verbose = verbose
        self._terminal = not plain and self._stream.isatty()
        self._began = time.monotonic()
        self._told: set[tuple[str, str]] = set()  # what failed: targets, and errors
        self._rows: dict[str, Row] = {}  # what goes on, oldest first
        self._steps: tuple[int, int] = (0, 0)  # that are done, and of the build
        self._bars: Bars | None = None
        self._shown: dict[str, TaskID] = {}  # the rows that have a bar; "" is that of all steps
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
                self._steps = (0, event.total)
            elif isinstance(event, ActionStarted):
                self._started(event)
            elif isinstance(event, ActionFinished):
                self._finished(event)

    def _started(self, event: ActionStarted) -> None:
        if self._verbose:
            self._line(f"start   {event.action.title}")
        if event.action.weight > _LONG:
            self._row(short_name(event.action.title), time.monotonic()).action = True
            self._watch()

    def _finished(self, event: ActionFinished) -> None:
        self._steps = (self._steps[0] + 1, self._steps[1])
        if self._rows:
            self._remove(short_name(event.action.title))
        slow = event.seconds > 1.0
        if isinstance(event.error, Interrupted):
            if self._verbose:
                self._line(f"stopped {event.action.title}")
        elif event.status is Status.FAILED:
            failure = (event.action.target, str(event.error))
            if self._verbose or failure not in self._told:  # else many steps of a target lack one interpreter
                of = "" if event.action.target in event.action.title.split() else f"  ({event.action.target})"
                self._line(f"FAILED  {event.action.title}{of}")
            self._told.add(failure)
            if self._verbose and isinstance(event.error, UnexpectedError):
                self._line(event.error.traceback.rstrip())
        elif event.status is Status.EXECUTED and (self._verbose or slow):
            self._line(f"done    {event.action.title}  {event.seconds:.1f} s{_where(event)}")
        elif self._verbose and event.status is not Status.SKIPPED:
            self._line(f"reused  {event.action.title}")

    def _line(self, text: str) -> None:
        text = harmless(text)
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._stream.write(text + "\n")
            self._stream.flush()

    def _row(self, name: str, now: float) -> Row:
        """The row of that name, made where there is none."""
        return self._rows.setdefault(name, Row(name, now))

    def _remove(self, name: str) -> None:
        self._rows.pop(name, None)
        if self._bars is not None and (task := self._shown.pop(name, None)) is not None:
            self._bars.remove_task(task)

    def _progress(self, event: Progress) -> None:
        now = time.monotonic()
        name = harmless(short_name(event.what))
        if event.total is not None and event.done >= event.total:
            if name in self._rows and self._rows[name].action:
                self._rows[name].update(0, None, now)  # the step of that name may go on
            else:
                self._remove(name)
            return
        if now - self._began < PATIENCE and event.total is not None:
            return
        row = self._row(name, now)
        row.update(event.done, event.total, now)
        self._watch()
        if self._terminal:
            self._show(now)
        elif event.done and now - row.said >= _PLAIN_EVERY:
            row.said = now
            self._line(f"        {name}  {row.share()}")

    def _show(self, now: float) -> None:
        """Draw what goes on, on a terminal."""
        if self._bars is None and any(row.visible(now) for row in self._rows.values()):
            self._bars = make_bars(self._stream)
            self._bars.start()
        if self._bars is None:
            return
        done, total = self._steps
        if total:
            self._draw("", "", done, total, f"{done} of {total} steps")
        for row in self._rows.values():
            if row.visible(now):
                self._draw(row.name, row.name, row.done, row.total, row.amount(now))

    def _draw(self, key: str, name: str, done: int, total: int | None, amount: str) -> None:
        assert self._bars is not None
        if key not in self._shown:
            self._shown[key] = self._bars.add_task(name, amount=amount)
        self._bars.update(self._shown[key], completed=done, total=total, amount=amount)

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
                for row in self._rows.values():
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
            if self._bars is not None:
                self._bars.stop()
                self._bars = None
            self._rows, self._shown, self._steps = {}, {}, (0, 0)
        if watcher is not None:
            watcher.join()


def _where(event: ActionFinished) -> str:
    """Where a step was run, if that was not here."""
    if event.placed is None or event.placed.stayed:
        return ""
    from buildrules.cli.placed import placed_words

    return f"  {placed_words(event.placed.row())}"


def make_bars(stream: TextIO) -> "Bars":
    """Bars that fit a terminal and go away with the last of them."""
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    name = TextColumn("  {task.description}", markup=False, table_column=Column(max_width=30, no_wrap=True))
    amount = TextColumn("{task.fields[amount]}", markup=False, table_column=Column(no_wrap=True))
    console = RichConsole(file=stream)
    console.width -= 1  # some terminals begin a new line behind the last column
    return Bars(
        name, BarColumn(16), amount, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    )
