"""The store: one directory that holds everything buildrules keeps between runs.

version         the layout's number, written once
lock            shared by builds, exclusive for garbage collection (flock)
blobs/sha256/   content by digest        tmp/    files being written
table/          records and stat index (diskcache)
workspaces/     states: what the last builds of each workspace looked at and made
logs/           the last builds in full
conda/          what the solver of conda packages keeps of channels; nothing depends on it
docker/         which layers each engine of Docker has been sent
interpreters/   those of images, unpacked, which compile for them; made again where missing or damaged
uv/             what uv keeps of package indexes; nothing depends on it
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator

from buildrules.errors import StoreError
from buildrules.state.location import store_root
from buildrules.store.blobs import Blobs, remove
from buildrules.store.records import Records
from buildrules.store.shape import PARTS, make_private, mend, refuse_open
from buildrules.store.statindex import StatIndex
from buildrules.store.table import Table

LAYOUT = 2
"""The next one is 4: no single bit that flips in the file may make one layout of another."""
_UNWRITABLE = "make it writable, or choose another store with BUILDRULES_CACHE_DIR"
_WAY_OUT = "upgrade buildrules, or choose another store with BUILDRULES_CACHE_DIR"


class Store:
    """An opened store. Raises StoreError where it cannot be used."""

    def __init__(self, root: str | None = None) -> None:
        self.root = os.path.abspath(root or store_root())
        self.blobs = Blobs(self.root)
        self.table = Table(os.path.join(self.root, "table"))
        self.records = Records(self.table, self.blobs)
        self.index = StatIndex(self.table)
        self._lock: int | None = None
        self.renewed = False  # it was of an older layout: its blobs were kept, its records were not
        self._prepare()

    def _prepare(self) -> None:
        version = os.path.join(self.root, "version")
        refuse_open(self.root)
        try:
            if os.path.isdir(self.root):
                mend(self.root)
            with open(version, "rb") as file:
                data = file.read(64)
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise StoreError(f"cannot read the store {self.root}: {error.strerror}", hint=_UNWRITABLE) from error
        text = data.decode("ascii", "replace").strip()
        if not text.isdigit() or (int(text) > LAYOUT and _flipped(data)):
            self._create(version)  # there is none, or it is damaged
        elif int(text) < LAYOUT:
            self._renew(version)
        elif int(text) > LAYOUT:
            raise StoreError(
                f"the store {self.root} was written by a newer buildrules (layout {text!r}, this one knows {LAYOUT})",
                hint=_WAY_OUT,
            )

    def _renew(self, version: str) -> None:
        """Keep the content of an older layout, which is known by digest, and drop what names it another way.

        Raises StoreError where an older buildrules is at work in it.
        """
        if not self.lock(exclusive=True, wait=False):
            raise StoreError(
                f"the store {self.root} is of an older layout and in use",
                hint="wait for the other build, or choose another store with BUILDRULES_CACHE_DIR",
            )
        for name in ("table", "workspaces"):
            remove(os.path.join(self.root, name))
        self._create(version)
        self.close()
        self.renewed = True

    def _create(self, version: str) -> None:
        try:
            foreign = sorted({*os.listdir(self.root)} - {*PARTS}) if os.path.isdir(self.root) else []
            if foreign:
                raise StoreError(
                    f"{self.root} is not a store and holds other things, such as {foreign[0]!r}",
                    hint="name an empty or a new directory with BUILDRULES_CACHE_DIR",
                )
            make_private(self.root)
            os.makedirs(self.blobs.root, exist_ok=True)
            os.makedirs(self.blobs.tmp, exist_ok=True)
            tmp = self.blobs.tmp_path()
            with open(tmp, "w", encoding="ascii") as file:
                file.write(f"{LAYOUT}\n")
            os.replace(tmp, version)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(
                    f"no space left for the store {self.root}",
                    hint="free some space, or choose another store with BUILDRULES_CACHE_DIR",
                ) from error
            raise StoreError(f"cannot create the store {self.root}: {error.strerror}", hint=_UNWRITABLE) from error

    def lock(self, *, exclusive: bool = False, wait: bool = True) -> bool:
        """Hold the store's lock until `close`. False where `wait` is off and somebody else holds it.

        Raises StoreError where the store is not the user's to write.
        """
        try:
            handle = os.open(os.path.join(self.root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"cannot lock the store {self.root}: {error.strerror}", hint=_UNWRITABLE) from error
        flags = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(handle, flags | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            return False
        if self._lock is not None:
            os.close(self._lock)
        self._lock = handle
        return True

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock, shared, for a block."""
        self.lock()
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Save what is unsaved, close the table, give the lock back."""
        self.index.flush()
        self.table.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _flipped(data: bytes) -> bool:
    """Whether one bit makes this what stands in the version of this layout."""
    right = b"%d\n" % LAYOUT
    return (int.from_bytes(data, "big") ^ int.from_bytes(right, "big")).bit_count() == 1 and len(data) == len(right)
