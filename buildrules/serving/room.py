"""Room on this machine for packages that run: no more at once than its processors and its memory carry."""

import contextlib
import os
import threading
from collections.abc import Iterator

from buildrules.net.session import Session
from buildrules.serving.kernel_file import kernel_text

_OVERHEAD = 256 << 20  # bytes of memory that a server takes besides what is in its image
_GROUP = "/sys/fs/cgroup"


class Room:
    """The room of one session."""

    def __init__(self, _: Session | None = None) -> None:
        self._condition = threading.Condition()
        self._running = 0
        self._alone = False
        self._needed = 0  # bytes, of those that run
        self._memory = 0  # bytes there were when none ran

    @contextlib.contextmanager
    def take(self, size: int, *, alone: bool = False) -> Iterator[None]:
        """Wait until one more may run, or `alone` until no other does. `size` are the bytes of its image, of which it
        may hold all in memory. One that needs more than there is runs alone."""
        need = _OVERHEAD + size
        with self._condition:
            while self._running and (
                alone or self._alone or self._running >= processors() or self._needed + need > self._memory
            ):
                self._condition.wait()
            if not self._running:
                self._memory = memory()
            self._running += 1
            self._needed += need
            self._alone = alone
        try:
            yield
        finally:
            with self._condition:
                self._running -= 1
                self._needed -= need
                self._alone = False
                self._condition.notify_all()


def processors() -> int:
    """How many processors this process may use, at least one (sched_getaffinity(2); cpu.max of cgroup v2)."""
    count = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    for group in _groups():
        quota, _, period = kernel_text(f"{group}/cpu.max").partition(" ")
        if quota.isdigit() and period.strip().isdigit():
            count = min(count, int(quota) / int(period))
    return max(1, round(count))


def memory() -> int:
    """How many bytes programs can have now (MemAvailable: proc_meminfo(5); memory.max of cgroup v2); no end of them
    where the machine does not say it."""
    free = 1 << 62
    for line in kernel_text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) << 10
    for group in _groups():
        most, used = kernel_text(f"{group}/memory.max").strip(), kernel_text(f"{group}/memory.current").strip()
        if most.isdigit() and used.isdigit():
            rows = (line.split() for line in kernel_text(f"{group}/memory.stat").splitlines())
            files = sum(int(row[1]) for row in rows if row[0] in ("active_file", "inactive_file"))  # it can let go
            free = min(free, int(most) - int(used) + files)
    return free


def _groups() -> Iterator[str]:
    """The cgroups (v2) that this process is in, from its own to the outermost that is seen."""
    for line in kernel_text("/proc/self/cgroup").splitlines():
        if line.startswith("0::"):
            found = f"{_GROUP}{line[3:]}".rstrip("/")
            while found.startswith(_GROUP):
                yield found
                found = found.rpartition("/")[0]
