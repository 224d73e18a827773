"""Lays the layers of an image into a folder (OCI image specification 1.1, layer.md, "Applying Changesets").

The tars may be hostile. Nothing is written outside of the folder: names are checked, links in a path are followed
inside the folder only, and what stands at a name is removed before something else is put there. Devices are left out,
set-user-ID bits are dropped. What is written is bounded by the size that the layer's descriptor states.
"""

import errno
import itertools
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from buildrules.errors import IntegrityError, ServingError, StoreError
from buildrules.oci.chunks import chunk_file
from buildrules.oci.descriptor import Layer
from buildrules.oci.image import LayerStream, verified
from buildrules.oci.unpacked import MOST_ENTRIES, layer_unpacked, room_of
from buildrules.oci.untar import entries
from buildrules.serving.rootfs.paths import directory

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_CHUNK = 1 << 20
_IMPOSSIBLE = (errno.ENAMETOOLONG, errno.ENOENT, errno.EINVAL, errno.ENOTDIR, errno.ELOOP, errno.EILSEQ)
_LATEST = 1 << 33  # seconds; later times are nonsense that not every file system takes


def unpack(
    root: str, layers: Iterable[Layer], stream: LayerStream, wanted: Callable[[str], object] | None = None
) -> None:
    """Lay `layers`, base first, into the folder `root`, which is empty.

    As root, entries get the owners the tars name. Of files those alone are laid whose paths are `wanted`, and then no
    pipes. Raises
    IntegrityError for a layer that is not what its descriptor says, leaves the folder, holds what cannot be or grows
    out of all proportion, UsageError for zstd where nothing here can read that, ServingError for what Linux refuses,
    StoreError where the disk is full.
    """
    numbers = itertools.count(1)
    for layer in layers:
        try:
            _Layer(root, layer, numbers, wanted).apply(stream)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(
                    "no space left to unpack the image", hint="free some space, or use --runner docker"
                ) from error
            name, what = layer.digest[:19], f"{error.strerror}: {str(error.filename)[-100:]!r}"
            if error.errno in _IMPOSSIBLE:
                raise IntegrityError(f"layer {name!r} holds what no file system takes: {what}") from error
            raise ServingError(f"cannot unpack layer {name!r}: {what}") from error


@dataclass(slots=True)
class _Layer:
    """One layer on its way into the folder."""

    root: str
    layer: Layer
    numbers: Iterator[int]  # of the image's entries
    wanted: Callable[[str], object] | None
    brought: int = 0  # bytes of files
    folders: dict[str, str] = field(default_factory=dict)  # path in the tar -> where it really is
    written: set[str] = field(default_factory=set)  # what this layer brought: opaque folders hide only what is below

    def apply(self, stream: LayerStream) -> None:
        chunks = verified(self.layer, stream(self.layer))
        file, damage = layer_unpacked(self.layer, chunk_file(chunks))
        try:
            with file:
                for member, content in entries(file):
                    self._check(member)
                    self._entry(member, content)
            for _ in chunks:  # what lies behind the end of the tar, so that the digest is of everything
                pass
        except damage as error:
            raise IntegrityError(f"layer {self.layer.digest[:19]} is not a sound tar: {error}") from error

    def _check(self, member: tarfile.TarInfo) -> None:
        """Raise ReadError where there is more than can be meant."""
        if not 0 <= member.size <= room_of(self.layer) - self.brought:
            raise tarfile.ReadError(f"it unpacks to more than {room_of(self.layer)} bytes")
        if next(self.numbers) > MOST_ENTRIES:
            raise tarfile.ReadError(f"the image has more than {MOST_ENTRIES} entries")
        self.brought += member.size

    def _entry(self, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        steps = self._steps(member.name)
        if not steps:
            return  # the root itself
        parent = self._parent(steps[:-1])
        name = steps[-1]
        if name == _OPAQUE:
            self._hide(parent)
            return
        if name.startswith(_WHITEOUT):
            hidden = name[len(_WHITEOUT) :]
            if hidden in ("", ".", ".."):
                raise self._bad(member.name)
            self._remove(os.path.join(parent, hidden))
            return
        path = os.path.join(parent, name)
        if not (member.isdir() and _is_folder(path)):
            self._remove(path)
        if self.wanted is not None and not (member.isdir() or member.issym() or self.wanted("/".join(steps))):
            return
        self._wrote(path)
        if member.isdir():
            directory(self.root, [*os.path.relpath(parent, self.root).split("/"), name], create=True)
            self._adopt(path, member, member.mode & 0o1777 | 0o700)
        elif content is not None:
            self._file(content, member, path)
        elif member.issym():
            os.symlink(member.linkname, path)
            self._adopt(path, member, None)
        elif member.islnk():
            self._link(member, path)
        elif member.isfifo() and self.wanted is None:  # what is read would be waited for
            os.mkfifo(path)
            self._adopt(path, member, member.mode & 0o777)

    def _file(self, content: IO[bytes], member: tarfile.TarInfo, path: str) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
        self._adopt(path, member, member.mode & 0o777)
        when = min(max(0, member.mtime), _LATEST)
        os.utime(path, (when, when))

    def _link(self, member: tarfile.TarInfo, path: str) -> None:
        steps = self._steps(member.linkname)
        target = os.path.join(self._parent(steps[:-1]), *steps[-1:])
        if self.wanted is not None and not os.path.lexists(target):
            return
        if not steps or not os.path.lexists(target) or _is_folder(target):
            raise self._bad(f"{member.name} -> {member.linkname}")
        os.link(target, path, follow_symlinks=False)

    def _adopt(self, path: str, member: tarfile.TarInfo, mode: int | None) -> None:
        if os.geteuid() == 0:
            os.chown(path, member.uid, member.gid, follow_symlinks=False)
        if mode is not None:
            os.chmod(path, mode)

    def _steps(self, name: str) -> list[str]:
        steps = [step for step in name.split("/") if step not in ("", ".")]
        if name.startswith("/") or ".." in steps or "\0" in name:
            raise self._bad(name)
        return steps

    def _bad(self, name: str) -> IntegrityError:
        return IntegrityError(f"layer {self.layer.digest[:19]} holds {name!r}, which leaves its root")

    def _parent(self, steps: list[str]) -> str:
        key = "/".join(steps)
        found = self.folders.get(key)
        if found is None:
            found = directory(self.root, steps, create=True)
            assert found is not None
            self.folders[key] = found
        return found

    def _wrote(self, path: str) -> None:
        while path not in self.written and path != self.root:
            self.written.add(path)
            path = os.path.dirname(path)

    def _hide(self, folder: str) -> None:
        """Remove what the layers below have in a folder."""
        for entry in list(os.scandir(folder)):
            if entry.path not in self.written:
                self._remove(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                self._hide(entry.path)

    def _remove(self, path: str) -> None:
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            shutil.rmtree(path)
            self.folders.clear()
        else:
            os.unlink(path)
            if stat.S_ISLNK(mode):
                self.folders.clear()


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
