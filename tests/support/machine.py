"""A process that is a machine by itself: what it starts ends with it, whatever sessions and groups that is in."""

import contextlib
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # of Debian's own programs, and nobody's folder among them
AGAIN = 0.3  # seconds until a program that ended is started again


class Machine:
    """A process namespace in which programs run; each that ends is started again, as an administrator has it done.

    `beside` is started first, and the program once `beside` made the file `sock`. What they write is added to `log`.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        log: Path,
        environment: Mapping[str, str],
        beside: Sequence[str] = (),
    ) -> None:
        first = f"rm -f sock; {shlex.join(beside)} & while [ ! -S sock ]; do sleep .05; done; " if beside else ""
        script = f"{first}while :; do {shlex.join(command)}; sleep {AGAIN}; done"
        namespace = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
        if os.getuid():
            namespace.append("--map-root-user")
        folder.mkdir(exist_ok=True)
        with open(log, "ab") as said:
            self._process = subprocess.Popen(
                [*namespace, "/bin/sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )

    def runs(self, program: str) -> bool:
        """Whether a process of this name is in its session, which those of programs that it started are."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                name, _, rest = path.read_text().rpartition(")")  # proc_pid_stat(5)
                if name.endswith(f"({program}") and int(rest.split()[3]) == self._process.pid:
                    return True
        return False

    def kill(self) -> None:
        """End all of it at once, as if it had lost its power."""
        self._process.kill()
        self._process.wait()
