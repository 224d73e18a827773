"""Compiles Python sources with an image's own interpreter, so that the same sources give the same bytes everywhere.

What goes into bytecode besides the source: the interpreter, the path that is written into it, the order of sets of
strings (PYTHONHASHSEED), and which objects the process holds at that moment (`marshal` writes a reference where
somebody else has one as well). So each wheel gets a process of its own, with an empty environment, which gets its
sources in the order of their paths. Sources are compiled, and never imported. One that crashes the interpreter counts
as one that does not compile; those after it get a fresh process.
"""

import contextlib
import resource
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO

from buildrules.actions.python.interpreter import OFF, Interpreter
from buildrules.engine.kind import BuildContext
from buildrules.errors import ActionError, Interrupted
from buildrules.sha256 import hex_digest

SCRIPT = """\
import sys
from importlib.util import MAGIC_NUMBER, source_hash
from marshal import dumps

HEADER = MAGIC_NUMBER + (1).to_bytes(4, "little")  # PEP 552: by hash, and unchecked
CODE = type(compile("", "", "exec"))


def send(data):
    sys.stdout.buffer.write(len(data).to_bytes(4, "little") + data)
    sys.stdout.buffer.flush()


def receive():
    size = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(int.from_bytes(size, "little")) if size else None


def placed(value):
    if isinstance(value, (tuple, frozenset)):
        return any(map(placed, value))
    return value is None or value is ...


def shaky(code):  # before 3.11 sets are written in their order, and the hash of None is a place in memory
    return any(
        shaky(it) if isinstance(it, CODE) else isinstance(it, frozenset) and placed(it) for it in code.co_consts
    )


def compiled(path, source):
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except Exception:
        return b""
    if sys.version_info < (3, 11) and shaky(code):
        return b""
    return HEADER + source_hash(source) + dumps(code)


send(sys.implementation.cache_tag.encode())
while True:
    path = receive()
    if path is None:
        break
    send(compiled(path.decode(), receive()))
"""
"""Reads path and source, each after its length (4 bytes, little-endian); answers with bytecode (PEP 3147 and 552)."""

FLAGS = ("-s", "-S", "-B", "-W", "ignore", "-X", "no_debug_ranges")
"""Without the columns of PEP 657, bytecode is a quarter smaller; lines stay."""
VARIABLES = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PYTHONCOERCECLOCALE": "0"}
DIGEST = hex_digest("\0".join((SCRIPT, *FLAGS, *VARIABLES, *VARIABLES.values())).encode())
"""Of all that decides about bytecode besides the interpreter, the source and its path: 64 hex digits."""

LARGEST = 64 << 20
"""Bytes of a source; a larger one is left as it is."""

_SECONDS = 900
_LIMITS = {
    resource.RLIMIT_AS: 4 << 30,
    resource.RLIMIT_CPU: _SECONDS,  # of a processor's time
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_STACK: 8 << 20,  # as usual: how deep sources may nest should not depend on who builds
}
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
"""How a source ends an interpreter that it is too much for, such as by nesting: whoever compiles it, and each time."""


class Compiler:
    """One process, or after a source that crashed it the next. `tag` is what names of files of bytecode have in the
    middle.
    """

    def __init__(self, interpreter: Interpreter, log: IO[bytes], context: BuildContext) -> None:
        self._interpreter = interpreter
        self._log = log
        self._context = context
        self._process: subprocess.Popen[bytes] | None = None
        self.tag = ""

    def compile(self, path: str, source: bytes) -> bytes:
        """The bytecode of what is at `path` (absolute) in the image; nothing where it cannot be compiled.

        Raises ActionError where the interpreter is ended from outside or takes too long, Interrupted.
        """
        with contextlib.suppress(BrokenPipeError):  # it ended; why is said when its answer is read
            for data in (path.encode(), source):
                self._input.write(len(data).to_bytes(4, "little") + data)
            self._input.flush()
        answer = self._receive()
        if answer is not None:
            return answer
        if -self._code() not in _CRASHES:
            raise self._ended(f"{path!r}")
        self.stop()
        self.start()
        return b""

    def kill(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """End the process, if there is one, and let go of it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def start(self) -> None:
        """Start a process. Raises ActionError where the interpreter cannot be run, Interrupted."""
        try:
            self._process = process = subprocess.Popen(
                [*self._interpreter.command, *FLAGS, "-c", SCRIPT],
                cwd=self._interpreter.root,
                env={**VARIABLES, "PYTHONHOME": self._interpreter.home},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C is for us
            )
        except OSError as error:
            raise ActionError(f"the image's Python cannot be run here: {error.strerror}", hint=OFF) from error
        assert process.stdin is not None and process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        with contextlib.suppress(ProcessLookupError):
            for limit, value in _LIMITS.items():
                most = resource.prlimit(process.pid, limit)[1]
                least = value if most == resource.RLIM_INFINITY else min(value, most)
                resource.prlimit(process.pid, limit, (least, most))
        if self._context.cancelled:  # what Ctrl-C ended may have been the one before
            self.kill()
        tag = self._receive()
        if tag is None:
            raise self._ended("itself")
        self.tag = tag.decode()

    def _receive(self) -> bytes | None:
        """What the process says; None where it ended. Raises Interrupted."""
        head = self._output.read(4)
        size = int.from_bytes(head, "little")
        data = self._output.read(size)
        if len(head) == 4 and len(data) == size:
            return data
        if self._context.cancelled:
            raise Interrupted("interrupted")
        return None

    def _code(self) -> int:
        assert self._process is not None
        return self._process.wait()

    def _ended(self, what: str) -> ActionError:
        code = self._code()
        said, hint = f"ended with {code}", OFF
        if code == -signal.SIGKILL:
            said, hint = "was killed", f"build again, with more memory if that ran out; {OFF}"
        elif code == -signal.SIGXCPU:
            said = f"took more than {_SECONDS} seconds of a processor's time and was ended"
        self._log.seek(0)
        log = self._log.read(1 << 16).decode(errors="replace")
        return ActionError(f"the image's Python {said} while it compiled {what}", hint=hint, log=log)


@contextlib.contextmanager
def compiler(interpreter: Interpreter, context: BuildContext) -> Iterator[Compiler]:
    """A compiler. Raises ActionError where the interpreter cannot be run here."""
    with tempfile.TemporaryFile() as log:
        found = Compiler(interpreter, log, context)
        try:
            with context.at_cancel(found.kill):
                found.start()
                yield found
        finally:
            found.stop()
