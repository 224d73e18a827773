"""Folders for what nobody else may read, in the store's folder for what is being written.

A killed process leaves its folder behind, perhaps with a secret in it: the next build removes it. It is known by the
lock that only the living hold.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from buildrules.errors import StoreError

_PREFIX = "private-"
_GATE = ".private.lock"
_LOCK = ".lock"


@contextlib.contextmanager
def private_folder(tmp: str) -> Iterator[str]:
    """A folder below `tmp` that only this user may enter, removed at the end. Raises StoreError."""
    try:
        os.makedirs(tmp, exist_ok=True)
        with _gate(tmp):
            _sweep(tmp)
            folder = os.path.join(tmp, f"{_PREFIX}{os.urandom(8).hex()}")
            os.mkdir(folder, 0o700)
            handle = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        raise StoreError(
            f"cannot write to the store {tmp}: {(error.strerror or str(error)).lower()}",
            hint="make room or make it writable, or choose another store with BUILDRULES_CACHE_DIR",
        ) from error
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(handle)


def sweep(tmp: str) -> None:
    """Remove the folders of processes that are gone."""
    with contextlib.suppress(OSError):
        if any(name.startswith(_PREFIX) for name in os.listdir(tmp)):
            with _gate(tmp):
                _sweep(tmp)


def _sweep(tmp: str) -> None:
    for name in os.listdir(tmp):
        if name.startswith(_PREFIX):
            folder = os.path.join(tmp, name)
            with contextlib.suppress(OSError), _held(os.path.join(folder, _LOCK), fcntl.LOCK_NB):
                _remove(folder)


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _gate(tmp: str) -> contextlib.AbstractContextManager[None]:
    """Only one makes or removes folders: one that was just made is not locked yet."""
    return _held(os.path.join(tmp, _GATE))


@contextlib.contextmanager
def _held(path: str, flags: int = 0) -> Iterator[None]:
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | flags)
        yield
