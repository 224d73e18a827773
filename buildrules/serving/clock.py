"""How long a package could have worked: what a busy machine kept it waiting for does not count.

Linux says of each thread how long it ran and how long it was ready to run and waited for a processor
(/proc/PID/task/TID/schedstat: Documentation/scheduler/sched-stats.rst), and whether it waits for a disk just now (state
D: proc(5)). Anybody may read that.
"""

import os
import time
from typing import NamedTuple

from buildrules.errors import BusyError
from buildrules.serving.kernel_file import kernel_text

_STEP = 0.5  # seconds between two looks
_PATIENCE, _MORE_PATIENCE = 10.0, 60.0  # a limit ends after so many times its seconds, and so many seconds
_BUSY = 0.2  # from which share of the time spent waiting a machine is called busy
_IDLE = 0.05  # up to which share of the time at work a package is called idle


class Reading(NamedTuple):
    """What the clock shows. Seconds: by the wall, those a processor worked for the package (of several: all together),
    and those in which it could not go on, for want of a processor or of a disk."""

    wall: float = 0.0
    ran: float = 0.0
    queued: float = 0.0
    disk: float = 0.0

    @property
    def worked(self) -> float:
        """Seconds in which it could have worked."""
        return self.wall - self.queued - self.disk

    @property
    def busy(self) -> bool:
        """Whether the machine kept it waiting for a good part of the time."""
        return self.queued + self.disk >= _BUSY * self.wall > 0

    @property
    def idle(self) -> bool:
        """Whether it did next to nothing."""
        return self.ran <= _IDLE * self.worked

    def since(self, other: "Reading") -> "Reading":
        """What was added after the `other`."""
        return Reading(*(mine - its for mine, its in zip(self, other, strict=True)))


class Clock:
    """The clock of a package whose first process is `process` here; None where it is not seen from here: then all time
    counts."""

    def __init__(self, process: int | None) -> None:
        needed = (f"/proc/{process}/task/{process}/{name}" for name in ("schedstat", "children"))
        self._process = process if process is not None and all(map(os.path.exists, needed)) else None
        self._looked = time.monotonic()
        self._threads: dict[int, tuple[int, int]] = {}
        self._reading = Reading()
        self._look(self._looked)

    @property
    def sees(self) -> bool:
        """Whether it is known what the package does."""
        return self._process is not None

    def read(self, *, exact: bool = False) -> Reading:
        """What it shows now; without `exact` what came after the last look is taken as time at work."""
        now = time.monotonic()
        if self._process is not None and (exact or now - self._looked >= _STEP):
            self._look(now)
        return self._reading._replace(wall=self._reading.wall + now - self._looked)

    def limit(self, seconds: float) -> "Limit":
        """A limit that begins now."""
        return Limit(self, seconds)

    def _look(self, now: float) -> None:
        wall = now - self._looked
        before, self._threads = self._threads, {}
        ran = queued = 0.0
        blocked = False
        for thread, times, in_disk in _threads(self._process) if self._process is not None else ():
            then = before.get(thread, (0, 0))
            ran += max(0, times[0] - then[0]) / 1e9
            queued += max(0, times[1] - then[1]) / 1e9
            blocked |= in_disk
            self._threads[thread] = times
        if wall <= 0:
            return  # the first look: where it begins
        lost = min(queued, max(0.0, wall - ran))  # those of a package that keep each other waiting do work
        disk = max(0.0, wall - ran - lost) if blocked else 0.0
        had = self._reading
        self._reading = Reading(had.wall + wall, had.ran + ran, had.queued + lost, had.disk + disk)
        self._looked = now


class Limit:
    """A limit in seconds in which a package could have worked."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.seconds = seconds
        self._clock = clock
        self._begin = clock.read(exact=True)

    @property
    def left(self) -> float:
        """Seconds that are left, if the package could work from now on."""
        return max(0.0, self.seconds - self._used().worked)

    def over(self) -> bool:
        """Whether they have passed. Raises BusyError where the package got so little of them that nobody can wait."""
        used = self._used()
        if used.worked >= self.seconds:
            used = self._used(exact=True)
        if used.worked >= self.seconds:
            return True
        if used.wall >= self.seconds * _PATIENCE + _MORE_PATIENCE:
            raise BusyError(
                f"this machine is too busy: in {used.wall:.0f} s the package could work for {used.worked:.1f} s"
                f"{_waited(used)}",
                hint="try again when less runs here, or with --jobs 1",
            )
        return False

    @property
    def idle(self) -> bool:
        """Whether they have passed and the package did next to nothing meanwhile; False where that is not seen."""
        used = self._used()
        return self._clock.sees and used.worked >= self.seconds and self._used(exact=True).idle

    def told(self) -> str:
        """What the package did meanwhile, in words that tell one that hangs from one that is slow, if that is seen."""
        used = self._used(exact=True)
        if not self._clock.sees:
            return "it hangs or is slow"
        ran = f"{used.ran:.1f} s of processor time"
        did = f"it hangs: it took {ran}" if used.idle else f"it was at work, for {ran}, and is slow or hangs in a loop"
        busy = f"; this machine is busy: {used.wall:.0f} s have passed{_waited(used)}" if used.busy else ""
        return did + busy

    def _used(self, *, exact: bool = False) -> Reading:
        return self._clock.read(exact=exact).since(self._begin)


def joined(*parts: str) -> str:
    """Those parts of a message that say something, one after the other."""
    return "; ".join(part for part in parts if part)


def _waited(used: Reading) -> str:
    return f", it waited {used.queued:.0f} s for a processor and {used.disk:.0f} s for a disk"


def _threads(process: int) -> list[tuple[int, tuple[int, int], bool]]:
    """Of each thread of the process and of all below it: number, (ran, queued) in nanoseconds, waits for a disk."""
    found = []
    processes = [process]
    for number in processes:
        try:
            threads = os.listdir(f"/proc/{number}/task")
        except OSError:
            continue
        for thread in threads:
            task = f"/proc/{number}/task/{thread}"
            try:
                ran, queued, _ = kernel_text(f"{task}/schedstat").split()
                state = kernel_text(f"{task}/stat").rpartition(")")[2].split()[0]
                processes += map(int, kernel_text(f"{task}/children").split())
            except (ValueError, IndexError):
                continue  # it has just ended
            found.append((int(thread), (int(ran), int(queued)), state == "D"))
    return found
