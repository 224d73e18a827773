"""What `buildrules watch` does: build, wait until something that the build looked at changes, build again.

Each build is a process of its own, so a plugin that was edited is another one, and what a build leaves behind is gone.
Whether there is anything to do is asked of the state of the workspace, never of the events: these only say when to ask.
So an event that came twice, or for what no build looks at, changes nothing.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection

from buildrules.cli.harmless import harmless
from buildrules.errors import UsageError
from buildrules.state.location import configurations, identity, state_path
from buildrules.state.reader import Damaged, open_state

_PROGRAM = (sys.executable, "-m", "buildrules")
_NAMED = 3  # changed files that are named
_STEP_MS = 50  # without a change, until those before are handed on: an editor's save is several
_MOST_MS = 1600  # until they are handed on while more come


class Watch:
    """Builds `words` (patterns and options of `build`) in the workspace at `root` whenever what they need changes."""

    def __init__(
        self, root: str, directory: str, patterns: tuple[str, ...], words: tuple[str, ...], then: str | None
    ) -> None:
        """`directory` is where the patterns were written, workspace-relative; `then` is "run", "test" or None.

        `patterns` are those of the `words`, without options.
        """
        self._root = root
        self._patterns = patterns
        self._words = words
        self._then = then
        self._known = (directory, "build", *words)
        self._answer: list[str] | None = None  # of the last build, as the state has it; None where it failed
        self._running: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:  # the package answers at one address, however often it is started
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    def go(self) -> int:
        """Watch until Ctrl-C, which raises KeyboardInterrupt; the exit code where there is nothing to watch.

        Raises UsageError where the machine cannot watch.
        """
        from watchfiles import DefaultFilter, watch

        harmful = DefaultFilter()
        first = True
        try:
            for changes in watch(
                self._root,
                watch_filter=None,
                step=_STEP_MS,
                debounce=_MOST_MS,
                rust_timeout=_STEP_MS,
                yield_on_timeout=True,
                ignore_permission_denied=True,
            ):
                paths = [path for change, path in changes if self._answer is not None or harmful(change, path)]
                if first:  # from here on nothing is missed
                    code = self._build(())
                    if code == UsageError.exit_code:  # a label that is not there, or a file that says nothing sound
                        return code
                    sys.stderr.write(f"watching {' '.join(self._patterns)}; Ctrl-C ends it\n")
                elif paths and (self._answer is None or self._kept() is None):
                    self._build(paths)
                first = False
        except OSError as error:
            hint = "sysctl fs.inotify.max_user_watches=1000000, or WATCHFILES_FORCE_POLLING=1 in the environment"
            raise UsageError(f"cannot watch '{self._root}': {error}", hint=hint) from error
        finally:
            self._stop()
        return 0

    def _kept(self, *, outdated: bool = False) -> list[str] | None:
        """What the state would answer now; None where it would not. With `outdated`, what it answered last."""
        wanted = identity(self._root, configurations(self._words))
        state = open_state(state_path(self._root, wanted), wanted)
        if state is None:
            return None
        try:
            known = state.request(self._known)
            if known is None:
                return None
            if outdated or (known.holds(state.stale) and not state.changed(known, self._root + "/")):
                return known.pieces
            return None
        except Damaged:
            return None
        finally:
            state.close()

    def _build(self, changed: Collection[str]) -> int:
        """Build; if that made anything else of what `changed`, say so, and run or test it; the build's exit code."""
        began = time.strftime("%H:%M:%S")
        build = self._start("build", stdout=subprocess.PIPE)
        report = self._end_of(build)
        before = self._answer
        self._answer = self._kept(outdated=True) if build.returncode == 0 else None
        if self._answer is not None and self._answer == before:
            return build.returncode
        if changed:
            failed = ": the build failed, as said above" if build.returncode else ""
            sys.stdout.write(f"\n{began} {self._named(changed)} changed{failed}\n")
        sys.stdout.write(report.decode(errors="replace"))
        sys.stdout.flush()
        if build.returncode == 0 and self._then == "test":
            self._end_of(self._start("test"))
        elif build.returncode == 0 and self._then == "run":
            self._stop()
            self._running = self._start("run", "-p", str(self._port))
        return build.returncode

    def _named(self, changed: Collection[str]) -> str:
        from watchfiles import Change, DefaultFilter

        written = DefaultFilter()  # and not what git, an editor or Python keeps beside
        changed = [path for path in changed if written(Change.modified, path)] or changed
        changed = [path for path in changed if os.path.lexists(path)] or changed  # an editor's aside are gone
        names = sorted({harmless(os.path.relpath(path, self._root)).replace("\n", "\\n") for path in changed})
        more = len(names) - _NAMED
        return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")

    def _start(self, verb: str, *options: str, stdout: int | None = None) -> "subprocess.Popen[bytes]":
        """Start a command in a group of its own: Ctrl-C comes to it from here, once."""
        return subprocess.Popen([*_PROGRAM, verb, *options, *self._words], stdout=stdout, start_new_session=True)

    def _end_of(self, child: "subprocess.Popen[bytes]") -> bytes:
        """Wait for a command; what it wrote. On Ctrl-C it is ended first, and loses nothing."""
        try:
            return child.communicate()[0] or b""
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            child.communicate()
            raise

    def _stop(self) -> None:
        """End what runs; its container is stopped and removed."""
        if self._running is not None:
            self._running.send_signal(signal.SIGINT)
            self._running.wait()
            self._running = None
