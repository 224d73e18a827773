"""One thing that goes on: a download, a step, or all steps of a build."""

PATIENCE = 0.4  # seconds before anything is shown: short builds stay quiet
_QUIET = 3.0  # seconds a step may take before it gets a line without having said anything


class Row:
    """One thing that goes on. Times are of `time.monotonic`.

    A step (`action`) lasts until it is removed; other things last until they are done.
    """

    def __init__(self, name: str, now: float, *, action: bool = False) -> None:
        self.name = name
        self.action = action
        self.began = self.touched = self.said = now
        self.first: tuple[float, int] | None = None  # when progress was first told, and how much
        self.done = 0
        self.total: int | None = None

    def update(self, done: int, total: int | None, now: float) -> None:
        """Take bytes done, and in all where that is known."""
        if self.first is None or done < self.done:
            self.first = (now, done)
        self.done, self.total, self.touched = done, total, now

    def visible(self, now: float) -> bool:
        """Whether it is worth a line."""
        wait = _QUIET if self.action and self.first is None else PATIENCE
        return self.total is not None or now - self.began >= wait

    def share(self) -> str:
        """How far it is, in words."""
        if self.total:
            return f"{100 * self.done // self.total} % of {self.total / 1e6:.1f} MB"
        return f"{self.done / 1e6:.0f} MB"

    def amount(self, now: float) -> str:
        """How far it is, in numbers that change: bytes and their speed, or seconds."""
        if not self.done and not self.total:
            return f"{now - self.began:.0f} s"
        began, first = self.first or (now, self.done)
        speed = f"  {(self.done - first) / 1e6 / (now - began):.1f} MB/s" if now - began > 0.5 else ""
        return f"{self.done / 1e6:.1f}" + (f"/{self.total / 1e6:.1f} MB" if self.total else " MB") + speed
