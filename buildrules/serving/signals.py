"""SIGTERM as an exception, so that a container is stopped whichever way the process is asked to end."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from buildrules.errors import Interrupted


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """While inside, SIGTERM raises Interrupted in the main thread; Ctrl-C raises KeyboardInterrupt as always.

    Does nothing in other threads, and where somebody else already handles SIGTERM.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a handler
    raise Interrupted("asked to stop (SIGTERM)")
