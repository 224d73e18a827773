"""Compiles Python sources with an image's own interpreter, so that the same sources give the same bytes everywhere.

What goes into bytecode besides the source: the interpreter, the path that is written into it, the order of sets of
strings (PYTHONHASHSEED), and which objects the process holds at that moment (`marshal` writes a reference where
somebody else has one as well). So each wheel gets a process of its own, with an empty environment, which gets its
sources in the order of their paths. Sources are compiled, and never imported.
"""

import contextlib
import resource
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

_MEMORY = 4 << 30  # bytes that compiling may take
_SECONDS = 900  # of a processor's time


class Compiler:
    """One process, which ends with the `with` block. `tag` is what names of files of bytecode have in the middle."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: IO[bytes], context: BuildContext) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._log = log
        self._context = context
        self._input, self._output = process.stdin, process.stdout
        self._what = "itself"
        self.tag = self._receive().decode()

    def compile(self, path: str, source: bytes) -> bytes:
        """The bytecode of what is at `path` (absolute) in the image; nothing where it cannot be compiled.

        Raises ActionError where the interpreter ends, Interrupted.
        """
        self._what = f"{path!r}"
        with contextlib.suppress(BrokenPipeError):  # it ended; why is said when its answer is read
            for data in (path.encode(), source):
                self._input.write(len(data).to_bytes(4, "little") + data)
            self._input.flush()
        return self._receive()

    def _receive(self) -> bytes:
        head = self._output.read(4)
        size = int.from_bytes(head, "little")
        data = self._output.read(size)
        if len(head) == 4 and len(data) == size:
            return data
        if self._context.cancelled:
            raise Interrupted("interrupted")
        code = self._process.wait()
        self._log.seek(0)
        raise ActionError(
            f"the image's Python ended with {code} while it compiled {self._what}",
            hint=OFF,
            log=self._log.read(1 << 16).decode(errors="replace"),
        )


@contextlib.contextmanager
def compiler(interpreter: Interpreter, context: BuildContext) -> Iterator[Compiler]:
    """A compiler. Raises ActionError where the interpreter cannot be run here."""
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                [*interpreter.command, *FLAGS, "-c", SCRIPT],
                cwd=interpreter.root,
                env={**VARIABLES, "PYTHONHOME": interpreter.home},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us
            )
        except OSError as error:
            raise ActionError(f"the image's Python cannot be run here: {error.strerror}", hint=OFF) from error
        try:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
                resource.prlimit(process.pid, resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
            with context.at_cancel(process.kill):
                yield Compiler(process, log, context)
        finally:
            process.kill()
            process.communicate()
