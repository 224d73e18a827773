"""Refuses the disk, the network, other programs and variables to what is to be a pure function."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

_EVENTS = (
    "open",
    "os.listdir",
    "os.scandir",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.chmod",
    "os.link",
    "os.symlink",
)
_FAMILIES = ("socket.", "subprocess.", "sqlite3.", "tempfile.", "shutil.", "os.exec", "os.fork", "os.posix_spawn")
_CALLS = ("stat", "lstat", "access", "readlink", "getcwd", "uname")
_state = {"hooked": False, "armed": False}


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _state["armed"] and (event in _EVENTS or event.startswith(_FAMILIES)) and not _importing():
        raise AssertionError(f"what is pure looks at the world: {event} {args[:1]}")


def _importing() -> bool:
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _refused(name: str) -> Callable[..., Any]:
    real = getattr(os, name)

    def call(*args: Any, **more: Any) -> Any:
        if _importing():
            return real(*args, **more)
        raise AssertionError(f"what is pure looks at the world: os.{name} {args[:1]}")

    return call


class _NoVariables(dict[str, str]):
    def __getitem__(self, name: str) -> str:
        raise AssertionError(f"what is pure looks at the variable {name}")

    def get(self, name: str, *_: object) -> Any:
        return self[name]


@contextlib.contextmanager
def pure(*, variables: bool = True) -> Iterator[None]:
    """Inside, whoever looks at the world fails, but for imports; with `variables`, at the environment as well."""
    if not _state["hooked"]:
        sys.addaudithook(_hook)  # for the rest of the process: it cannot be taken back
        _state["hooked"] = True
    with contextlib.ExitStack() as stack:
        for name in _CALLS:
            stack.enter_context(patch.object(os, name, _refused(name)))
        if variables:
            stack.enter_context(patch.object(os, "environ", _NoVariables()))
        _state["armed"] = True
        try:
            yield
        finally:
            _state["armed"] = False


@contextlib.contextmanager
def pure_plans() -> Iterator[None]:
    """Inside, plans are made with the guard up."""
    from buildrules.plan import planner

    real = planner.make_plan

    def guarded(*args: Any, **more: Any) -> Any:
        with pure(variables=False):  # modules that are imported now may look at some
            return real(*args, **more)

    with patch.object(planner, "make_plan", guarded):
        yield
