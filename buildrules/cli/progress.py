"""What goes on right now, as lines that fit a terminal: one per download or long step, and one for all steps."""

import re

_WHEEL = re.compile(r"([^/]+?)-(\d[^-]*)-.+\.whl")
_SDIST = re.compile(r"([^/]+)-(\d[^-]*)\.(?:tar\.gz|tar\.bz2|zip)")
_NAME, _BAR, _MOST = 28, 16, 8
_QUIET = 3.0  # seconds a step may take before it gets a line without having said anything


def short_name(what: str) -> str:
    """What people call a file or a step: "numpy 2.3.1" for the file name of a wheel or source archive."""
    match = _WHEEL.fullmatch(what) or _SDIST.fullmatch(what)
    return f"{match[1].replace('_', '-').lower()} {match[2]}" if match else what


class Row:
    """One thing that goes on. Times are of `time.monotonic`."""

    __slots__ = ("action", "began", "done", "first", "name", "said", "total", "touched")

    def __init__(self, name: str, now: float, *, action: bool) -> None:
        self.name = name
        self.action = action  # a step, which lasts until it is removed; others last until they are done
        self.began = self.touched = self.said = now
        self.first: tuple[float, int] | None = None  # when progress was first told, and how much
        self.done = 0
        self.total: int | None = None

    def update(self, done: int, total: int | None, now: float) -> None:
        """Take bytes done, and in all where that is known."""
        if self.first is None or done < self.done:
            self.first = (now, done)
        self.done, self.total, self.touched = done, total, now

    def visible(self, now: float, patience: float) -> bool:
        """Whether it is worth a line."""
        wait = _QUIET if self.action and self.first is None else patience
        return self.total is not None or now - self.began >= wait

    def share(self) -> str:
        """How far it is, in words."""
        if self.total:
            return f"{100 * self.done // self.total} % of {self.total / 1e6:.1f} MB"
        return f"{self.done / 1e6:.0f} MB"

    def line(self, now: float, width: int, *, plain: bool) -> str:
        """One line of less than `width` columns."""
        room = max(8, min(_NAME, width - 50))
        name = self.name if len(self.name) <= room else self.name[: room - 2] + ".."
        if not self.done and not self.total:
            frames = "|/-\\" if plain else "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
            rest = f"{frames[int(now * 8) % len(frames)]} {now - self.began:.0f} s"
        else:
            began, first = self.first or (now, self.done)
            speed = f"{(self.done - first) / 1e6 / (now - began):.1f} MB/s" if now - began > 0.5 else ""
            amount = f"{self.done / 1e6:.1f}" + (f"/{self.total / 1e6:.1f} MB" if self.total else " MB")
            rest = f"{_bar(self.done, self.total, plain=plain)} {amount:>15} {speed}"
        return f"  {name:<{room}} {rest}"[: width - 1].rstrip()


class Rows:
    """All that goes on. `lines` may be called from another thread than the rest."""

    def __init__(self) -> None:
        self.total: int | None = None  # steps of the build
        self.finished = 0
        self._rows: dict[str, Row] = {}

    def all(self) -> list[Row]:
        """The rows, oldest first."""
        return list(self._rows.values())

    def add(self, name: str, now: float, *, action: bool = False) -> Row:
        """The row of that name, made where there is none."""
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = Row(name, now, action=action)
        row.action = row.action or action
        return row

    def end(self, name: str, now: float) -> None:
        """What `name` told of is done; the step of that name may go on."""
        row = self._rows.get(name)
        if row is not None and row.action:
            row.update(0, None, now)
        else:
            self.remove(name)

    def remove(self, name: str) -> None:
        """Forget the row of that name."""
        self._rows.pop(name, None)

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self.total, self.finished = None, 0

    def lines(self, now: float, width: int, *, patience: float, plain: bool) -> list[str]:
        """The picture, each line shorter than `width` columns."""
        rows = [row for row in self.all() if row.visible(now, patience)]
        lines = [row.line(now, width, plain=plain) for row in rows[:_MOST]]
        if len(rows) > _MOST:
            lines.append(f"  and {len(rows) - _MOST} more")
        if self.total:
            bar = _bar(self.finished, self.total, plain=plain)
            lines.append(f"  {bar} {self.finished} of {self.total} steps"[: width - 1])
        return lines


def _bar(done: int, total: int | None, *, plain: bool) -> str:
    if not total:
        return " " * _BAR
    full = min(_BAR, _BAR * done // total)
    return ("#" if plain else "━") * full + ("." if plain else "╌") * (_BAR - full)
